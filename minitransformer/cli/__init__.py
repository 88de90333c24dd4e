"""The command `minitransformer`: one file a subcommand, each with `HELP`, `arguments(parser)` and `run(args)`.

A subcommand with `BACKEND` can be told which implementation computes: --backend, which that is the default of. Where
there is `ON_DEVICE` too, that may be the backend cuda: the command brings parameters to the device.
"""

import argparse
import os
import shutil
import signal
import sys
import threading
from contextlib import contextmanager
from importlib import import_module
from unicodedata import category

from ..kernels.cuda_errors import DOCTOR, explain

COMMANDS = (
    "train",
    "generate",
    "translate",
    "fill-mask",
    "classify",
    "tag",
    "answer",
    "embed",
    "pretrain",
    "finetune",
    "attend",
    "story",
    "gradcheck",
    "doctor",
)


def main(argv=None):
    """Run the command line; returns the exit status. A user's mistake is one clear line, never a traceback."""
    from .. import __version__

    about = "Transformers in NumPy, every backward pass written by hand."
    parser = argparse.ArgumentParser(prog="minitransformer", description=about)
    parser.add_argument("--version", action="version", version=f"minitransformer {__version__}")
    parser.add_argument("--traceback", action="store_true", help="show where in the code an error came from")
    commands = parser.add_subparsers(dest="command", metavar="COMMAND", required=True)
    for name in COMMANDS:
        module = module_of(name)
        command = commands.add_parser(name, help=module.HELP, description=module.__doc__.strip().split("\n\n")[0])
        module.arguments(command)
        if hasattr(module, "BACKEND"):
            command.add_argument(
                "--backend",
                default=module.BACKEND,
                metavar="NAME",
                help="cpu: Numba kernels; reference: plain NumPy; cuda: Numba kernels on a GPU (default: %(default)s)"
                if hasattr(module, "ON_DEVICE")
                else "cpu: Numba kernels; reference: plain NumPy (default: %(default)s)",
            )
        command.set_defaults(run=module.run, on_device=hasattr(module, "ON_DEVICE"))
    args, rest = parser.parse_known_args(argv)
    if rest and (not hasattr(args, "texts") or any(each.startswith("-") for each in rest)):
        parser.error(f"unrecognized arguments: {' '.join(rest)}")
    if rest:  # texts behind options, which argparse does not give to those before them
        args.texts = [*args.texts, *rest]
    for name in ("stdout", "stderr"):
        if getattr(sys, name) is None:  # closed by whoever called
            setattr(sys, name, open(os.devnull, "w", encoding="utf-8"))
    if hasattr(sys.stdout, "reconfigure"):  # a terminal that cannot show a character shows another
        sys.stdout.reconfigure(errors="replace")
    try:
        with handled_by(signal.default_int_handler, signal.SIGTERM):  # as Ctrl-C: what is half written goes away
            choose_backend(getattr(args, "backend", "reference"), args.on_device)
            return args.run(args) or 0
    except KeyboardInterrupt:
        print("interrupted", file=sys.stderr)
        return 130
    except BrokenPipeError:  # whoever was reading has seen enough
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 141
    except (ValueError, OSError, ImportError, MemoryError, OverflowError) as error:
        if args.traceback:
            raise
        print(f"minitransformer {args.command}: {one_line(describe(error))}", file=sys.stderr)
        return 1
    except Exception as error:  # a driver's, in the words of whichever library met it
        meaning, _ = explain(f"{type(error).__name__}: {error}") if foreign(error) else (None, None)
        if args.traceback or meaning is None:
            raise
        print(f"minitransformer {args.command}: {meaning} ({DOCTOR})", file=sys.stderr)
        return 1


@contextmanager
def handled_by(handler, *numbers):
    """While this lasts, these signals are handled so: in the main thread, the only one that they reach."""
    here = threading.current_thread() is threading.main_thread()
    before = {number: signal.signal(number, handler) for number in numbers} if here else {}
    try:
        yield
    finally:
        for number, old in before.items():
            signal.signal(number, old)


def module_of(command):
    return import_module(f".{command.replace('-', '_')}", __package__)


def choose_backend(name, on_device):
    from ..convention import known_backend, use_backend

    if known_backend(name) == "cuda" and not on_device:
        able = [command for command in COMMANDS if hasattr(module_of(command), "ON_DEVICE")]
        raise ValueError(f"this command does not compute on a device yet: --backend cuda is for {' and '.join(able)}")
    use_backend(name)
    if name == "cuda":
        from ..kernels.cuda.device import SIMULATED

        if SIMULATED:
            print(
                "note: NUMBA_ENABLE_CUDASIM is set: kernels are simulated, thread by thread, which takes hours for "
                "what a device does in seconds; unset it to use a device",
                file=sys.stderr,
            )
    if name == "cpu":
        from ..kernels.cpu import announce_compilation

        announce_compilation(lambda line: print(line, file=sys.stderr, flush=True))


def program():
    """How this command is called from here, to be pasted into a shell."""
    called = sys.argv[0]
    if os.path.basename(called) == "__main__.py":
        return "python -m minitransformer"
    if shutil.which("minitransformer"):
        return "minitransformer"
    try:
        return os.path.relpath(called)
    except ValueError:  # on another drive
        return called


def printable(text):
    """The text as a terminal may show it: control characters, which could steer it, become a sign of their own.

    Spaces of any width stay, and what joins letters or keeps them apart: some scripts are not written without.
    """
    return "".join(c if c.isprintable() or shows(c) else "\N{REPLACEMENT CHARACTER}" for c in text)


def shows(c):
    return c in "\n\t\N{ZERO WIDTH NON-JOINER}\N{ZERO WIDTH JOINER}" or category(c) == "Zs"


def one_line(text):
    """What an error says, in one line of what can be shown, whatever a damaged file calls its things."""
    return printable(text).replace("\n", " ")


def foreign(error):
    """Whether it comes from the libraries that speak to a GPU."""
    return type(error).__module__.split(".")[0] in ("cupy", "cupy_backends", "numba", "cuda")


def describe(error):
    if isinstance(error, OSError) and error.strerror:
        return f"{error.filename}: {error.strerror}" if error.filename else error.strerror
    if isinstance(error, MemoryError):
        return f"not enough memory: {explain(error)[0] if foreign(error) else error}"
    if isinstance(error, UnicodeEncodeError):
        return f"character {error.start + 1} of {error.object[:20]!r} is not valid text: {error.reason}"
    return str(error)
