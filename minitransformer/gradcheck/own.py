"""Somebody's own pair of functions, held to the same check: `gradcheck mine.py:gelu`.

The pair is a function and, beside it, its name with `_backward`. The inputs come from a function `cases(rng)` beside
them, which returns a dict of arguments by name or yields several; without one, they are drawn as for the registered
operation of the same name.
"""

import importlib
import importlib.util
import inspect
import sys
from pathlib import Path

from .cases import CASES, Case, Draw, draw_cases

POSITIONAL = (inspect.Parameter.POSITIONAL_ONLY, inspect.Parameter.POSITIONAL_OR_KEYWORD)


def own_cases(text, rng):
    """[Case, ...] for `path/to/file.py:name` or `package.module:name`. ValueError saying what is missing."""
    place, _, name = text.rpartition(":")
    if not place or not name:
        raise ValueError(f"{text!r}: write file.py:function or package.module:function")
    module = load(place)
    forward, backward = (find(module, place, wanted) for wanted in (name, f"{name}_backward"))
    positional, settings = parameters(forward)
    return [
        Case(forward, backward, only(given, positional), only(given, settings), zero, effort=(64, 3))
        for given, zero in inputs(module, place, name, forward, rng)
    ]


def load(place):
    """The module of this name, or in this file."""
    if not place.endswith(".py"):
        sys.path.insert(0, "")
        try:
            return importlib.import_module(place)
        except ModuleNotFoundError as error:
            raise ValueError(f"there is no module {error.name!r}") from None
        except (Exception, SystemExit) as error:
            raise ValueError(f"{place} cannot be imported: {type(error).__name__}: {error}") from error
        finally:
            sys.path.remove("")
    path = Path(place)
    if not path.is_file():
        raise ValueError(f"there is no file {place}")
    spec = importlib.util.spec_from_file_location(f"own_{path.stem}", path)
    module = sys.modules[spec.name] = importlib.util.module_from_spec(spec)
    sys.path.insert(0, str(path.parent))  # its neighbours can be imported, as when it is run
    try:
        spec.loader.exec_module(module)
    except (Exception, SystemExit) as error:
        raise ValueError(f"{place} cannot be imported: {describe(error, place)}") from error
    finally:
        sys.path.remove(str(path.parent))
    return module


def find(module, place, name):
    function = getattr(module, name, None)
    if function is None:
        raise ValueError(f"{place} has no function {name}")
    if not callable(function):
        raise ValueError(f"{name} in {place} is not a function")
    return function


def parameters(forward):
    """The names of the arguments that a gradient may be due for, and of the settings after the star."""
    found = inspect.signature(forward).parameters.values()
    positional = [one.name for one in found if one.kind in POSITIONAL]
    return positional, [one.name for one in found if one.kind == inspect.Parameter.KEYWORD_ONLY]


def inputs(module, place, name, forward, rng):
    """[({argument: value}, names of zero gradients), ...], in the order of the function's arguments."""
    positional, settings = parameters(forward)
    known = {*positional, *settings}
    if hasattr(module, "cases"):
        made = module.cases(rng)
        rows = [made] if isinstance(made, dict) else list(made if made is not None else ())
        if not rows:
            raise ValueError(f"cases(rng) in {place} made no inputs: it must return a dict of arguments, or yield some")
        for row in rows:
            if not isinstance(row, dict):
                raise ValueError(f"cases(rng) in {place} must make dicts of arguments, not {type(row).__name__}")
            if foreign := sorted(map(str, row.keys() - known)):
                raise ValueError(f"cases(rng) in {place} makes {', '.join(foreign)}, which {name} does not take")
        return [(complete(row, forward, place), ()) for row in rows]
    if name not in CASES:
        raise ValueError(
            f"nothing says what {name} takes: write cases(rng) beside it, returning a dict of its arguments"
        )
    drawn = [({**case.args, **case.static}, case.zero) for case in draw_cases(name, Draw(rng))]
    present = [({n: v for n, v in row.items() if v is not None or n in known}, zero) for row, zero in drawn]
    rows = [(complete(row, forward, place), zero) for row, zero in present if row.keys() <= known]
    if not rows:
        raise ValueError(f"{name} is drawn with the arguments {listed(present[0][0])}; yours takes {listed(known)}")
    return rows


def complete(row, forward, place):
    """The arguments in their order, with the function's own defaults where one before the last given is missing."""
    found, wanted = {}, dict(inspect.signature(forward).parameters)
    last = max((i for i, n in enumerate(wanted) if n in row), default=-1)
    for i, (n, parameter) in enumerate(wanted.items()):
        if n in row:
            found[n] = row[n]
        elif parameter.default is parameter.empty and parameter.kind in (parameter.KEYWORD_ONLY, *POSITIONAL):
            raise ValueError(f"cases(rng) in {place} makes no {n}")
        elif i < last and parameter.kind in POSITIONAL:
            found[n] = parameter.default
    return found


def listed(names):
    return ", ".join(sorted(names)) or "none"


def only(given, names):
    return {name: value for name, value in given.items() if name in names}


def describe(error, place):
    """The error in one line, with the line of somebody's own file that it came from."""
    trace, line = error.__traceback__, None
    while trace is not None:
        if Path(trace.tb_frame.f_code.co_filename).name == Path(place).name:
            line = trace.tb_lineno
        trace = trace.tb_next
    where = f"line {line}: " if line else ""
    return f"{where}{type(error).__name__}: {error}"
