"""Why a training step is fast: the step as it is, and with one decision undone at a time; float32.

How much slower a contender is than "as it is" is what that decision gains.
"""

import os

import numpy as np

from minitransformer.threads import available_cores

from . import step
from .contender import Benchmark


def undone(undo, **more):
    """The step after `undo()`, in a process of its own."""

    def make(size):
        undo()
        return step.ours("cpu", **more)(size)

    return make


def by_reference(*names):
    """These operations without their kernels."""

    def undo():
        from minitransformer import ops, use_backend

        use_backend("cpu")
        for name in names:
            getattr(ops, name).implementations.pop("cpu", None)

    return undo


def half_registers():
    """As LLVM has it, where the processor has AVX-512. To be said before Numba is imported."""
    import llvmlite.binding as llvm

    os.environ["NUMBA_CPU_FEATURES"] = llvm.get_host_cpu_features().flatten()


def memory_handed_back():
    from minitransformer import memory

    memory.keep_freed_memory = lambda: False


def product_for_every_sequence():
    """x @ W.T with three axes, as one would write it."""
    from minitransformer import ops, use_backend

    use_backend("cpu")
    ops.linear.implement("cpu", linear, linear_backward)


def linear(p, x):
    y = x @ p["weight"].T
    return (y if p.get("bias") is None else y + p["bias"]), (x, p)


def linear_backward(dy, saved):
    x, p = saved
    g = {"weight": np.tensordot(dy, x, ((0, 1), (0, 1)))}
    return dy @ p["weight"], g | ({} if p.get("bias") is None else {"bias": dy.sum((0, 1))})


def leaves_one_by_one_to_the_threads():
    """Whatever is spread is spread, however little it is."""
    from minitransformer import threads

    threads.WORTH_WAKING = 0


def nothing():
    pass


BENCHMARK = Benchmark(
    "a training step with one decision undone",
    {"small": step.SIZES["small"]},
    {
        "NumPy": step.ours("reference"),
        "as it is": step.ours("cpu"),
        "attention by NumPy": undone(by_reference("attention")),
        "AdamW by NumPy": undone(by_reference("adamw")),
        "GELU by NumPy": undone(by_reference("gelu_tanh")),
        "layer norm by NumPy": undone(by_reference("layer_norm")),
        "one piece, BLAS on one thread": undone(nothing, n_pieces=1),
        "twice as many pieces": undone(nothing, n_pieces=2 * available_cores()),
        "memory handed back": undone(memory_handed_back),
        "registers of half the width": undone(half_registers),
        "a product for every sequence": undone(product_for_every_sequence),
        "small leaves over threads, too": undone(leaves_one_by_one_to_the_threads),
    },
    step.work,
    tolerance=1e-3,
    tiny=step.BENCHMARK.tiny,
)
