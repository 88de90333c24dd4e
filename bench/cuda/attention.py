"""Attention on a device: every rung of the ladder and every kind of PyTorch's, forward and backward, as T grows.

All have the same 8,192 tokens and the same width, 2,048: fewer and longer sequences, fewer and wider heads. Inputs are
numbers that bfloat16 has, so that both precisions are asked the same. Operations are counted as papers do: 4 T S K a
head forward and 10 backward (with the recomputed scores), half of that under a causal mask.
"""

from importlib.util import find_spec
from typing import NamedTuple

import numpy as np

from minitransformer.kernels.cuda.attention import RUNGS
from minitransformer.kernels.cuda.attention.bfloat16 import from_bfloat16, to_bfloat16
from minitransformer.ops.attention import attention as operation

from .clock import check_possible, measure, measure_on_host
from .rows import in_a_line

TOKENS, WIDTH = 8192, 2048
TOLERANCE = {"float32": 1e-4, "bfloat16": 3e-2}  # of the largest number; the checks of rungs.py are far narrower
PATIENCE = 0.25  # seconds: who takes longer at one length is not asked at twice that
HOST, LONGEST_ON_HOST = (
    ("NumPy", "CPU kernels"),
    1024,
)  # who computes on the processor, and up to which T (K 64, causal)
KINDS = {  # PyTorch's, by its own names, and in which precision each exists
    "MATH": ("float32", "bfloat16"),
    "EFFICIENT_ATTENTION": ("float32", "bfloat16"),
    "FLASH_ATTENTION": ("bfloat16",),
    "CUDNN_ATTENTION": ("bfloat16",),
}


class Size(NamedTuple):
    T: int
    K: int = 64
    causal: bool = True
    tokens: int = TOKENS
    width: int = WIDTH

    @property
    def shape(self):
        return max(self.tokens // self.T, 1), self.width // self.K, self.T, self.K

    def flops(self, way):
        B, H, T, K = self.shape
        return (4 if way == "forward" else 10) * B * H * T * T * K // (2 if self.causal else 1)

    def bytes(self, way, precision):
        """What has to be read and written at least: q, k, v, y; backward also what is felt of each, and y again."""
        return (4 if way == "forward" else 8) * np.prod(self.shape) * (4 if precision == "float32" else 2)

    def __str__(self):
        return f"T{self.T} K{self.K}{' causal' * self.causal}"


SIZES = [Size(T, K, causal) for T in (512, 1024, 2048, 4096, 8192) for K in (64, 128) for causal in (True, False)]


class Contender(NamedTuple):
    name: str
    precision: str
    make: object  # (inputs, size, precision) -> Work


class Work(NamedTuple):
    bring: object  # () -> None, inputs to where they are used
    forward: object  # () -> None
    backward: object  # () -> None, of what the forward before left
    answer: object  # () -> {"y", "dq", "dk", "dv"}, as float32 in the host's memory
    kernels: object = None  # (forward or backward) -> names of the kernels that ran, where one has to ask


def inputs_of(size, seed=0):
    """q, k, v, dy: float32 that bfloat16 has too"""
    rng = np.random.default_rng(seed)
    return [from_bfloat16(to_bfloat16(rng.normal(size=size.shape).astype(np.float32))) for _ in range(4)]


def by_rung(name):
    rung = RUNGS[name]

    def make(inputs, size, precision):
        from minitransformer.kernels.cuda.arrays import to_device, to_host

        given = [to_bfloat16(part) for part in inputs] if precision == "bfloat16" else inputs
        here = {}

        def bring():
            here["given"] = to_device(given)

        def forward():
            here["y"], here["saved"] = rung.attention(*here["given"][:3], causal=size.causal)

        def backward():
            here["gradients"] = rung.attention_backward(here["given"][3], here["saved"])[:3]

        def answer():
            forward()
            found = {"y": here["y"]}
            if rung.backward:
                backward()
                found |= dict(zip(("dq", "dk", "dv"), here["gradients"], strict=True))
            found = {name: to_host(part) for name, part in found.items()}
            return {name: from_bfloat16(part) if precision == "bfloat16" else part for name, part in found.items()}

        bring()
        return Work(bring, forward, backward if rung.backward else None, answer)

    return make


def by_pytorch(kind):
    def make(inputs, size, precision):
        import torch
        from torch.nn.attention import SDPBackend, sdpa_kernel
        from torch.nn.functional import scaled_dot_product_attention

        torch.backends.cuda.matmul.allow_tf32 = torch.backends.cudnn.allow_tf32 = False
        dtype, here, kinds = getattr(torch, precision), {}, [getattr(SDPBackend, kind)]

        def bring():
            *qkv, here["dy"] = (torch.tensor(part).to("cuda", dtype) for part in inputs)
            here["qkv"] = [part.requires_grad_() for part in qkv]

        def forward():
            with sdpa_kernel(kinds):
                here["y"] = scaled_dot_product_attention(*here["qkv"], is_causal=size.causal)

        def backward():
            here["gradients"] = torch.autograd.grad(here["y"], here["qkv"], here["dy"], retain_graph=True)

        def answer():
            forward()
            backward()
            named = zip(("y", "dq", "dk", "dv"), (here["y"], *here["gradients"]), strict=True)
            return {name: part.detach().float().cpu().numpy() for name, part in named}

        def kernels(work):
            """What PyTorch launches is its own choice: the names that its profiler saw."""
            from torch.profiler import ProfilerActivity, profile

            with profile(activities=[ProfilerActivity.CUDA]) as seen:
                work()
                torch.cuda.synchronize()
            return sorted({event.key for event in seen.key_averages()})

        bring()
        return Work(bring, forward, backward, answer, kernels)

    return make


def by_backend(backend):
    """On the processor: the reference, or its kernels."""

    def make(inputs, size, precision):
        import minitransformer

        *qkv, dy = inputs
        here = {}

        def forward():
            minitransformer.use_backend(backend)
            here["y"], here["saved"] = operation(*qkv, causal=size.causal)

        def backward():
            here["gradients"] = operation.backward(dy, here["saved"])[:3]

        def answer():
            forward()
            backward()
            return {"y": here["y"]} | dict(zip(("dq", "dk", "dv"), here["gradients"], strict=True))

        return Work(None, forward, backward, answer)

    return make


def contenders():
    """Whoever can be asked here, the plainest first."""
    found = [
        Contender("NumPy", "float32", by_backend("reference")),
        Contender("CPU kernels", "float32", by_backend("cpu")),
    ]
    found += [Contender(name, rung.precision, by_rung(name)) for name, rung in RUNGS.items()]
    if find_spec("torch"):
        found += [
            Contender(f"PyTorch {kind}", precision, by_pytorch(kind))
            for kind, precisions in KINDS.items()
            for precision in precisions
        ]
    return found


def expected(inputs, size):
    """{(batch, head): {"y", ...}} of the first and the last head in float64: each head is a problem of its own."""
    found = {}
    heads = {(0, 0), tuple(n - 1 for n in size.shape[:2])} if size.T <= 2048 else {tuple(n - 1 for n in size.shape[:2])}
    for b, h in heads:
        q, k, v, dy = (part[b : b + 1, h : h + 1].astype(np.float64) for part in inputs)
        y, saved = operation.__wrapped__(q, k, v, causal=size.causal)
        dq, dk, dv, _ = operation.implementations["reference"][1](dy, saved)
        found[b, h] = {"y": y, "dq": dq, "dk": dk, "dv": dv}
    return found


def off_by(answer, exact):
    """The largest difference over all heads that are known, each relative to the largest number of its kind."""
    worst = 0.0
    for (b, h), parts in exact.items():
        for name, array in answer.items():
            difference = np.abs(array[b : b + 1, h : h + 1] - parts[name])
            if not np.isfinite(difference).all():
                return np.inf
            worst = max(worst, float(difference.max() / np.abs(parts[name]).max()))
    return worst


def is_asked(contender, size):
    """Whether this contender takes part at this size."""
    if contender.name in HOST:
        return size.T <= LONGEST_ON_HOST and size.K == 64 and size.causal
    return contender.name not in RUNGS or RUNGS[contender.name].offers(size.K)


def run(gpu, rows, sizes=None, among=None, late=lambda: False, without=()):
    """Rows of every size and contender, but for those `without`: nothing is timed before it was found right."""
    slow = {}
    for size in sizes or SIZES:
        inputs = inputs_of(size)
        exact = None
        for contender in contenders() if among is None else among:
            key = contender.name, contender.precision, size.K, size.causal
            if late():
                return
            if slow.get(key) or contender.name in without or not is_asked(contender, size):
                continue
            exact = expected(inputs, size) if exact is None else exact
            slow[key] = one(gpu, rows, size, contender, inputs, exact)


def one(gpu, rows, size, contender, inputs, exact):
    """The rows of one contender at one size; whether it is so slow that a longer size is not asked of it."""
    label = {"kind": "attention", "contender": f"{contender.name}, {contender.precision}", "T": size.T}
    what = f"{contender.name} {contender.precision} {size}"
    before = gpu.used()
    try:
        work = contender.make(inputs, size, contender.precision)
        off = off_by(work.answer(), exact)
    except Exception as error:  # a kind that this device or this PyTorch does not have, or memory that is full
        rows.add(**label, what=what, group=str(size), refused=in_a_line(error))
        return True
    if not off <= TOLERANCE[contender.precision]:
        rows.add(
            **label, what=what, group=str(size), refused=f"off by {off:.1e}, more than {TOLERANCE[contender.precision]}"
        )
        return True
    memory, slowest = gpu.used() - before, 0.0
    for way in ("forward", "backward"):
        if getattr(work, way) is None:
            continue
        group = f"{contender.precision} {way}, K {size.K}{', causal' * size.causal}"
        row = label | {"what": f"{what} {way}", "group": group, "off": off, "memory": max(memory, 0)}
        try:
            times, on_device = timed(gpu, work, way), work.bring is not None
            if on_device:
                n_bytes = size.bytes(way, contender.precision)
                check_possible(times, gpu.peaks, contender.precision, size.flops(way), n_bytes)
            if work.kernels:
                row["kernels"] = work.kernels(getattr(work, way))
        except Exception as error:  # a time that cannot be, or a device that gave up
            rows.add(**row, refused=in_a_line(error))
            continue
        rate = size.flops(way) / times.warm
        peak = getattr(gpu.peaks, contender.precision) if on_device else None
        rows.add(**row, **times._asdict(), rate=rate, share=rate / peak if peak else None)
        slowest = max(slowest, times.warm)
    return slowest > PATIENCE


def timed(gpu, work, way):
    if work.bring is None:
        return measure_on_host(getattr(work, way))
    return measure(gpu, getattr(work, way), work.bring if way == "forward" else None)
