"""Fine-tune a published model on labelled data of your own.

minitransformer finetune FOLDER --task classify --data FILE         a class for each text: label, tab, text
minitransformer finetune FOLDER --task tag --data FILE              a label for each word: a line a word
minitransformer finetune FOLDER --task answer --data FILE           answers in texts, as in SQuAD
minitransformer finetune FOLDER --task lm --data FILE               a text, with a GPT-2 or LLaMA
"""

import json
import os
import shlex
import time
from pathlib import Path

from ..threads import available_cores
from . import printable, program

HELP = "fine-tune a published model on data of your own"
BACKEND = "cpu"
LENGTH = 384  # tokens at once, where the model could read more
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
        examples, heldout = hold_out(examples, settings.heldout_share, settings.seed)
    else:
        heldout = kind.read(args.heldout, found.tokenizer, length)
    rng = np.random.default_rng(key_of(settings.seed, HEAD))
    start = starting_point(args.folder, found, kind.head, kind.labels_in(examples + heldout), rng)
    task = kind(found.tokenizer, length, start.labels)
    finetuning = Finetuning(task, start.model, start.p, examples, heldout, settings, args.freeze)
    out.parent.mkdir(parents=True, exist_ok=True)  # what cannot be is said before anything is learnt
    describe(args, start, finetuning)
    kept, epochs = follow(finetuning, args)
    save(out, start, kept.p, found.tokenizer, epochs)
    say(f"the model of epoch {kept.epoch.epoch} is in {out}")
    command = "generate" if args.task == "lm" else args.task
    say(printable(f"next: {program()} {command} {shlex.quote(str(out))} {NEXT[args.task]}"))


def say(line):
    print(line, flush=True)


def length_of(args, context):
    if args.length is None:
        return min(context, LENGTH)
    if not 1 <= args.length <= context:
        raise ValueError(f"--length must be from 1 to the model's context of {context}, not {args.length}")
    return args.length


def free_folder(args):
    """Where the model is to go. FileExistsError where something is that is not to be overwritten."""
    from ..pretrained import is_published

    if args.out == "":
        raise ValueError("--out names no folder")
    out = Path(args.out or f"runs/{args.task}")
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
    with tqdm(total=finetuning.steps, unit="step", disable=None, smoothing=0.1) as bar:
        for event in finetuning.train(args.threads):
            if isinstance(event, Epoch):
                bar.write(epoch_line(event))
                keeper.see(event, finetuning.training.p)
                epochs.append(event)
            else:
                bar.set_postfix_str(f"loss {event.loss:.3f}", refresh=False)
                bar.update()
    took = time.perf_counter() - begin
    say(f"fine-tuned in {int(took // 60)} min {took % 60:.0f} s")
    return keeper, epochs


def epoch_line(event):
    scores = "   ".join(f"{name.replace('_', ' ')} {score:.4f}" for name, score in event.scores.items())
    losses = f"training loss {event.training_loss:.4f}   held-out loss {event.heldout_loss:.4f}"
    return f"epoch {event.epoch:3}   {losses}   {scores}"


def save(out, start, p, tokenizer, epochs):
    """The published folder, with metrics.jsonl beside the weights: all of it, or what was there before."""
    from ..files import TEMPORARY, publish_folder, remove_folder, write_synced
    from ..pretrained import save_pretrained

    temporary = out.with_name(f".{out.name}.{os.getpid()}.new{TEMPORARY}")
    try:
        save_pretrained(temporary, start.model, p, tokenizer, start.labels or None)
        lines = "".join(json.dumps(epoch.as_dict()) + "\n" for epoch in epochs)
        write_synced(temporary / "metrics.jsonl", lines.encode("utf-8"))
        if out.exists():
            remove_folder(out)
        publish_folder(temporary, out)
    finally:
        if temporary.exists():
            remove_folder(temporary)
