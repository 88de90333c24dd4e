"""Say of which class a text is, and how probable that is; with --json, how probable each class is.

With --pairs, each text is two, with a tab between: whether one follows from the other, for example.
"""

from .texts import load, show, text_arguments, texts_of

HELP = "say of which class a text is"
BACKEND = "cpu"


def arguments(parser):
    text_arguments(parser)
    parser.add_argument("--pairs", action="store_true", help="each text is two, with a tab between")


def run(args):
    from ..models import TextClassifier
    from ..reading import classify

    texts = texts_of(args)
    given = [pair_of(text, number) for number, text in enumerate(texts, 1)] if args.pairs else texts
    model, p, tokenizer, labels = load(args.folder, TextClassifier)
    rows = []
    for text, chances in zip(texts, classify(model, p, tokenizer, given, truncate=args.truncate)):
        best = int(chances.argmax())
        each = dict(zip(labels, map(float, chances)))
        rows.append({"text": text, "class": labels[best], "probability": float(chances[best]), "classes": each})
    show(args, rows, ["text", "class", "probability"])


def pair_of(text, number):
    parts = text.split("\t")
    if len(parts) != 2:
        raise ValueError(f"text {number} is not two texts with a tab between, but {len(parts)}")
    if not all(part.strip() for part in parts):
        raise ValueError(f"one half of text {number} is empty")
    return tuple(parts)
