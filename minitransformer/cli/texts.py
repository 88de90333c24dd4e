"""What the commands that read texts have in common: where the texts come from, and how what is found is shown."""

import json
import sys
from pathlib import Path

from . import printable


def text_arguments(parser, what="TEXT"):
    parser.add_argument("folder", metavar="FOLDER", help="a published model of the BERT family, with its head")
    parser.add_argument("texts", metavar=what, nargs="*", help="what the model reads")
    parser.add_argument("--file", metavar="FILE", help="read the lines of this file; - for standard input")
    parser.add_argument("--truncate", action="store_true", help="cut off what does not fit into the model's context")
    parser.add_argument("--json", action="store_true", help="print one JSON object a line, not a table")


def texts_of(args):
    """The texts of the command line, or the lines of the file. ValueError where there are none."""
    if (args.file is None) == (not args.texts):
        raise ValueError("texts are needed, either as arguments or by --file FILE")
    texts = args.texts or lines_of(args.file)
    if not texts:
        raise ValueError(f"{args.file} has no lines")
    for number, text in enumerate(texts, 1):
        if not text.strip():
            raise ValueError(f"text {number} is empty")
    return texts


def lines_of(path):
    lines = [line.removesuffix("\r") for line in text_of(path).split("\n")]
    while lines and not lines[-1].strip():
        lines.pop()
    return lines


def text_of(path):
    """What a file holds, character by character; - is standard input. ValueError where it is not UTF-8."""
    if path == "-" and sys.stdin is None:
        raise ValueError("standard input is closed")
    data = sys.stdin.buffer.read() if path == "-" else Path(path).read_bytes()
    try:
        return data.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise ValueError(f"{'standard input' if path == '-' else path} is not UTF-8: {error}") from None


def load(folder, head):
    """model, p, tokenizer, labels of a published folder. ValueError where it has no such head."""
    from ..pretrained import labels_of, load_pretrained

    found = load_pretrained(folder, head=head)
    return found.model, found.p, found.tokenizer, labels_of(found) if hasattr(found.model, "n_classes") else []


def show(args, rows, columns):
    """rows: dicts of values. As a table of these columns, or all that they have, as JSON."""
    if args.json:
        for row in rows:
            print(json.dumps(row, ensure_ascii=False))
        return
    cells = [[cell(row[column]) for column in columns] for row in rows]
    widths = [max(map(len, column)) for column in zip(columns, *cells)]
    for line in [columns, *cells]:
        print("  ".join(text.ljust(width) for text, width in zip(line, widths)).rstrip())


def cell(value, longest=60):
    if isinstance(value, float):
        return f"{value:.4f}" if value >= 5e-5 else f"{value:.0e}"
    text = printable(" ".join(str(value).split()))
    return text if len(text) <= longest else f"{text[: longest - 1]}…"
