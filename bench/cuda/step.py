"""A training step of a GPT on a device: the backend cuda beside PyTorch eager, both in float32 without TF32."""

from importlib.util import find_spec

import numpy as np

from ..compare import error
from ..contender import sketch
from ..step import Size, batch_of, model_of, work
from .clock import check_possible, measure, measure_on_host
from .rows import in_a_line

SIZES = {
    "small": Size(4, 4, 128, 64, 12),
    "medium": Size(6, 6, 384, 256, 8),
    "gpt2": Size(12, 12, 768, 256, 2, 50257),
    "gpt2-long": Size(12, 12, 768, 1024, 4, 50257),
}
ON_THE_HOST = ("small", "medium")
TOLERANCE = 1e-3


def ours(backend):
    """() -> answer and run of the step as `minitransformer train` does it"""

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

        def answer():
            minitransformer.use_backend(backend)
            value, g = value_and_gradient(loss, training.p, pieces)
            return sketch({"loss": np.array([value])} | dict(leaves(to_host(g))))

        def run():
            train_step(training, loss, pieces, [None], 1e-3, clip=1.0)

        return answer, run

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

    def gradient():
        optimizer.zero_grad()
        loss = module.loss(ids, targets)
        loss.backward()
        return loss

    def answer():
        loss = gradient()
        g = {name: grad.cpu().numpy() for name, grad in theirs.gradients(module).items()}
        return sketch({"loss": np.array([loss.item()])} | g)

    def run():
        gradient()
        torch.nn.utils.clip_grad_norm_(module.parameters(), 1.0)
        optimizer.step()

    return answer, run


def contenders():
    found = {"CPU kernels": ours("cpu"), "backend cuda": ours("cuda")}
    return found | ({"PyTorch eager": pytorch} if find_spec("torch") else {})


def run(gpu, rows, sizes=None, among=None, late=lambda: False, without=()):
    """Rows of every size and contender; each is held to the processor's kernels, or to the first that there is."""
    for name, size in (sizes or SIZES).items():
        expected = None
        for contender, make in (contenders() if among is None else among).items():
            if late():
                return
            on_host = contender == "CPU kernels"
            row = {"kind": "step", "what": f"{contender} {name}", "group": name, "contender": contender}
            try:
                answer, step = make(size)
                found = answer()
                expected = found if expected is None else expected
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
                times = measure_on_host(step) if on_host else measure(gpu, step)
                if not on_host:
                    check_possible(times, gpu.peaks, "float32", work(size)["flops"], 0)
            except Exception as problem:  # a time that cannot be, or a device that gave up
                rows.add(**row, refused=in_a_line(problem))
                continue
            rate = work(size)["flops"] / times.warm
            share = rate / gpu.peaks.float32 if gpu.peaks.float32 and not on_host else None
            rows.add(**row, off=off, **times._asdict(), rate=rate, share=share)
