"""Starting up: a fresh process to the end of its first training step of a small GPT; float32.

Once with an empty folder for compiled kernels, so that each of them is compiled, and once with those of the run before.
"""

import os
import subprocess
import sys
import tempfile

import numpy as np

from .contender import Benchmark, Contender
from .step import SIZES, batch_of, model_of

OURS = "from bench.start import first_step; print(first_step({backend!r}))"
THEIRS = "from bench.start import their_first_step; print(their_first_step())"


def first_step(backend):
    """The loss of the first step of this process."""
    import minitransformer
    from minitransformer.threads import workers
    from minitransformer.training.loop import Training, train_step
    from minitransformer.training.losses import next_token_loss
    from minitransformer.training.optimizer import AdamW
    from minitransformer.training.parallel import cut

    from .machine import cores

    minitransformer.use_backend(backend)
    model, p = model_of(SIZES["small"])
    with workers(cores()) as map:
        pieces = cut(batch_of(SIZES["small"]), cores())
        return train_step(
            Training(p, AdamW()), next_token_loss(model), pieces, [None] * len(pieces), 1e-3, clip=1.0, map=map
        )


def their_first_step():
    import torch

    from . import pytorch as theirs

    size = SIZES["small"]
    module = theirs.with_weights(
        theirs.GPT(size.vocab, size.context, size.layers, size.heads, size.width), model_of(size)[1]
    )
    optimizer = torch.optim.AdamW(module.parameters(), lr=1e-3, fused=True)
    loss = module.loss(*map(torch.tensor, batch_of(size)))
    loss.backward()
    torch.nn.utils.clip_grad_norm_(module.parameters(), 1.0)
    optimizer.step()
    return loss.item()


def process(code, kernels=None):
    """A contender that is a whole process; kernels: "compiled" anew each time, or "loaded"."""

    def make(size):
        kept = tempfile.TemporaryDirectory()  # until this process ends

        def run():
            with tempfile.TemporaryDirectory() as empty:
                environment = os.environ | {"NUMBA_CACHE_DIR": kept.name if kernels == "loaded" else empty}
                done = subprocess.run(
                    [sys.executable, "-c", code], check=True, capture_output=True, text=True, env=environment
                )
            return float(done.stdout)

        return Contender(lambda: {"loss": np.array([run()])}, run)

    return make


BENCHMARK = Benchmark(
    "starting up: a process and its first step",
    {"small": SIZES["small"]},
    {
        "NumPy": process(OURS.format(backend="reference")),
        "kernels, compiled": process(OURS.format(backend="cpu"), "compiled"),
        "kernels, loaded": process(OURS.format(backend="cpu"), "loaded"),
        "PyTorch": process(THEIRS),
    },
    lambda size: {},
)
