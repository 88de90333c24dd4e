"""What the museum is made of: rooms with exhibits, and checks that look at them.

An exhibit is a piece of wrong code that somebody would write, and did, beside the right one. Its checks are questions
that a number answers. Those it names as blind are passed by the wrong code; those that caught it fail it. The right
code passes them all. None of that is told: test_museum.py runs it, and page.py shows what came out.
"""

from dataclasses import dataclass, field
from typing import Any, NamedTuple

import numpy as np


class Pair(NamedTuple):
    """A forward and its backward, as the convention has them, but in no registry."""

    forward: Any
    backward: Any

    def __call__(self, *args, **static):
        return self.forward(*args, **static)


@dataclass(frozen=True)
class Check:
    """A question to a piece of code. `measure(subject, rng)` answers with a number, which passes within its bounds."""

    name: str
    measure: Any
    at_least: float = -np.inf
    at_most: float = np.inf
    kind: str = "property"  # or "gradient check", or "parity"

    def __call__(self, subject, rng):
        with np.errstate(all="ignore"):  # wrong code divides by zero and overflows; the number will tell
            return float(self.measure(subject, rng))

    def passes(self, value):
        return self.at_least <= value <= self.at_most  # NaN does not


@dataclass(frozen=True)
class Exhibit:
    """One bug: why one falls for it, who reported it, and what sees it."""

    name: str
    story: str
    reported: tuple  # threads in which it was reported, as "owner/repository number"
    wrong: Any  # what the checks are given: a pair, a function, or what the room builds of them
    right: Any
    blind: tuple
    caught: tuple
    wrong_code: tuple  # the functions to read; by default those of `wrong` and of `right`
    right_code: tuple

    @property
    def checks(self):
        return (*self.blind, *self.caught)


@dataclass
class Room:
    """Exhibits about one thing."""

    title: str
    story: str
    table: tuple = ()  # checks that every exhibit of the room is put to, shown in one table
    code: tuple = ()  # what its exhibits are built of
    exhibits: list = field(default_factory=list)

    def exhibit(self, name, story, *, reported, wrong, right, blind, caught, wrong_code=None, right_code=None):
        codes = (wrong_code or functions(wrong), right_code or functions(right))
        self.exhibits.append(Exhibit(name, story, reported, wrong, right, blind, caught, *codes))


def functions(subject):
    """What there is to read of a subject."""
    return tuple(subject) if isinstance(subject, Pair) else (subject,)
