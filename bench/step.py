"""A training step of a GPT: from ids to updated parameters. Forward, loss, backward, clipping, AdamW; float32."""

from typing import NamedTuple

import numpy as np

from .contender import Benchmark, Contender, sketch


class Size(NamedTuple):
    layers: int
    heads: int
    width: int
    context: int
    batch: int
    vocab: int = 65


SIZES = {
    "small": Size(4, 4, 128, 64, 12),
    "medium": Size(6, 6, 384, 256, 8),
    "gpt2-short": Size(12, 12, 768, 64, 4, 50257),
    "gpt2": Size(12, 12, 768, 256, 2, 50257),
}


def work(size):
    """The products of a step: 6 operations a parameter and token, and the half of each attention's that may be seen."""
    D, tokens = size.width, size.batch * size.context
    matrices = size.layers * 12 * D * D + size.vocab * D
    return {"flops": 6 * matrices * tokens + 6 * size.layers * D * size.context * tokens}


def model_of(size, **more):
    from minitransformer.models import GPT2

    model = GPT2(size.vocab, size.context, size.layers, size.heads, size.width, dropout_rate=0.0, **more)
    return model, model.init(np.random.default_rng(0))


def batch_of(size):
    return tuple(np.random.default_rng(1).integers(0, size.vocab, (2, size.batch, size.context)))


def ours(backend, fused=False, n_pieces=None, **more):
    """The step of `minitransformer train`, by default a piece of the batch to each core."""

    def make(size):
        import minitransformer
        from minitransformer.memory import keep_freed_memory
        from minitransformer.training.loop import Training, train_step
        from minitransformer.training.losses import fused_next_token_loss, next_token_loss
        from minitransformer.training.optimizer import AdamW
        from minitransformer.training.parallel import cut, value_and_gradient
        from minitransformer.trees import leaves

        from .machine import all_cores, cores

        keep_freed_memory()
        minitransformer.use_backend(backend)
        model, p = model_of(size, **more)
        loss = (fused_next_token_loss if fused else next_token_loss)(model)
        pieces = cut(batch_of(size), n_pieces or cores())
        training, map = Training(p, AdamW()), all_cores()

        def answer():
            value, g = value_and_gradient(loss, p, pieces, map=map)
            return sketch({"loss": np.array([value])} | dict(leaves(g)))

        def run():
            train_step(training, loss, pieces, [None] * len(pieces), 1e-3, clip=1.0, map=map)

        return Contender(answer, run, {"threads": cores(), "pieces": len(pieces)})

    return make


def pytorch(compiled):
    def make(size):
        import torch

        from . import pytorch as theirs

        model, p = model_of(size)
        module = theirs.with_weights(theirs.GPT(size.vocab, size.context, size.layers, size.heads, size.width), p)
        ids, targets = map(torch.tensor, batch_of(size))
        optimizer = torch.optim.AdamW(module.parameters(), lr=1e-3, weight_decay=0.01, fused=True)
        loss_of = torch.compile(module.loss) if compiled else module.loss

        def gradient():
            optimizer.zero_grad()
            loss = loss_of(ids, targets)
            loss.backward()
            return loss

        def answer():
            loss = gradient()
            g = {name: grad.numpy() for name, grad in theirs.gradients(module).items()}
            return sketch({"loss": np.array([loss.item()])} | g)

        def run():
            gradient()
            torch.nn.utils.clip_grad_norm_(module.parameters(), 1.0)
            optimizer.step()

        return Contender(answer, run, theirs.about())

    return make


BENCHMARK = Benchmark(
    "a training step of a GPT",
    SIZES,
    {
        "NumPy": ours("reference"),
        "kernels": ours("cpu"),
        "kernels, fused loss": ours("cpu", fused=True),
        "kernels, fused loss, recomputing": ours("cpu", fused=True, recompute=True),
        "PyTorch": pytorch(False),
        "PyTorch, compiled": pytorch(True),
    },
    work,
    tolerance=1e-3,
    apart={name: "PyTorch, compiled" for name in ("gpt2-short", "gpt2")},  # which takes minutes to compile
    tiny=Size(1, 1, 8, 4, 2),
)
