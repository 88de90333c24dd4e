"""Attention forward and backward, causal, 12 heads of 64, one sequence; float32."""

from typing import NamedTuple

import numpy as np

from .contender import Benchmark, Contender, sketch


class Size(NamedTuple):
    T: int
    heads: int = 12
    width: int = 64


SIZES = {f"T{T}": Size(T) for T in (64, 256, 1024, 4096)}


def work(size):
    """The seven products of both passes that a causal mask leaves: 2 forward, 5 backward, half of each."""
    return {"flops": 7 * size.heads * size.T * size.T * size.width}


def inputs(size):
    rng = np.random.default_rng(0)
    return rng.normal(size=(4, 1, size.T, size.heads, size.width)).astype(np.float32)  # q, k, v, dy as maps make them


def ours(backend):
    def make(size):
        import minitransformer
        from minitransformer.memory import keep_freed_memory
        from minitransformer.ops import attention, attention_backward

        from .machine import all_cores, cores

        keep_freed_memory()
        minitransformer.use_backend(backend)
        q, k, v, dy = inputs(size).swapaxes(2, 3)
        all_cores()

        def both():
            y, saved = attention(q, k, v, causal=True)
            dq, dk, dv, _ = attention_backward(dy, saved)
            return {"y": y, "dq": dq, "dk": dk, "dv": dv}

        return Contender(lambda: sketch(both()), both, {"threads": cores()})

    return make


def pytorch(size):
    import torch

    from . import pytorch as theirs

    *qkv, dy = (torch.tensor(part).transpose(1, 2) for part in inputs(size))
    qkv = [part.requires_grad_() for part in qkv]

    def both():
        y = torch.nn.functional.scaled_dot_product_attention(*qkv, is_causal=True)
        return y, *torch.autograd.grad(y, qkv, dy)

    def answer():
        named = zip(("y", "dq", "dk", "dv"), both(), strict=True)
        return sketch({name: part.detach().transpose(1, 2).numpy().swapaxes(1, 2) for name, part in named})

    return Contender(answer, both, theirs.about())


BENCHMARK = Benchmark(
    "causal attention, forward and backward",
    SIZES,
    {"NumPy": ours("reference"), "kernels": ours("cpu"), "PyTorch": pytorch},
    work,
    tiny=Size(2),
)
