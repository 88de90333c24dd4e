"""The matrix products of a training step's linear maps, and nothing else: what no step can be faster than; float32.

Three for each map: y = x Wᵀ, dx = dy W, dW = dyᵀ x. NumPy has all cores for each, the kernels a piece of the batch on
each core, PyTorch its own BLAS.
"""

import numpy as np

from . import step
from .contender import Benchmark, Contender, sketch

SIZES = step.SIZES


def maps(size):
    """[(inputs, outputs), ...] of a GPT's linear maps."""
    D = size.width
    return [*[(D, D)] * 4, (D, 4 * D), (4 * D, D)] * size.layers + [(D, size.vocab)]


def work(size):
    return {"flops": 6 * sum(D * E for D, E in maps(size)) * size.batch * size.context}


def inputs(size):
    """x, W, dy of every map."""
    rng, N = np.random.default_rng(0), size.batch * size.context
    return [tuple(rng.normal(size=s).astype(np.float32) for s in ((N, D), (E, D), (N, E))) for D, E in maps(size)]


def answer(products):
    """The products of each map, one after another, so that not all of them are there at once."""
    return {f"{i}.{name}": s for i, three in enumerate(products) for name, s in sketch(dict(zip("yxw", three))).items()}


def together(size):
    from .machine import cores

    given = inputs(size)  # no workers: BLAS has all cores

    def products():
        for x, w, dy in given:
            yield x @ w.T, dy @ w, dy.T @ x

    return Contender(lambda: answer(products()), lambda: consume(products()), {"threads": cores()})


def pieces(size):
    """Each core has its rows. Of dW there is then a part for each piece; adding them up is not counted here."""
    from minitransformer.memory import keep_freed_memory

    from .machine import all_cores, cores

    keep_freed_memory()
    given, n, spread = inputs(size), cores(), all_cores()

    def of_piece(i):
        for x, w, dy in given:
            part = slice(len(x) * i // n, len(x) * (i + 1) // n)
            yield x[part] @ w.T, dy[part] @ w, dy[part].T @ x[part]

    def joined():
        for parts in zip(*(of_piece(i) for i in range(n))):
            y, dx, dw = zip(*parts)
            yield np.concatenate(y), np.concatenate(dx), sum(dw[1:], dw[0])

    def run():
        list(spread(lambda i: consume(of_piece(i)), range(n)))

    return Contender(lambda: answer(joined()), run, {"threads": n, "pieces": n})


def pytorch(size):
    import torch

    from . import pytorch as theirs

    given = [tuple(map(torch.from_numpy, three)) for three in inputs(size)]

    def products():
        for x, w, dy in given:
            yield x @ w.T, dy @ w, dy.T @ x

    def numbers():
        for three in products():
            yield [part.numpy() for part in three]

    return Contender(lambda: answer(numbers()), lambda: consume(products()), theirs.about())


def consume(products):
    for _ in products:
        pass


BENCHMARK = Benchmark(
    "the matrix products of a training step, alone",
    SIZES,
    {"NumPy": together, "kernels": pieces, "PyTorch": pytorch},
    work,
    tiny=step.BENCHMARK.tiny,
)
