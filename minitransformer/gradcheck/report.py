"""The check as a table: a row for every thing."""

import math
import time
from dataclasses import dataclass, field

import numpy as np

from ..convention import THINGS
from .cases import Draw, checkable, draw_cases
from .check import EXTENDED, Misfit, bar, check, has_extended, worst
from .own import describe, own_cases


@dataclass
class Row:
    """What was found about one thing."""

    name: str
    kind: str
    gradients: int = 0  # over all its cases
    float64: float | None = None  # the worst relative error
    extended: float | None = None  # None: not measured, see `note`
    seconds: float = 0.0
    problems: list = field(default_factory=list)
    note: str = ""

    @property
    def passed(self):
        return not self.problems

    def as_dict(self):
        errors = {name: finite(getattr(self, name)) for name in ("float64", "extended")}
        return {**vars(self), **errors, "passed": self.passed}


def finite(error):
    """JSON has no NaN."""
    return error if error is None or math.isfinite(error) else str(error)


def report(names, seed):
    """Yields a `Row` for each name; for everything that is registered, where there are none."""
    for name in names:
        if ":" not in name and name not in checkable():
            why = "has no backward to check" if name in THINGS else "is not registered"
            raise ValueError(f"{name} {why}; there are: {', '.join(checkable())}; or write file.py:function")
    for name in names or checkable():
        yield check_own(name, seed) if ":" in name else check_registered(name, seed)


def check_registered(name, seed):
    thing = THINGS[name]
    return fill_row(
        Row(name, thing.kind),
        lambda rng: draw_cases(name, Draw(rng)),
        seed,
        extended=getattr(thing, "extended", True),
        describe=lambda error: f"{type(error).__name__}: {error}",
    )


def check_own(text, seed):
    """Somebody's functions may do anything: whatever they raise becomes a line of the report."""
    place = text.rpartition(":")[0]
    row = Row(text, "own")
    try:
        own_cases(text, np.random.default_rng(seed))
    except (Exception, SystemExit) as error:
        row.problems.append(str(error) if isinstance(error, ValueError) else describe(error, place))
        return row
    return fill_row(
        row, lambda rng: own_cases(text, rng), seed, extended=None, describe=lambda error: describe(error, place)
    )


def fill_row(row, cases, seed, *, extended, describe):
    """Check in float64, then in extended precision. `extended`: whether that exists; None: try, and see."""
    begin = time.perf_counter()
    found, trouble = check_in(np.float64, row.kind, cases, seed, describe)
    row.gradients, row.float64 = len(found), worst(found) if found else None
    row.problems = [trouble] * bool(trouble) + wrong(found)
    if not has_extended():
        row.note = "this machine's long double is no wider than float64: checked in float64 alone"
    elif extended is False:
        row.note = "a function in it exists only up to float64: checked in float64 alone"
    elif row.passed:
        found, trouble = check_in(EXTENDED, row.kind, cases, seed, describe)
        row.extended = worst(found) if found and not trouble else None
        row.problems = [f"in extended precision {problem}" for problem in wrong(found)]
        if trouble and extended is None:  # somebody's own functions need not go beyond float64
            row.note = f"checked in float64 alone, since in extended precision {trouble}"
        elif trouble:
            row.problems.append(f"in extended precision {trouble}")
    row.seconds = time.perf_counter() - begin
    return row


def check_in(dtype, kind, cases, seed, describe):
    """What was found in this dtype, and what went wrong on the way, in words."""
    rng, found = np.random.default_rng(seed), []
    try:
        for case in cases(rng):
            found += check(case, dtype, rng, bar(kind, dtype))
    except Misfit as misfit:
        return found, str(misfit)
    except (Exception, SystemExit) as error:
        read_only = isinstance(error, ValueError) and "read-only" in str(error)
        told = "it writes to an argument or to what was saved; things are pure: " if read_only else ""
        return found, told + describe(error)
    return found, ""


def wrong(found):
    return [problem_line(gradient) for gradient in found if not gradient.passed]


def problem_line(gradient):
    if gradient.problem != "wrong":
        return f"the gradient of {gradient.name} is {gradient.problem}"
    at = "along a random direction" if gradient.index is None else f"at {list(gradient.index)}"
    return (
        f"the gradient of {gradient.name} is wrong {at}: expected {gradient.expected:.9g}, got {gradient.got:.9g} "
        f"(relative error {gradient.error:.1e})"
    )
