"""One operation after another, forward and backward, on rows of a GPT-2's width; float32.

Whatever has a kernel must stand here: a benchmark that leaves something out is refused when it is imported.
"""

from typing import NamedTuple

import numpy as np

from minitransformer import ops
from minitransformer.convention import THINGS
from minitransformer.kernels import cpu  # noqa: F401  so that the registry knows the kernels

from .contender import Benchmark, Contender, sketch

N, D, V, HEADS = 1024, 768, 50257, 12


class Size(NamedTuple):
    operation: str


def draw(*shape, seed=0):
    return np.random.default_rng(seed).normal(size=shape).astype(np.float32)


def affine(*names):
    return {name: draw(D, seed=i + 5) for i, name in enumerate(names)}


def ids(size, vocab=V):
    return np.random.default_rng(3).integers(0, vocab, size)


# name -> (positional arguments, settings): what the operation is timed on
CASES = {
    "layer_norm": lambda: ((affine("weight", "bias"), draw(N, D)), {}),
    "rms_norm": lambda: ((affine("weight"), draw(N, D)), {}),
    "gelu": lambda: ((draw(N, 4 * D),), {}),
    "gelu_tanh": lambda: ((draw(N, 4 * D),), {}),
    "silu": lambda: ((draw(N, 4 * D),), {}),
    "dropout": lambda: ((draw(N, D),), {"rate": 0.1, "key": np.random.SeedSequence(0)}),
    "cross_entropy": lambda: ((draw(N // 4, V), ids(N // 4)), {}),
    "embedding": lambda: (({"weight": draw(V, D)}, ids(N)), {}),
    "attention": lambda: ([part.swapaxes(1, 2) for part in draw(3, 4, 256, HEADS, D // HEADS)], {"causal": True}),
    "adamw": lambda: (
        [draw(D, 4 * D), draw(D, 4 * D, seed=1), draw(D, 4 * D, seed=2), draw(D, 4 * D, seed=3) ** 2],
        {"t": 10, "learning_rate": 1e-3, "beta1": 0.9, "beta2": 0.99, "eps": 1e-8, "weight_decay": 0.1},
    ),
    "global_norm": lambda: (({"a": draw(D, 4 * D), "b": draw(D, D)},), {}),
}
KERNELS = {name for name, thing in THINGS.items() if "cpu" in getattr(thing, "implementations", ())}
if KERNELS != CASES.keys():
    raise ImportError(f"kernels without a timing, or timings without a kernel: {sorted(KERNELS ^ CASES.keys())}")


def work(size):
    """At least every input is read and every output written, once each way; attention also has its products."""
    args, static = CASES[size.operation]()
    arrays = [part for arg in args for part in (arg.values() if isinstance(arg, dict) else (arg,))]
    touched = sum(part.nbytes for part in arrays)
    found = {"bytes": touched * (2 if ops_has_backward(size.operation) else 1)}
    if size.operation == "attention":
        B, H, T, K = args[0].shape
        found["flops"] = 7 * B * H * T * T * K
    return found


def ops_has_backward(name):
    return getattr(ops, name).gradient


def outputs(y, backward):
    """{name: array} of a forward's and a backward's results, however they are nested."""
    found = {}

    def put(path, part):
        if isinstance(part, dict):
            for name, inner in part.items():
                put(f"{path}.{name}", inner)
        elif isinstance(part, (tuple, list)):
            for i, inner in enumerate(part):
                put(f"{path}.{i}", inner)
        elif part is not None:
            found[path] = np.asarray(part)

    put("y", y)
    put("d", backward)
    return found


def ours(backend):
    def make(size):
        import minitransformer
        from minitransformer.memory import keep_freed_memory

        from .machine import all_cores, cores

        keep_freed_memory()
        minitransformer.use_backend(backend)
        operation = getattr(ops, size.operation)
        args, static = CASES[size.operation]()
        all_cores()
        if not operation.gradient:
            return Contender(
                lambda: sketch(outputs(operation(*args, **static), None)), lambda: operation(*args, **static)
            )
        y, _ = operation(*args, **static)
        dy = draw(*y.shape, seed=9) if y.shape else 1.0

        def both():
            y, saved = operation(*args, **static)
            return y, operation.backward(dy, saved)

        return Contender(lambda: sketch(outputs(*both())), both, {"threads": cores()})

    return make


BENCHMARK = Benchmark(
    "operations, forward and backward",
    {name: Size(name) for name in CASES},
    {"NumPy": ours("reference"), "kernels": ours("cpu")},
    work,
)
