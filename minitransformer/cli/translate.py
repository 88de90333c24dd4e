"""Translate with a trained model, or train one: on dates as people write them, or on your own pairs.

minitransformer translate train                                     dates to ISO 8601: nothing is needed
minitransformer translate train --pairs FILE --tokenizer bpe        lines of source, tab, target
minitransformer translate train --model lstm --attention bahdanau   as it was done before the Transformer
minitransformer translate FOLDER "the third of March, 1994"         an answer
minitransformer translate FOLDER --file FILE --beam 4               a file, line by line
"""

import sys
from bisect import bisect_right

from . import printable

HELP = "translate with a Transformer or a recurrent model, or train one"
BACKEND = "cpu"
OUT = "runs/dates"
ROWS = 64  # texts translated side by side, at most
MOST_BYTES = 2**29  # that a batch may take to be read, and for what decoding remembers


def arguments(parser):
    from ..training.tasks import TranslationTask
    from .training_run import add_training_options

    parser.add_argument("checkpoint", metavar="FOLDER", help="a run, or a checkpoint in one; or the word train")
    text = parser.add_argument("text", nargs="+", metavar="TEXT", default=[], help="what to translate, or --file")
    text.required = False  # nargs="*" would be content with nothing before an option, and refuse what comes after it
    add = parser.add_argument
    translating = [
        add("--file", metavar="FILE", help="translate this file line by line; - is standard input"),
        add("--beam", type=int, metavar="N", help="beam width (default: 1, greedy; with --n-best the same)"),
        add("--n-best", type=int, metavar="N", help="so many answers to each text, with their scores"),
        add("--length-penalty", type=float, default=0.6, metavar="X", help="of a beam (default: %(default)s)"),
        add("--max-tokens", type=int, default=200, metavar="N", help="longest answer (default: %(default)s)"),
    ]
    group = parser.add_argument_group("translate train")
    pairs = group.add_argument("--pairs", nargs="+", metavar="FILE", help="UTF-8 files of source, tab, target")
    training = [pairs, *add_training_options(group, TranslationTask.settings_class, OUT)]
    parser.set_defaults(translating=translating, training=training)


def run(args):
    if args.checkpoint != "train":
        refuse(args, args.training, "only with `translate train`")
        return translate(args)
    from ..training.tasks import TranslationTask
    from .training_run import train

    if args.text:
        raise ValueError(f"`translate train` takes no text, as {args.text[0]!r}: --pairs FILE says what to learn from")
    refuse(args, args.translating, "only with a FOLDER to translate with, not with `translate train`")
    return train(args, TranslationTask, args.pairs, OUT)


def refuse(args, options, where):
    """ValueError where one of the options was given that go elsewhere."""
    given = [option.option_strings[0] for option in options if getattr(args, option.dest) != option.default]
    if given:
        raise ValueError(f"{', '.join(given)}: {where}")


def translate(args):
    from tqdm import tqdm

    from ..data.pairs import marks
    from ..training.checkpoint import load_model

    width, n_best = beam_of(args)
    model, p, tokenizer = load_model(args.checkpoint)
    if not hasattr(model, "encode"):
        raise ValueError(f"{args.checkpoint} holds a {type(model).__name__}, which does not translate: see `generate`")
    start_id, end_id = marks(tokenizer)
    texts = named_texts(args)
    sources = [read(tokenizer, text, where) for where, text in texts]
    check_memory(model, texts, sources, width, args.max_tokens)
    shown = printable if sys.stdout.isatty() else str  # into a file or a pipe goes what was said, as it is
    unended = 0
    # Where the answers are not seen as they come, a bar is.
    with tqdm(total=len(texts), unit="text", leave=False, disable=sys.stdout.isatty() or None) as bar:
        for place in batches(model, sources, width, args.max_tokens):
            found = answers(model, p, sources[place], start_id, end_id, width, n_best, args)
            for (_, text), hypotheses in zip(texts[place], found, strict=True):
                for ids, score in hypotheses:
                    answer = one_line(tokenizer.decode(ids))
                    line = answer if n_best == 1 else f"{score:9.4f}  {answer}  ←  {one_line(text)}"
                    print(shown(line), flush=True)
                if not hypotheses:  # an empty line has an empty answer, so that lines stay side by side
                    print(flush=True)
                unended += any(len(ids) == args.max_tokens for ids, _ in hypotheses)
            bar.update(len(found))
    if unended:
        print(
            f"note: {unended:,} of {len(texts):,} answers had not ended after {args.max_tokens} tokens, and were cut "
            "off there: --max-tokens N allows longer ones",
            file=sys.stderr,
        )


def beam_of(args):
    """The beam's width, and how many answers to a text."""
    for name in ("beam", "n_best", "max_tokens"):
        value = getattr(args, name)
        if value is not None and value < 1:
            raise ValueError(f"--{name.replace('_', '-')} must be at least 1, not {value}")
    n_best = args.n_best or 1
    width = args.beam or n_best
    if width < n_best:
        raise ValueError(f"--n-best {n_best} takes a --beam of at least {n_best}, not {width}")
    return width, n_best


# ----------------------------------------------------------------------------------------------------------- the texts


def named_texts(args):
    """[(how a message calls it, text)]: those of the command line, then the lines of the file."""
    texts = [(f"text {number}", text) for number, text in enumerate(args.text, 1)]
    if empty := [where for where, text in texts if not text.strip()]:
        raise ValueError(f"{empty[0]} is empty")
    if args.file is not None:
        texts += named_lines(args.file)
    if not texts:
        raise ValueError("nothing to translate: give a text or --file FILE")
    return texts


def named_lines(path):
    from pathlib import Path

    from ..data.pairs import decoded, lines_of

    if path == "-":
        name, data = "standard input", sys.stdin.buffer.read() if sys.stdin else b""
    else:
        name, data = path, Path(path).read_bytes()
    lines = lines_of(data)
    if not lines:
        raise ValueError(f"{name} is empty")
    names = [f"{name}, line {number}" for number in range(1, len(lines) + 1)]
    return [(where, decoded(line, where)) for where, line in zip(names, lines)]


def read(tokenizer, text, where):
    """The ids of a text, none for one that is empty. ValueError, with its name, for what the tokenizer cannot read."""
    from ..data.pairs import check_text

    check_text(text, where)
    try:
        text.encode("utf-8")
    except UnicodeEncodeError as error:
        raise ValueError(f"{where} is not valid text: {error.reason}, character {error.start + 1}") from None
    try:
        return tokenizer.encode(text if text.strip() else "")
    except ValueError as error:
        raise ValueError(f"{where}: {error}") from None


def one_line(text):
    """An answer never breaks its line, so that the lines of a file and of its translation stay side by side."""
    return text.replace("\r", " ").replace("\n", " ")


# --------------------------------------------------------------------------------------------------------- the batches


def reading_bytes(model, tokens):
    """What it takes while the encoder reads a text."""
    return 4 * model.reading_size(tokens)


def caches_bytes(model, tokens, width, max_tokens):
    """What decoding remembers of a text, for each answer of the beam."""
    return 4 * model.decoding_size(tokens, max_tokens) * width


def check_memory(model, texts, sources, width, max_tokens):
    """ValueError for a text that is too long by itself, and for a beam that is too wide."""
    most = most_tokens(model, max(map(len, sources)))
    for (where, _), ids in zip(texts, sources, strict=True):
        if len(ids) > most:
            raise ValueError(
                f"{where} has {len(ids):,} tokens, more than the {most:,} that are read at once: reading all of them "
                f"takes {gigabytes(reading_bytes(model, len(ids)))}. Cut it into sentences"
            )
    longest = max(map(len, sources))
    needed = caches_bytes(model, longest, width, max_tokens)
    if needed > MOST_BYTES:
        raise ValueError(
            f"answers of up to {max_tokens:,} tokens in a beam of {width:,} take {gigabytes(needed)} for one text, "
            f"more than {gigabytes(MOST_BYTES)}: a narrower --beam or fewer --max-tokens take less"
        )


def most_tokens(model, longest):
    """How many tokens, up to the longest, may be read at once."""
    return bisect_right(range(longest + 1), MOST_BYTES, key=lambda tokens: reading_bytes(model, tokens)) - 1


def gigabytes(count):
    return f"{count / 2**30:,.1f} GiB"


def batches(model, sources, width, max_tokens):
    """Slices of the sources, in order: as many side by side as there is memory for."""
    begin = 0
    while begin < len(sources):
        end, longest = begin, 0
        while end < len(sources) and end - begin < ROWS:
            longest = max(longest, len(sources[end]))
            row = max(reading_bytes(model, longest), caches_bytes(model, longest, width, max_tokens))
            if end > begin and (end - begin + 1) * row > MOST_BYTES:
                break
            end += 1
        yield slice(begin, end)
        begin = end


def answers(model, p, sources, start_id, end_id, width, n_best, args):
    """For each source [(ids, score)], best first; of an empty one, none. A beam of 1 is greedy, and has no scores."""
    import numpy as np

    from ..data.pairs import collate_sources
    from ..decoding import beam_search, decode

    full = [ids for ids in sources if len(ids)]
    if not full:
        return [[] for _ in sources]
    source, source_mask = collate_sources(full, start_id, end_id)
    caches = model.start(p, source, source_mask=source_mask, length=args.max_tokens)
    prompts = np.full((len(full), 1), start_id)
    if width == 1:
        found = decode(model, p, caches, prompts, max_tokens=args.max_tokens, end=end_id)
        found = [[(ids, None)] for ids in found]
    else:
        found = beam_search(
            model,
            p,
            caches,
            prompts,
            width=width,
            n_best=n_best,
            max_tokens=args.max_tokens,
            end=end_id,
            length_penalty=args.length_penalty,
        )
    found = iter(found)
    return [next(found) if len(ids) else [] for ids in sources]
