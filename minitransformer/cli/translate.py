"""Translate with a trained Transformer, or train one: on dates as people write them, or on your own pairs.

minitransformer translate train                                     dates to ISO 8601: nothing is needed
minitransformer translate train --pairs FILE --tokenizer bpe        lines of source, tab, target
minitransformer translate FOLDER "the third of March, 1994"         an answer
minitransformer translate FOLDER --file FILE --beam 4               a file, line by line
"""

HELP = "translate with a Transformer, or train one"
OUT = "runs/dates"
ROWS = 64  # texts translated side by side


def arguments(parser):
    from ..training.tasks import TranslationTask
    from .training_run import add_training_options

    parser.add_argument("checkpoint", metavar="FOLDER", help="a run, or a checkpoint in one; or the word train")
    parser.add_argument("text", nargs="*", metavar="TEXT", help="what to translate")
    parser.add_argument("--file", metavar="FILE", help="translate this file line by line")
    parser.add_argument("--beam", type=int, default=1, metavar="N", help="beam width (default: 1, greedy)")
    parser.add_argument("--n-best", type=int, default=1, metavar="N", help="so many answers, with their scores")
    parser.add_argument("--length-penalty", type=float, default=0.6, metavar="X", help="default: %(default)s")
    parser.add_argument(
        "--max-tokens", type=int, default=200, metavar="N", help="longest answer (default: %(default)s)"
    )
    training = parser.add_argument_group("translate train")
    training.add_argument("--pairs", nargs="+", metavar="FILE", help="UTF-8 files of source, tab, target")
    add_training_options(training, TranslationTask.settings_class, OUT)


def run(args):
    if args.checkpoint == "train":
        from ..training.tasks import TranslationTask
        from .training_run import train

        return train(args, TranslationTask, args.pairs, OUT)
    return translate(args)


def translate(args):
    import numpy as np

    from ..data.pairs import END, START, check_text, collate_sources
    from ..decoding import beam_search
    from ..training.checkpoint import load_model

    model, p, tokenizer = load_model(args.checkpoint)
    if not hasattr(model, "encode"):
        raise ValueError(f"{args.checkpoint} holds a {type(model).__name__}, which does not translate: see `generate`")
    sources = [*args.text, *(lines_of(args.file) if args.file else ())]
    if not sources:
        raise ValueError("nothing to translate: give a text or --file FILE")
    (start_id,), (end_id,) = tokenizer.encode(START), tokenizer.encode(END)
    for begin in range(0, len(sources), ROWS):
        piece = sources[begin : begin + ROWS]
        for number, text in enumerate(piece, begin + 1):
            check_text(text, f"text {number}")
        source, source_mask = collate_sources([tokenizer.encode(text) for text in piece], start_id, end_id)
        found = beam_search(
            model,
            p,
            model.start(p, source, source_mask=source_mask, length=args.max_tokens + 1),
            np.full((len(piece), 1), start_id),
            width=args.beam if args.beam < 1 else max(args.beam, args.n_best),
            n_best=args.n_best,
            max_tokens=args.max_tokens,
            end=end_id,
            length_penalty=args.length_penalty,
        )
        for text, answers in zip(piece, found, strict=True):
            for ids, score in answers:
                answer = tokenizer.decode(ids)
                print(f"{score:9.4f}  {answer}  ←  {text}" if args.n_best > 1 else answer, flush=True)


def lines_of(path):
    from ..data.text import read_text

    return read_text([path]).splitlines()
