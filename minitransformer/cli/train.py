"""Train a GPT on text: the Python Language Reference, which every Python carries, or your own files.

The run goes into a folder. Ctrl-C saves a checkpoint; `--resume FOLDER` goes on bit for bit.
"""

import os
import signal
import sys
import time
from contextlib import contextmanager

from . import program

HELP = "train a GPT on text"
OUT = "runs/gpt2"


def arguments(parser):
    from ..training.settings import options

    parser.add_argument("--text", nargs="+", metavar="FILE", help="UTF-8 text files to learn from")
    parser.add_argument("--out", metavar="FOLDER", help=f"where the run goes (default: {OUT})")
    parser.add_argument("--resume", metavar="FOLDER", help="go on with the run in this folder")
    parser.add_argument("--overwrite", action="store_true", help="begin anew in a folder that holds a run")
    parser.add_argument("--threads", type=int, default=available_cores(), help="threads (default: %(default)s)")
    for setting in options():
        parser.add_argument(
            flag(setting.name),
            type=setting.type,
            metavar={str: "NAME", int: "N", float: "X"}[setting.type],
            help=f"{setting.metadata['meaning']} (default: {setting.default})",
        )


def flag(name):
    return f"--{name.replace('_', '-')}"


def available_cores():
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def run(args):
    from ..training.run import Run
    from ..training.settings import Settings, options

    if args.threads < 1:
        raise ValueError(f"--threads must be at least 1, not {args.threads}")
    given = {setting.name: getattr(args, setting.name) for setting in options()}
    chosen = {name: value for name, value in given.items() if value is not None}
    if args.resume:
        fixed = [flag(name) for name in chosen] + ["--out"] * bool(args.out) + ["--overwrite"] * args.overwrite
        if fixed:
            raise ValueError(f"a resumed run keeps its settings: {', '.join(fixed)} cannot go with --resume")
        training_run = Run.resume(args.resume, args.text)
        say(f"resuming {training_run.folder} at step {training_run.training.step:,}")
        for name, (then, now) in training_run.differences.items():
            say(f"note: {name} was {readable(then)}, is {readable(now)}: the last bits may differ")
    else:
        settings = Settings(text=tuple(os.path.abspath(path) for path in args.text or ()), **chosen)
        training_run = Run.start(args.out or OUT, settings, args.overwrite)
    return follow(training_run, args.threads)


def readable(value):
    return ", ".join(value) if isinstance(value, list) else value


def say(line):
    print(line, flush=True)


def follow(run, threads):
    """Train, and show how it goes."""
    from tqdm import tqdm

    from ..training.loop import Diverged
    from ..training.run import Evaluation
    from ..trees import leaves

    settings, text = run.settings, "your text" if run.settings.text else "the Python Language Reference"
    count = sum(leaf.size for _, leaf in leaves(run.training.p))
    say(f"GPT-2 with {count:,} parameters on {text}: {len(run.learn_ids):,} tokens of {run.tokenizer.vocab_size} kinds")
    begin, per_step = time.perf_counter(), settings.batch * settings.accumulate * settings.context
    with (
        asked_to_stop() as asked,
        tqdm(total=settings.steps, initial=run.training.step, unit="step", disable=None, smoothing=0.1) as bar,
    ):
        try:
            for event in run.train(threads):
                if isinstance(event, Evaluation):
                    bar.write(evaluation_line(event))
                    bar.write(sample(run))
                else:
                    rate = bar.format_dict["rate"] or 0
                    bar.set_postfix_str(f"loss {event.loss:.3f}, {rate * per_step:,.0f} tokens/s", refresh=False)
                    bar.update()
                if asked and run.training.step < settings.steps:
                    run.save()
                    break
        except Diverged as error:
            bar.close()
            whole = f"the checkpoint of step {run.saved_step()} in {run.folder} is whole"
            raise Diverged(f"{error}. Training stopped; {whole}.") from None
    took = time.perf_counter() - begin
    draw(run)
    if run.training.step < settings.steps:
        say(f"interrupted and saved at step {run.training.step:,}")
        say(f"to go on: {program()} train --resume {run.folder}")
        return 130
    say(f"trained in {int(took // 60)} min {took % 60:.0f} s; the run is in {run.folder}")
    say(f'next: {program()} generate {run.folder} --prompt "The "')
    say(f"      (docs/ explains every part of it; Ctrl-C saves, and {program()} train --resume FOLDER goes on)")
    return 0


def evaluation_line(event):
    return (
        f"step {event.step:6,}   training loss {event.training_loss:.4f}   validation loss {event.validation_loss:.4f}"
        f"   {event.tokens_per_second:,.0f} tokens/s"
    )


def sample(run, length=160):
    """What the model writes by now, going on from the beginning of the held-out text, its lines marked by a bar."""
    from ..decoding import generate

    prompt = run.held_out_ids[: max(run.settings.context // 2, 1)]
    ids = generate(run.model, run.training.p, prompt, max_tokens=length, temperature=0.8, seed=run.training.step)
    lines = run.tokenizer.decode(list(ids)).splitlines()
    return "\n".join(f"    │ {line.rstrip()}" for line in lines if line.strip())


def draw(run):
    records = run.records()
    if not records:
        return
    try:
        from ..plots.loss import draw_loss

        draw_loss(records, run.folder / "loss.png", f"{run.folder.name}: {run.training.step:,} steps")
    except ImportError:
        say("no loss.png: it takes matplotlib, which `pip install minitransformer[plot]` brings")


@contextmanager
def asked_to_stop():
    """A list that is no longer empty once Ctrl-C was pressed; pressed again, it interrupts at once."""
    asked = []

    def ask(number, frame):
        if asked:
            raise KeyboardInterrupt
        asked.append(number)
        print("\nsaving after this step ...", file=sys.stderr, flush=True)

    before = {number: signal.signal(number, ask) for number in (signal.SIGINT, signal.SIGTERM)}
    try:
        yield asked
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
