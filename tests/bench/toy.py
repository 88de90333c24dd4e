"""A benchmark that takes no time: what the comparison is tested on."""

from typing import NamedTuple

import numpy as np

from bench.contender import Benchmark, Contender, sketch


class Size(NamedTuple):
    n: int


def contender(factor):
    def make(size):
        x = np.arange(1, size.n + 1, dtype=np.float32)
        return Contender(lambda: sketch({"y": factor * x}), lambda: factor * x, {"factor": factor})

    return make


BENCHMARK = Benchmark(
    "a toy",
    {"short": Size(10), "long": Size(1000)},
    {"NumPy": contender(1.0), "near": contender(1 + 1e-6), "wrong": contender(1.001)},
    lambda size: {"bytes": 4 * size.n},
    tiny=Size(1),
)
