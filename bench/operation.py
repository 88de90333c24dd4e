"""One operation after another, forward and backward, on rows of a GPT-2's width; float32.

Whatever has a kernel must stand here, or in recurrent.py: a benchmark that leaves something out is refused when it is
imported.
"""

from typing import NamedTuple

import numpy as np

from minitransformer import ops
from minitransformer.convention import THINGS
from minitransformer.kernels import cpu  # noqa: F401  so that the registry knows the kernels

from .contender import Benchmark, Contender, sketch
from .recurrent import GATES

N, D, V, HEADS = 1024, 768, 50257, 12


class Size(NamedTuple):
    operation: str


def draw(*shape, seed=0):
    return np.random.default_rng(seed).normal(size=shape).astype(np.float32)


def affine(*names):
    return {name: draw(D, seed=i + 5) for i, name in enumerate(names)}


def ids(size, vocab):
    return np.random.default_rng(3).integers(0, vocab, size)


# name -> (positional arguments, settings): what the operation is timed on
CASES = {
    "linear": lambda: (({"weight": draw(D, D, seed=1), "bias": draw(D, seed=2)}, draw(N, D)), {}),
    "layer_norm": lambda: ((affine("weight", "bias"), draw(N, D)), {}),
    "rms_norm": lambda: ((affine("weight"), draw(N, D)), {}),
    "gelu": lambda: ((draw(N, 4 * D),), {}),
    "gelu_tanh": lambda: ((draw(N, 4 * D),), {}),
    "silu": lambda: ((draw(N, 4 * D),), {}),
    "dropout": lambda: ((draw(N, D),), {"rate": 0.1, "key": np.random.SeedSequence(0)}),
    "cross_entropy": lambda: ((draw(N // 4, V), ids(N // 4, V)), {}),
    "linear_cross_entropy": lambda: (({"weight": 0.1 * draw(V, D, seed=1)}, draw(N // 4, D), ids(N // 4, V)), {}),
    "embedding": lambda: (({"weight": draw(V, D)}, ids(N, V)), {}),
    "attention": lambda: ([part.swapaxes(1, 2) for part in draw(3, 4, 256, HEADS, D // HEADS)], {"causal": True}),
    "adamw": lambda: (
        [draw(D, 4 * D), draw(D, 4 * D, seed=1), draw(D, 4 * D, seed=2), draw(D, 4 * D, seed=3) ** 2],
        {"t": 10, "learning_rate": 1e-3, "beta1": 0.9, "beta2": 0.99, "eps": 1e-8, "weight_decay": 0.1},
    ),
    "global_norm": lambda: (({"a": draw(D, 4 * D), "b": draw(D, D)},), {}),
}
KERNELS = {name for name, thing in THINGS.items() if "cpu" in getattr(thing, "implementations", ())}
if KERNELS ^ CASES.keys() ^ GATES.keys():
    raise ImportError(f"kernels without a timing, or timings without: {sorted(KERNELS ^ CASES.keys() ^ GATES.keys())}")


def work(size):
    """What comes in is read once each way, and as much written: at least that. Some also have products."""
    args, static = CASES[size.operation]()
    arrays = [part for arg in args for part in (arg.values() if isinstance(arg, dict) else (arg,))]
    touched = sum(part.nbytes for part in arrays)
    found = {"bytes": touched * (2 if has_backward(size.operation) else 1)}
    if size.operation == "embedding":  # forward only the rows that are asked for; backward a whole table is written
        found["bytes"] = 4 * V * D + 3 * 4 * N * D
    if size.operation == "adamw":
        found["bytes"] += 3 * 4 * args[0].size
    if size.operation == "attention":
        B, H, T, K = args[0].shape
        found["flops"] = 7 * B * H * T * T * K
    if size.operation == "linear":
        found["flops"] = 6 * N * D * D
    if size.operation == "linear_cross_entropy":
        found["flops"] = 6 * (N // 4) * D * V
    return found


def has_backward(name):
    return getattr(ops, name).gradient


def upstream(y):
    """What is felt of y: random, and 1 of a single number."""
    return draw(*y.shape, seed=9) if y.shape else 1.0


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


def cut(args, n):
    """Arguments in n parts by their rows, parameters whole: what each thread has in training."""
    parts = [[arg] * n if isinstance(arg, dict) else np.array_split(arg, n) for arg in args]
    return list(zip(*parts, strict=True))


def joined(results):
    """What (y, gradients) of all parts are of the whole: rows side by side, parameters' gradients and losses added."""
    first = results[0]
    if isinstance(first, dict):
        return {name: sum(part[name] for part in results) for name in first}
    if isinstance(first, tuple):
        return tuple(joined(part) for part in zip(*results, strict=True))
    return None if first is None else np.concatenate(results) if first.ndim else sum(results)


def ours(backend):
    def make(size):
        import minitransformer
        from minitransformer.memory import keep_freed_memory

        from .machine import all_cores, cores

        keep_freed_memory()
        minitransformer.use_backend(backend)
        operation = getattr(ops, size.operation)
        args, static = CASES[size.operation]()
        about = {"threads": cores()}
        map = all_cores()
        if not operation.gradient:
            in_place = {"out": (args[0], *args[2:])} if size.operation == "adamw" else {}
            first = sketch(outputs(operation(*args, **static), None))
            return Contender(lambda: first, lambda: operation(*args, **static, **in_place), about)
        parts = cut(args, 1 if size.operation == "dropout" else cores())  # whose numbers are drawn in a row
        y, _ = operation(*args, **static)
        dys = np.array_split(upstream(y), len(parts)) if y.shape else [len(part[-1]) / len(args[-1]) for part in parts]

        def one(part, dy):
            y, saved = operation(*part, **static)
            return (y if y.shape else y * dy), operation.backward(dy, saved)

        def both():
            return list(map(one, parts, dys))

        return Contender(lambda: sketch(outputs(*joined(both()))), both, about | {"parts": len(parts)})

    return make


def pytorch(size):
    """The same by PyTorch's function for it."""
    import torch

    from . import pytorch as theirs

    function = theirs.OPERATIONS[size.operation]
    args, static = CASES[size.operation]()
    if not has_backward(size.operation):
        run, answer = function(args, static)
        first = sketch(outputs(answer(), None))
        return Contender(lambda: first, run, theirs.about())
    tensors = theirs.tensors_of(args)
    p = tensors[0] if isinstance(tensors[0], dict) else {}
    felt = [part for part in tensors if isinstance(part, torch.Tensor) and part.requires_grad]
    dy = torch.tensor(upstream(function(*tensors).detach().numpy()), dtype=torch.float32)

    def both():
        y = function(*tensors)
        return y, torch.autograd.grad(y, [*felt, *p.values()], dy)

    def answer():
        y, found = both()
        found = [grad.numpy() for grad in found]
        parts = found[: len(felt)] + ([dict(zip(p, found[len(felt) :], strict=True))] if p else [])
        return sketch(outputs(y.detach().numpy(), parts[0] if len(parts) == 1 else parts))

    return Contender(answer, both, theirs.about())


BENCHMARK = Benchmark(
    "operations, forward and backward",
    {name: Size(name) for name in CASES},
    {"NumPy": ours("reference"), "kernels": ours("cpu"), "PyTorch": pytorch},
    work,
    apart={"dropout": "PyTorch"},  # it draws other numbers: there is nothing to hold it to
)
