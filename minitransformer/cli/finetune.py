"""Fine-tune a published model on labelled data of your own.

minitransformer finetune FOLDER --task classify --data FILE         a class for each text: label, tab, text
minitransformer finetune FOLDER --task tag --data FILE              a label for each word: a line a word
minitransformer finetune FOLDER --task answer --data FILE           answers in texts, as in SQuAD
minitransformer finetune FOLDER --task lm --data FILE               a text, with a GPT-2 or LLaMA
"""

import itertools
import json
import os
import shlex
import time
from contextlib import contextmanager
from pathlib import Path

from ..threads import available_cores
from . import printable, program

HELP = "fine-tune a published model on data of your own"
BACKEND = "cpu"
LENGTH, LEAST = 384, 4  # tokens at once, where the model could read more; and at least
NEXT = {"classify": '"A TEXT"', "tag": '"A TEXT"', "answer": '"A QUESTION?" --text "A TEXT"', "lm": '--prompt "A TEXT"'}


def arguments(parser):
    from ..finetuning.loop import Settings
    from ..training.settings import options
    from .training_run import setting_arguments

    add = parser.add_argument
    add("folder", metavar="FOLDER", help="a published model: of the BERT family, or for lm a GPT-2 or LLaMA")
    add("--task", required=True, choices=tuple(NEXT), help="what it is to learn")
    add("--data", required=True, metavar="FILE", help="what it learns from")
    add("--heldout", metavar="FILE", help="what it is measured on (default: a share of the data)")
    add("--out", metavar="FOLDER", help="where the model goes (default: runs/TASK)")
    add("--overwrite", action="store_true", help="put it in the place of a model that is there")
    add("--length", type=int, metavar="N", help=f"tokens read at once (default: the model's context, at most {LENGTH})")
    add("--freeze", nargs="+", metavar="NAME", default=[], help="parts that stay: token, position, layers.0, ...")
    add("--keep", choices=("last", "best"), default="last", help="which epoch is saved (default: %(default)s)")
    add("--threads", type=int, default=available_cores(), metavar="N", help="threads (default: %(default)s)")
    setting_arguments(parser, options(Settings))


def run(args):
    import numpy as np

    from ..finetuning.head import load_body, starting_point
    from ..finetuning.loop import HEAD, Finetuning, Settings, hold_out, key_of
    from ..finetuning.tasks import TASKS
    from ..training.settings import options

    if args.threads < 1:
        raise ValueError(f"--threads must be at least 1, not {args.threads}")
    given = {setting.name: getattr(args, setting.name) for setting in options(Settings)}
    settings = Settings(**{name: value for name, value in given.items() if value is not None})
    out, kind = free_folder(args), TASKS[args.task]
    found = load_body(args.folder, kind.head)
    length = length_of(args, getattr(found.model, "body", found.model).context_length)
    examples = kind.read(args.data, found.tokenizer, length)
    if args.heldout is None:
        examples, heldout = hold_out(examples, settings.heldout_share, settings.seed, kind.group)
    else:
        heldout = kind.read(args.heldout, found.tokenizer, length)
    rng = np.random.default_rng(key_of(settings.seed, HEAD))
    labels = kind.labels_in(examples + heldout)
    if args.heldout is not None and (foreign := sorted(set(labels) - set(kind.labels_in(examples)))):
        raise ValueError(f"{args.heldout} has labels that {args.data} has not: {', '.join(foreign[:5])}")
    start = starting_point(args.folder, found, kind.head, labels, rng)
    task = kind(found.tokenizer, length, start.labels)
    finetuning = Finetuning(task, start.model, start.p, examples, heldout, settings, args.freeze)
    try_folder(out)  # what cannot be is said before anything is learnt
    describe(args, start, finetuning)
    kept, epochs = follow(finetuning, args)
    out = save(out, start, kept.p, found.tokenizer, epochs, args.overwrite)
    say(f"the model of epoch {kept.epoch.epoch} is in {out}")
    command = "generate" if args.task == "lm" else args.task
    asked = NEXT[args.task] if getattr(examples[0], "pair", None) is None else '--pairs "A TEXT<tab>ANOTHER"'
    say(printable(f"next: {program()} {command} {shlex.quote(str(out))} {asked}"))


def say(line):
    print(line, flush=True)


def length_of(args, context):
    if args.length is None:
        return min(context, LENGTH)
    least = min(LEAST, context)
    if not least <= args.length <= context:
        raise ValueError(f"--length must be from {least} to the model's context of {context}, not {args.length}")
    return args.length


def free_folder(args):
    """Where the model is to go. FileExistsError where something is that is not to be overwritten."""
    from ..pretrained import is_published

    if args.out == "":
        raise ValueError("--out names no folder")
    out = Path(args.out or f"runs/{args.task}")
    if out.is_symlink() and not out.exists():
        raise ValueError(f"{out} is a link to nothing: --out must name another folder")
    if not out.exists():
        return out
    if not args.overwrite:
        raise FileExistsError(f"{out} is there already: --out names another folder, --overwrite takes its place")
    if out.resolve() == Path(args.folder).resolve():
        raise ValueError(f"{out} is what is to be fine-tuned: --out must name another folder")
    if not is_published(out):
        raise ValueError(f"{out} is there, and holds no published model: it is not overwritten")
    return out


def describe(args, start, finetuning):
    from ..finetuning.loop import n_trained

    whole, trained = n_trained(finetuning)
    fixed = f", {trained:,} of them trained," if trained < whole else ""
    rows, heldout = len(finetuning.rows), len(finetuning.heldout_rows)
    say(f"{type(start.model).__name__} with {whole:,} parameters{fixed} on {rows:,} rows; {heldout:,} are held out")
    if start.labels:
        say(
            printable(f"{len(start.labels)} labels: {', '.join(start.labels[:20])}{', ...' * (len(start.labels) > 20)}")
        )
    if start.drawn:
        say(f"a new head is drawn: {args.folder} has none for this")


def follow(finetuning, args):
    """Train, and show how it goes: what is kept, and every epoch."""
    from tqdm import tqdm

    from ..finetuning.loop import Epoch, Keeper
    from ..memory import keep_freed_memory

    keep_freed_memory()
    keeper, epochs = Keeper(finetuning.task, args.keep == "best"), []
    begin = time.perf_counter()
    with (
        nothing_saved(),
        tqdm(total=finetuning.steps, unit="step", disable=None, smoothing=0.1) as bar,
    ):
        for event in finetuning.train(args.threads):
            if isinstance(event, Epoch):
                bar.write(epoch_line(event))
                keeper.see(event, finetuning.training.p)
                epochs.append(event)
            else:
                bar.set_postfix_str(f"loss {event.loss:.3f}", refresh=False)
                bar.update()
    took = time.perf_counter() - begin
    say(f"fine-tuned in {round(took) // 60} min {round(took) % 60} s")
    return keeper, epochs


@contextmanager
def nothing_saved():
    """Say so on Ctrl-C: unlike `train`, this writes its folder at the end."""
    try:
        yield
    except KeyboardInterrupt:
        say("nothing is saved: the model is written when all epochs are done")
        raise


def epoch_line(event):
    scores = "   ".join(f"{name.replace('_', ' ')} {score:.4f}" for name, score in event.scores.items())
    losses = f"training loss {event.training_loss:.4f}   held-out loss {event.heldout_loss:.4f}"
    return f"epoch {event.epoch:3}   {losses}   {scores}"


def try_folder(out):
    """OSError where no folder can be made beside this one, or of such a name."""
    temporary = beside(out, "new")
    with named(out):
        out.parent.mkdir(parents=True, exist_ok=True)
        temporary.mkdir()
        temporary.rmdir()


@contextmanager
def named(out):
    """What keeps a folder from being written is said with its name, not with those of the files in it."""
    try:
        yield
    except OSError as error:
        raise OSError(error.errno, f"{out} cannot be written: {error.strerror or error}") from None


def beside(out, what):
    from ..files import TEMPORARY

    return out.with_name(f".{out.name}.{os.getpid()}.{what}{TEMPORARY}")


def save(out, start, p, tokenizer, epochs, overwrite):
    """The published folder, with metrics.jsonl beside the weights, all of it   ->   where it is

    What came to be there meanwhile stays, unless it is to be overwritten: then the model has another name.
    """
    from ..files import publish_folder, remove_folder, write_synced
    from ..pretrained import save_pretrained

    temporary, old = beside(out, "new"), beside(out, "old")
    try:
        with named(out):
            kept = {"ends": start.ends, "spare": start.spare, "chat": start.chat}
            save_pretrained(temporary, start.model, p, tokenizer, start.labels or None, **kept)
            lines = "".join(json.dumps(epoch.as_dict()) + "\n" for epoch in epochs)
            write_synced(temporary / "metrics.jsonl", lines.encode("utf-8"))
    except BaseException:
        if temporary.exists():
            remove_folder(temporary)
        raise
    if out.exists() and not overwrite:
        wanted = out
        out = next(name for n in itertools.count(2) if not (name := out.with_name(f"{out.name}-{n}")).exists())
        say(f"note: {wanted} came to be there meanwhile, and stays")
    if out.exists():
        os.rename(out, old)  # and if all ends here: nothing is lost, under whichever name
    publish_folder(temporary, out)
    if old.exists():
        remove_folder(old)
    return out
