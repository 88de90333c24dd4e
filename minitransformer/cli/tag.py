"""Mark the names in a text, or whatever else a model was trained to mark.

Tokens that belong together are one span, with its label and its place in the text.
"""

from .texts import load, show, text_arguments, texts_of

HELP = "mark the names in a text"
BACKEND = "cpu"


def arguments(parser):
    text_arguments(parser)
    parser.add_argument(
        "--outside", default="O", metavar="LABEL", help="which label marks nothing (default: %(default)s)"
    )


def run(args):
    from ..models import TokenClassifier
    from ..reading import tag

    texts = texts_of(args)
    model, p, tokenizer, labels = load(args.folder, TokenClassifier)
    found = tag(model, p, tokenizer, labels, texts, outside=args.outside, truncate=args.truncate)
    rows = [
        {"text": text, "label": span.label, "span": span.text, "begin": span.begin, "end": span.end}
        | {"probability": span.probability}
        for text, spans in zip(texts, found)
        for span in spans
    ]
    show(args, rows, ["text", "label", "span", "begin", "end", "probability"])
