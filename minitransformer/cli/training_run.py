"""What the commands that train have in common: options, and how a run is begun, resumed, shown and interrupted."""

import os
import shlex
import signal
import time
from contextlib import contextmanager

from ..installing import install
from ..threads import available_cores
from . import handled_by, printable, program


def add_training_options(parser, settings_class, out):
    """The options that were added."""
    from ..training.settings import options

    add, threads = parser.add_argument, available_cores()
    return [
        add("--out", metavar="FOLDER", help=f"where the run goes (default: {out})"),
        add("--resume", metavar="FOLDER", help="go on with the run in this folder"),
        add("--overwrite", action="store_true", help="begin anew in a folder that holds a run"),
        add("--threads", type=int, default=threads, metavar="N", help="threads (default: %(default)s)"),
        *setting_arguments(parser, options(settings_class)),
    ]


def setting_arguments(parser, settings):
    """The options that were added, one for each setting; None where it is not given."""
    return [parser.add_argument(flag(setting.name), **argument_of(setting)) for setting in settings]


def argument_of(setting):
    """What argparse is told of a setting."""
    meaning = setting.metadata["meaning"]
    if setting.type is bool:  # off, unless it is asked for
        return {"action": "store_true", "default": None, "help": meaning}
    metavar = {str: "NAME", int: "N", float: "X"}[setting.type]
    return {"type": setting.type, "metavar": metavar, "help": f"{meaning} (default: {setting.default})"}


def flag(name):
    return f"--{name.replace('_', '-')}"


def train(args, task_class, text, out, more=None, there=None, finish=None):
    """Begin or resume the run that the arguments ask for, and follow it to its end; the exit status.

    more: settings that are no options   there: what `Run.start` need not make   finish(run): what is done at the end
    """
    from ..training.run import Run
    from ..training.settings import options

    if args.threads < 1:
        raise ValueError(f"--threads must be at least 1, not {args.threads}")
    given = {setting.name: getattr(args, setting.name) for setting in options(task_class.settings_class)}
    chosen = {name: value for name, value in given.items() if value is not None}
    for name in ("resume", "out"):
        if getattr(args, name) == "":
            raise ValueError(f"--{name} names no folder")
    if args.resume:
        fixed = [flag(name) for name in chosen] + ["--out"] * bool(args.out) + ["--overwrite"] * args.overwrite
        if fixed:
            raise ValueError(f"a resumed run keeps its settings: {', '.join(fixed)} cannot go with --resume")
        run = Run.resume(args.resume, text)
        if type(run.task) is not task_class:
            raise ValueError(f"{args.resume} is a run of another command: {run.task.command} --resume goes on with it")
        say(f"resuming {run.folder} at step {run.training.step:,}")
        for name, (then, now) in run.differences.items():
            say(f"note: {name} was {readable(then)}, is {readable(now)}: the last bits may differ")
    else:
        text = tuple(os.path.abspath(path) for path in text or ())
        settings = task_class.settings_class(text=text, **chosen | (more or {}))
        run = Run.start(args.out or out, settings, args.overwrite, **there or {})
    return follow(run, args.threads, finish)


def readable(value):
    return ", ".join(map(str, value)) if isinstance(value, list) else value


def say(line):
    print(line, flush=True)


def follow(run, threads, finish=None):
    """Train, and show how it goes; finish(run) when all steps are done."""
    from tqdm import tqdm

    from ..memory import keep_freed_memory
    from ..training.loop import Diverged
    from ..training.run import Evaluation
    from ..trees import leaves

    keep_freed_memory()
    count = sum(leaf.size for _, leaf in leaves(run.training.p))
    say(f"{type(run.model).__name__} with {count:,} parameters on {run.task.about()}")
    for note in run.task.notes:
        say(f"note: {note}")
    begin, steps = time.perf_counter(), run.settings.steps
    with (
        asked_to_stop() as asked,
        tqdm(total=steps, initial=run.training.step, unit="step", disable=None, smoothing=0.1) as bar,
    ):
        try:
            for event in run.train(threads):
                if isinstance(event, Evaluation):
                    bar.write(evaluation_line(event))
                    bar.write(marked(run.task.sample(run.training.p, run.training.step)))
                else:
                    bar.set_postfix_str(
                        f"loss {event.loss:.3f}, {event.tokens_per_second:,.0f} tokens/s", refresh=False
                    )
                    bar.update()
                if asked and run.training.step < steps:
                    run.save()
                    break
        except Diverged as error:
            bar.close()
            whole = f"the checkpoint of step {run.saved_step()} in {run.folder} is whole"
            raise Diverged(f"{error}. Training stopped; {whole}.") from None
    took = time.perf_counter() - begin
    draw(run)
    if run.training.step < steps:
        say(f"interrupted and saved at step {run.training.step:,}")
        say(f"to go on: {program()} {run.task.command} --resume {shlex.quote(str(run.folder))}")
        return 130
    if finish:
        finish(run)
    say(f"trained in {round(took) // 60} min {round(took) % 60} s; the run is in {run.folder}")
    say(printable(f"next: {program()} {run.task.next_command(shlex.quote(str(run.folder)))}"))
    say("      (docs/ explains every part of it; Ctrl-C saves, and --resume FOLDER goes on)")
    return 0


def evaluation_line(event):
    """The losses, and below them what else was measured."""
    scores = "   ".join(f"{name.replace('_', ' ')} {score}" for name, score in event.scores.items())
    return (
        f"step {event.step:6,}   training loss {event.training_loss:.4f}   validation loss {event.validation_loss:.4f}"
        f"   {event.tokens_per_second:,.0f} tokens/s" + (f"\n              {scores}" if scores else "")
    )


def marked(text):
    """The lines that are not empty, each with a bar before it."""
    return "\n".join(f"    │ {line.rstrip()}" for line in printable(text).split("\n") if line.strip())


def draw(run):
    records = run.records()
    if not records:
        return
    try:
        from ..plots.loss import draw_loss

        draw_loss(records, run.folder / "loss.png", f"{run.folder.name}: {run.training.step:,} steps")
    except ImportError:
        say(f"no loss.png: it takes matplotlib, which `{install('plot')}` brings")
    except (OSError, TypeError, ValueError) as error:  # a picture never fails a run that is done
        say(f"no loss.png: {error}")


@contextmanager
def asked_to_stop():
    """A list that is no longer empty once Ctrl-C was pressed; pressed again, it interrupts at once."""
    asked = []

    def ask(number, frame):
        if asked:
            raise KeyboardInterrupt
        asked.append(number)
        os.write(2, b"\nsaving after this step ...\n")  # a handler must not wait for a buffer

    with handled_by(ask, signal.SIGINT, signal.SIGTERM):
        yield asked
