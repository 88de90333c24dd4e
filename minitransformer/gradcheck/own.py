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


def own_cases(text, rng):
    """[Case, ...] for `path/to/file.py:name` or `package.module:name`. ValueError saying what is missing."""
    place, _, name = text.rpartition(":")
    if not place or not name:
        raise ValueError(f"{text!r}: write file.py:function or package.module:function")
    module = load(place)
    forward, backward = (find(module, place, wanted) for wanted in (name, f"{name}_backward"))
    positional, settings = parameters(forward)
    return [
        Case(forward, backward, only(given, positional), only(given, settings), effort=(64, 3))
        for given in inputs(module, place, name, positional, settings, rng)
    ]


def load(place):
    """The module of this name, or in this file."""
    if not place.endswith(".py"):
        sys.path.insert(0, "")
        try:
            return importlib.import_module(place)
        except ModuleNotFoundError as error:
            raise ValueError(f"there is no module {error.name!r}") from None
        finally:
            sys.path.remove("")
    path = Path(place)
    if not path.is_file():
        raise ValueError(f"there is no file {place}")
    spec = importlib.util.spec_from_file_location(path.stem, path)
    module = importlib.util.module_from_spec(spec)
    sys.path.insert(0, str(path.parent))  # its neighbours can be imported, as when it is run
    try:
        spec.loader.exec_module(module)
    except Exception as error:
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
    kinds = inspect.Parameter
    found = inspect.signature(forward).parameters.values()
    positional = [one.name for one in found if one.kind in (kinds.POSITIONAL_ONLY, kinds.POSITIONAL_OR_KEYWORD)]
    return positional, [one.name for one in found if one.kind == kinds.KEYWORD_ONLY]


def inputs(module, place, name, positional, settings, rng):
    """[{argument: value}, ...], in the order of the function's arguments."""
    known = {*positional, *settings}
    if hasattr(module, "cases"):
        made = module.cases(rng)
        rows = [made] if isinstance(made, dict) else list(made)
        if not rows:
            raise ValueError(f"cases(rng) in {place} made no inputs")
        for row in rows:
            if not isinstance(row, dict):
                raise ValueError(f"cases(rng) in {place} must make dicts of arguments, not {type(row).__name__}")
            if foreign := sorted(row.keys() - known):
                raise ValueError(f"cases(rng) in {place} makes {', '.join(foreign)}, which {name} does not take")
    elif name in CASES:
        drawn = [{**case.args, **case.static} for case in draw_cases(name, Draw(rng))]
        present = [{n: value for n, value in row.items() if value is not None or n in known} for row in drawn]
        rows = [row for row in present if row.keys() <= known]
        if not rows:
            raise ValueError(f"{name} is drawn with the arguments {listed(present[0])}; yours takes {listed(known)}")
    else:
        raise ValueError(
            f"nothing says what {name} takes: write cases(rng) beside it, returning a dict of its arguments"
        )
    return [{n: row[n] for n in (*positional, *settings) if n in row} for row in rows]


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
