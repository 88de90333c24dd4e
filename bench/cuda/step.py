"""A training step of a GPT on a device: the backend cuda beside PyTorch eager, both in float32 without TF32."""

import time
from functools import cache
from importlib.util import find_spec
from typing import NamedTuple

import numpy as np

from ..compare import error
from ..step import Size, batch_of, work
from ..step import model_of as made
from .clock import check_possible, measure, measure_on_host, wall
from .rows import in_a_line

SIZES = {
    "small": Size(4, 4, 128, 64, 12),
    "medium": Size(6, 6, 384, 256, 8),
    "gpt2": Size(12, 12, 768, 256, 2, 50257),
    "gpt2-long": Size(12, 12, 768, 1024, 4, 50257),
}
ON_THE_HOST = ("small", "medium")
TOLERANCE = 1e-3


@cache
def drawn(size):
    return made(size)


def model_of(size):
    """The model, and parameters of its own for whoever steps them: drawn once"""
    from minitransformer.trees import tree_map

    model, p = drawn(size)
    return model, tree_map(np.copy, p)


@cache
def direction(count):
    return np.random.default_rng(0).standard_normal(count, dtype=np.float32)


def sketch(arrays, most=1 << 26):
    """{name: its length, and its product with a fixed random direction}: what tells two large trees of arrays apart."""
    rows = {name: np.asarray(array, np.float32).ravel() for name, array in arrays.items()}
    return {
        name: np.array([np.linalg.norm(row), row @ direction(most)[: row.size] / max(row.size, 1) ** 0.5])
        for name, row in rows.items()
    }


class Work(NamedTuple):
    gradient: object  # () -> None
    answer: object  # () -> what tells the loss and the gradients that it left from others
    step: object  # () -> None


def ours(backend):
    """The step as `minitransformer train` does it"""

    def make(size):
        import minitransformer
        from minitransformer.placing import to_device, to_host
        from minitransformer.training.loop import Training, train_step
        from minitransformer.training.losses import next_token_loss
        from minitransformer.training.optimizer import AdamW
        from minitransformer.training.parallel import value_and_gradient
        from minitransformer.trees import leaves

        minitransformer.use_backend(backend)
        model, p = model_of(size)
        training, loss, pieces = Training(to_device(p), AdamW()), next_token_loss(model), [batch_of(size)]
        here = {}

        def gradient():
            minitransformer.use_backend(backend)
            here["loss"], here["g"] = value_and_gradient(loss, training.p, pieces)

        def answer():
            return sketch({"loss": np.array([here.pop("loss")])} | dict(leaves(to_host(here.pop("g")))))

        def step():
            train_step(training, loss, pieces, [None], 1e-3, clip=1.0)

        return Work(gradient, answer, step)

    return make


def pytorch(size):
    import torch

    from .. import pytorch as theirs

    torch.backends.cuda.matmul.allow_tf32 = torch.backends.cudnn.allow_tf32 = False
    _, p = model_of(size)
    module = theirs.with_weights(theirs.GPT(size.vocab, size.context, size.layers, size.heads, size.width), p).to(
        "cuda"
    )
    ids, targets = (torch.tensor(part).to("cuda") for part in batch_of(size))
    optimizer = torch.optim.AdamW(module.parameters(), lr=1e-3, weight_decay=0.01, fused=True)
    here = {}

    def gradient():
        optimizer.zero_grad()
        here["loss"] = module.loss(ids, targets)
        here["loss"].backward()

    def answer():
        g = {name: grad.cpu().numpy() for name, grad in theirs.gradients(module).items()}
        return sketch({"loss": np.array([here.pop("loss").item()])} | g)

    def step():
        gradient()
        torch.nn.utils.clip_grad_norm_(module.parameters(), 1.0)
        optimizer.step()

    return Work(gradient, answer, step)


def contenders():
    found = {"CPU kernels": ours("cpu"), "backend cuda": ours("cuda")}
    return found | ({"PyTorch eager": pytorch} if find_spec("torch") else {})


def seconds_to_compile(contender, size):
    """What the first step takes longer than the second, in this process."""
    work = contenders()[contender](SIZES[size])
    moments = [time.perf_counter()]
    for part in (work.gradient, work.step) * 2:
        part()
        finish()
        moments.append(time.perf_counter())
    begin, _, between, _, end = moments
    return max((between - begin) - (end - between), 0.0)


def finish():
    """Until the device is done, where there is one"""
    from minitransformer.kernels.cuda.arrays import library

    library().cuda.runtime.deviceSynchronize()


def run(gpu, rows, sizes=None, among=None, late=lambda seconds=0: False, without=()):
    """Rows of every size and contender; each is held to the processor's kernels, or to the first that there is."""
    compiled = {(row["contender"], row["size"]): row["compile"] for row in rows.named("compile") if "compile" in row}
    for name, size in (sizes or SIZES).items():
        expected = None
        for contender, make in (contenders() if among is None else among).items():
            if late():
                return
            on_host = contender == "CPU kernels"
            row = {"kind": "step", "what": f"{contender} {name}", "group": name, "contender": contender}
            try:
                parts = make(size)
                first = wall(gpu, parts.gradient)
                found = parts.answer()
                expected = expected or found
                off = error(found, expected)
            except Exception as problem:  # memory that is full, a library that does not fit
                rows.add(**row, refused=in_a_line(problem))
                continue
            if not off <= TOLERANCE:
                rows.add(**row, refused=f"off by {off:.1e}, more than {TOLERANCE}")
                continue
            if on_host and name not in ON_THE_HOST:
                continue  # it was asked for its answer alone
            try:
                first += wall(gpu, parts.step) - wall(gpu, parts.gradient)  # a step, and what was compiled for both
                times = measure_on_host(parts.step, first) if on_host else measure(gpu, parts.step, first=first)
                if not on_host:
                    check_possible(times, gpu.peaks, "float32", work(size)["flops"], 0)
            except Exception as problem:  # a time that cannot be, or a device that gave up
                rows.add(**row, refused=in_a_line(problem))
                continue
            rate = work(size)["flops"] / times.warm
            share = rate / gpu.peaks.float32 if gpu.peaks.float32 and not on_host else None
            told = compiled.get((contender, name))
            times = times if told is None else times._replace(compile=told)
            rows.add(**row, off=off, **times._asdict(), rate=rate, share=share)
