"""Recurrent operations over whole sequences, forward and backward, 32 sequences of 64 steps; float32."""

from typing import NamedTuple

import numpy as np

from .contender import Benchmark, Contender, sketch

GATES = {"rnn": 1, "gru": 3, "lstm": 4}


class Size(NamedTuple):
    cell: str
    width: int
    batch: int = 32
    steps: int = 64


SIZES = {f"{cell}{width}": Size(cell, width) for cell in GATES for width in (128, 512)}


def work(size):
    """The products of both maps at every step, and of their two gradients."""
    return {"flops": 3 * 2 * size.batch * size.steps * 2 * GATES[size.cell] * size.width**2}


def inputs(size):
    """p, x and what is felt of y."""
    rng, D, rows = np.random.default_rng(0), size.width, GATES[size.cell] * size.width

    def draw(*shape):
        return rng.normal(size=shape).astype(np.float32)

    p = {name: {"weight": draw(rows, D) / np.float32(D**0.5), "bias": draw(rows)} for name in ("input", "hidden")}
    return p, draw(size.batch, size.steps, D), draw(size.batch, size.steps, D)


def named(y, dx, g):
    found = {f"d{part}.{kind}": g[part][kind] for part in ("input", "hidden") for kind in ("weight", "bias")}
    return found | {"y": y, "dx": dx}


def ours(backend):
    def make(size):
        import minitransformer
        from minitransformer import ops
        from minitransformer.memory import keep_freed_memory

        from .machine import all_cores, cores

        keep_freed_memory()
        minitransformer.use_backend(backend)
        cell, map, n = getattr(ops, size.cell), all_cores(), cores()
        p, x, dy = inputs(size)
        parts = list(zip(np.array_split(x, n), np.array_split(dy, n), strict=True))

        def one(part):
            (y, *states), saved = cell(p, part[0])
            dx, *_, g = cell.backward(part[1], *(None for _ in states), saved)
            return y, dx, g

        def both():
            return list(map(one, parts))

        def answer():
            y, dx, g = zip(*both())
            whole = {name: {kind: sum(part[name][kind] for part in g) for kind in p[name]} for name in p}
            return sketch(named(np.concatenate(y), np.concatenate(dx), whole))

        return Contender(answer, both, {"threads": n, "parts": n})

    return make


def pytorch(size):
    """nn.RNN, nn.GRU or nn.LSTM, whose gates stand in the order of ours."""
    import torch

    from . import pytorch as theirs

    p, x, dy = inputs(size)
    module = getattr(torch.nn, size.cell.upper())(size.width, size.width, batch_first=True)
    names = {"input": "ih", "hidden": "hh"}
    with torch.no_grad():
        for ours, name in names.items():
            for kind in ("weight", "bias"):
                getattr(module, f"{kind}_{name}_l0").copy_(torch.from_numpy(p[ours][kind]))
    x, dy = torch.from_numpy(x).requires_grad_(), torch.from_numpy(dy)
    felt = [x, *module.parameters()]

    def both():
        y, _ = module(x)
        return y, torch.autograd.grad(y, felt, dy)

    def answer():
        y, (dx, *gradients) = both()
        by_name = {name: gradient.numpy() for (name, _), gradient in zip(module.named_parameters(), gradients)}
        g = {ours: {kind: by_name[f"{kind}_{name}_l0"] for kind in ("weight", "bias")} for ours, name in names.items()}
        return sketch(named(y.detach().numpy(), dx.numpy(), g))

    return Contender(answer, both, theirs.about())


BENCHMARK = Benchmark(
    "recurrent operations, forward and backward",
    SIZES,
    {"NumPy": ours("reference"), "kernels": ours("cpu"), "PyTorch": pytorch},
    work,
    tiny=Size("lstm", 8, 4, 3),
)
