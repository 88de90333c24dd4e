"""One side of a comparison: something that can be asked what it computes, and timed while it computes it."""

from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np


class Contender(NamedTuple):
    answer: Callable  # () -> {name: array}, from inputs that all sides share: what is held to the reference's
    run: Callable  # () -> None, one unit of the work; what is timed
    about: dict = {}  # versions, threads: printed and kept


class Benchmark(NamedTuple):
    """A comparison: what it is of, its sizes, who takes part, and the least that any of them must do."""

    about: str
    sizes: dict  # name -> what the makers take
    contenders: dict  # name -> a function: a size to a Contender
    work: Callable  # size -> {"flops": ..., "bytes": ...}, of which the floor follows; "tokens", for tokens a second
    tolerance: float = 1e-4  # of the answers, in float32, relative to the length of each
    apart: dict = {}  # size -> the contender that cannot take part in it
    tiny: Any = None  # a size that is run first in every process, and not timed


def sketch(arrays):
    """{name: its length, and its product with a fixed random direction}: what tells two large trees of arrays apart."""
    found = {}
    for i, (name, array) in enumerate(sorted(arrays.items())):
        row = np.asarray(array, np.float64).ravel()
        direction = np.random.default_rng(i).normal(size=row.size) / max(row.size, 1) ** 0.5
        found[name] = np.array([np.linalg.norm(row), row @ direction])
    return found
