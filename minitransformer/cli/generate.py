"""Let a trained model go on from a text, token by token.

Each next token is drawn from what the model expects: --temperature sharpens (below 1) or flattens that, --top-k,
--top-p and --min-p leave out what is unlikely, --greedy always takes the likeliest.
"""

from . import printable

HELP = "write text with a trained model"
BACKEND = "cpu"
ON_DEVICE = True


def arguments(parser):
    parser.add_argument("folder", metavar="FOLDER", help="a run, a checkpoint in one, or a published GPT-2 or LLaMA")
    parser.add_argument("--prompt", metavar="TEXT", help="what the text begins with (default: none, or a line break)")
    parser.add_argument("--tokens", type=int, default=200, metavar="N", help="how many to add (default: %(default)s)")
    how = parser.add_mutually_exclusive_group()
    how.add_argument("--temperature", type=float, default=0.8, metavar="X", help="default: %(default)s; 0 is greedy")
    how.add_argument("--greedy", action="store_true", help="always the likeliest token")
    parser.add_argument("--top-k", type=int, metavar="K", help="draw from the K likeliest tokens only")
    parser.add_argument("--top-p", type=float, metavar="P", help="draw from the fewest tokens that hold P together")
    parser.add_argument(
        "--min-p", type=float, metavar="P", help="draw from tokens at least P times as likely as the best"
    )
    parser.add_argument(
        "--repetition-penalty", type=float, default=1.0, metavar="X", help="above 1, what was there comes less often"
    )
    parser.add_argument("--stop", metavar="TEXT", help="stop before this text comes")
    parser.add_argument("--seed", type=int, help="the same seed, the same text (default: another text every time)")
    parser.add_argument("--no-cache", action="store_true", help="compute the whole context anew for every token")


def run(args):
    import itertools
    import sys

    from ..decoding import generate, kept_when_full, text_pieces, until, window_start
    from ..pretrained import ends_of, load_model

    model, p, tokenizer = load_model(args.folder)
    if not hasattr(model, "context_length"):
        instead = "fill-mask" if hasattr(model, "body") else "translate"
        raise ValueError(f"{args.folder} holds a {type(model).__name__}, which goes on with no text: see `{instead}`")
    ends = ends_of(args.folder, tokenizer)  # with which a published model says that it is done
    ids = prompt_ids(tokenizer, args.prompt)
    new_ids = generate(
        model,
        p,
        ids,
        max_tokens=args.tokens,
        temperature=0.0 if args.greedy else args.temperature,
        top_k=args.top_k,
        top_p=args.top_p,
        min_p=args.min_p,
        repetition_penalty=args.repetition_penalty,
        seed=args.seed,
        cached=not args.no_cache,
    )
    new_ids = itertools.takewhile(lambda id: id not in ends, new_ids)
    pieces = text_pieces(tokenizer, new_ids)
    if args.stop is not None:
        pieces = until(pieces, args.stop)
    length, context = len(ids) + args.tokens, model.context_length
    if window_start(length - 1, context):  # the last token is predicted from all the others
        print(
            f"note: the context of {context} tokens is full before all {length} are there: each time, "
            f"the newest {kept_when_full(context)} are read again, and those before them are forgotten",
            file=sys.stderr,
        )
    ahead = list(itertools.islice(pieces, 2))  # of the prompt, of one token: what these need compiled, is so by now
    shown = printable if sys.stdout.isatty() else str  # into a file or a pipe goes what was said, as it is
    print(args.prompt or "", end="", flush=True)
    for i, piece in enumerate(itertools.chain(ahead, pieces)):
        if not i and not args.prompt and tokenizer.begin is not None:
            piece = piece.removeprefix(" ")  # which stands before a text's first word
        print(shown(piece), end="", flush=True)
    print(flush=True)


def prompt_ids(tokenizer, prompt):
    """ids (T) of the prompt, behind what the model's texts begin with, if anything

    Without a prompt, a GPT-2 that was published begins behind the end of another text, and one that knows no such sign
    with a line break.
    """
    if tokenizer.begin is not None:
        return [tokenizer.begin, *tokenizer.encode(prompt or "")]
    if prompt is not None:
        return tokenizer.encode(prompt)
    if tokenizer.end is not None:
        return [tokenizer.end]
    try:
        return tokenizer.encode("\n")
    except ValueError:
        raise ValueError("this model knows no line break to begin with: --prompt TEXT is needed") from None
