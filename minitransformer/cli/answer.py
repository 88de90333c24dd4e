"""Answer a question from a text, in the text's own words.

The text is given with --text or read from --file. What is longer than the model's context is read in windows where
--stride says how many tokens they have in common, and refused otherwise.
"""

from .texts import load, show, text_of

HELP = "answer a question from a text"
BACKEND = "cpu"


def arguments(parser):
    parser.add_argument("folder", metavar="FOLDER", help="a published model of the BERT family, with its head")
    parser.add_argument("questions", metavar="QUESTION", nargs="+", help="what is asked")
    where = parser.add_mutually_exclusive_group(required=True)
    where.add_argument("--text", metavar="TEXT", help="where the answer is")
    where.add_argument("--file", metavar="FILE", help="a file with that text; - for standard input")
    parser.add_argument("--stride", type=int, metavar="N", help="read a long text in windows with N tokens in common")
    parser.add_argument(
        "--longest", type=int, default=30, metavar="N", help="tokens of an answer (default: %(default)s)"
    )
    parser.add_argument("--json", action="store_true", help="print one JSON object a line, not a table")


def run(args):
    from ..models import SpanFinder
    from ..reading import answer

    text = args.text if args.file is None else text_of(args.file)
    model, p, tokenizer, _ = load(args.folder, SpanFinder)
    rows = []
    for question in args.questions:
        if not question.strip():
            raise ValueError("a question is empty")
        found = answer(model, p, tokenizer, question, text, stride=args.stride, longest=args.longest)
        rows.append({"question": question, "answer": found.text, **found._asdict()})
        del rows[-1]["text"]
    show(args, rows, ["question", "answer", "begin", "end", "probability"])
