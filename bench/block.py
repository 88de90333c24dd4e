"""A pre-norm layer forward and backward, causal; float32."""

from typing import NamedTuple

import numpy as np

from .contender import Benchmark, Contender, sketch


class Size(NamedTuple):
    width: int
    heads: int
    T: int
    batch: int


SIZES = {"D128": Size(128, 4, 64, 12), "D768": Size(768, 12, 256, 2)}


def work(size):
    """24 D² operations a position forward, twice as many backward, and the half of attention's that may be seen."""
    positions = size.batch * size.T
    return {"flops": 72 * size.width**2 * positions + 6 * size.width * size.T * positions}


def layer_of(size):
    from minitransformer.models import GPT2

    p = GPT2(2, size.T, 1, size.heads, size.width).init(np.random.default_rng(0))["layers"][0]
    rng = np.random.default_rng(1)
    return p, *rng.normal(size=(2, size.batch, size.T, size.width)).astype(np.float32)


def ours(backend):
    def make(size):
        import minitransformer
        from minitransformer.blocks import pre_norm_layer
        from minitransformer.memory import keep_freed_memory
        from minitransformer.ops import gelu_tanh
        from minitransformer.training.parallel import add_to
        from minitransformer.trees import leaves

        from .machine import all_cores, cores

        keep_freed_memory()
        minitransformer.use_backend(backend)
        p, x, dy = layer_of(size)
        pieces, map = list(zip(np.array_split(x, cores()), np.array_split(dy, cores()), strict=True)), all_cores()

        def one(piece):
            y, saved = pre_norm_layer(p, piece[0], n_heads=size.heads, activation=gelu_tanh, causal=True)
            return y, *pre_norm_layer.backward(piece[1], saved)

        def both():
            (y, dx, g), *more = map(one, pieces)
            for _, _, g_piece in more:
                add_to(g, g_piece)
            return [y, *(part[0] for part in more)], [dx, *(part[1] for part in more)], g

        def answer():
            y, dx, g = both()
            return sketch({"y": np.concatenate(y), "dx": np.concatenate(dx)} | dict(leaves(g)))

        return Contender(answer, both, {"threads": cores(), "pieces": len(pieces)})

    return make


def pytorch(compiled):
    def make(size):
        import torch

        from . import pytorch as theirs

        p, x, dy = layer_of(size)
        layer = theirs.Layer(size.heads, size.width)
        theirs.load(theirs.layer_parameters(layer, p))
        forward = torch.compile(layer) if compiled else layer
        x, dy = torch.tensor(x, requires_grad=True), torch.tensor(dy)

        def both():
            layer.zero_grad()
            x.grad = None
            y = forward(x)
            y.backward(dy)
            return y

        def answer():
            y = both().detach()
            g = {name: grad.numpy() for name, grad in theirs.layer_gradients(layer, "").items()}
            return sketch({"y": y.numpy(), "dx": x.grad.numpy()} | g)

        return Contender(answer, both, theirs.about())

    return make


BENCHMARK = Benchmark(
    "a pre-norm layer, forward and backward",
    SIZES,
    {"NumPy": ours("reference"), "kernels": ours("cpu"), "PyTorch": pytorch(False), "PyTorch, compiled": pytorch(True)},
    work,
    tolerance=1e-3,
    tiny=Size(8, 2, 4, 2),
)
