"""Draw what attends to what in a text: a page to explore (.html), or a picture (.png, .svg).

A GPT-2 or a BERT attends to the text itself. A Transformer reads it, and answers greedily where no --target is given:
the encoder attends to the text, the decoder to its answer and to the text. Of a recurrent model, the decoder alone
attends.
"""

import sys

HELP = "draw what attends to what"
OUT = "attention.html"
FORMATS = (".html", ".png", ".svg")
MOST_TOKENS = 512  # in a text; the weights grow with the square
LONGEST_ANSWER = 200


def arguments(parser):
    parser.add_argument("folder", metavar="FOLDER", help="a run, a checkpoint in one, or a published model")
    parser.add_argument("text", metavar="TEXT", help="what the model reads")
    parser.add_argument(
        "--target", metavar="TEXT", help="what a model that translates is to write (default: its answer)"
    )
    parser.add_argument("--out", metavar="FILE", default=OUT, help=f"{', '.join(FORMATS)} (default: %(default)s)")
    parser.add_argument("--overwrite", action="store_true", help="replace the file if it is there")
    parser.add_argument("--layer", type=int, metavar="N", help="only this layer; the first is 1 (default: all)")
    parser.add_argument("--head", type=int, metavar="N", help="only this head; the first is 1 (default: all)")


def run(args):
    from pathlib import Path

    from ..files import write_atomically
    from ..installing import install
    from ..plots.attention import attention_page, draw_attention, select
    from ..pretrained import load_model

    path = Path(args.out)
    if path.suffix.lower() not in FORMATS:
        raise ValueError(f"--out {path}: the name must end in {', '.join(FORMATS[:-1])} or {FORMATS[-1]}")
    if path.exists() and not args.overwrite:
        raise ValueError(f"{path} is there already: --overwrite replaces it, --out FILE writes another")
    if not path.parent.is_dir():
        raise ValueError(f"{path.parent} is not a folder")
    model, p, tokenizer = load_model(args.folder)
    attentions, title = read(model, p, tokenizer, args.text, args.target)
    attentions = [select(attention, args.layer, args.head) for attention in attentions]
    if path.suffix.lower() == ".html":
        content = attention_page(attentions, title).encode("utf-8")
    else:
        try:
            content = draw_attention(attentions, title, path.suffix.lower()[1:])
        except ImportError:
            raise ImportError(
                f"pictures take matplotlib, which `{install('plot')}` brings; a page (.html) does not"
            ) from None
    write_atomically(path, content)
    print(f"{title}\n{path}: {', '.join(attention.title for attention in attentions)}")


def read(model, p, tokenizer, text, target):
    """[Attention], and a title."""
    from ..data.pairs import check_text, marks
    from ..decoding import decode
    from ..plots.attention import attention_in_pair, attention_in_text
    from ..tokenizers import framed

    if not hasattr(model, "encode"):
        ids = encoded(tokenizer, text, "the text")
        if target is not None:
            raise ValueError(f"a {type(model).__name__} has no --target: it reads one text")
        if hasattr(model, "body"):  # under a head
            ids, model, p = framed(tokenizer, text)[0].ids, model.body, p["body"]
        elif tokenizer.begin is not None:
            ids = [tokenizer.begin, *ids]
        if len(ids) > model.context_length:
            raise ValueError(f"the text has {len(ids)} tokens, but the model's context {model.context_length}")
        return attention_in_text(model, p, tokenizer, ids), excerpt(text)
    start_id, end_id = marks(tokenizer)
    ids = encoded(tokenizer, check_text(text, "the text"), "the text")
    if target is None:
        caches = model.start(p, ids[None], length=LONGEST_ANSWER)
        (target_ids,) = decode(model, p, caches, [[start_id]], max_tokens=LONGEST_ANSWER, end=end_id)
        if len(target_ids) == LONGEST_ANSWER:
            print(f"note: the model has not ended its answer after {LONGEST_ANSWER} tokens", file=sys.stderr)
    else:
        target_ids = encoded(tokenizer, check_text(target, "the target"), "the target")
    attentions = attention_in_pair(model, p, tokenizer, ids, target_ids, start_id, end_id)
    return attentions, f"{excerpt(text)} → {excerpt(tokenizer.decode(target_ids))}"


def encoded(tokenizer, text, what):
    try:
        ids = tokenizer.encode(text)
    except ValueError as error:
        raise ValueError(f"{what}: {error}") from None
    if not 0 < len(ids) <= MOST_TOKENS:
        raise ValueError(f"{what} has {len(ids)} tokens: 1 to {MOST_TOKENS} can be drawn")
    return ids


def excerpt(text, length=60):
    """Its beginning, on one line."""
    from ..plots.attention import visible

    line = " ".join(text.split())
    line = "".join(character if character.isprintable() else visible(character) for character in line)
    return line if len(line) <= length else f"{line[: length - 1]}…"
