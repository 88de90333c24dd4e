"""Attention on a device: every rung of the ladder and every kind of PyTorch's, forward and backward, as T grows.

All have the same 8,192 tokens and the same width, 2,048: fewer and longer sequences, fewer and wider heads. So the same
numbers are in all of them, drawn once, and numbers that bfloat16 has, so that both precisions are asked the same.
Operations are counted as papers do: 4 T S K a head forward and 10 backward (with the recomputed scores), half of that
under a causal mask.

Who is compared comes first, at all lengths; then, kernel by kernel, what the time of our rungs goes to, and what
PyTorch calls its kernels; then whoever computes on the processor; last the lower rungs, and what else PyTorch has, at
a few lengths.
"""

import re
from functools import cache
from importlib.util import find_spec
from typing import NamedTuple

import numpy as np

from minitransformer.kernels.cuda.attention import RUNGS
from minitransformer.kernels.cuda.attention.bfloat16 import from_bfloat16, to_bfloat16
from minitransformer.ops.attention import attention as operation

from .clock import by_kernel, check_possible, measure, measure_on_host, wall
from .rows import in_a_line

TOKENS, WIDTH = 8192, 2048
TOLERANCE = {"float32": 1e-4, "bfloat16": 3e-2}  # of the largest number; the checks of rungs.py are far narrower
PATIENCE = 0.25  # seconds: who takes longer at one length is not asked at twice that
HOST, LONGEST_ON_HOST = ("NumPy", "CPU kernels"), 512  # who computes on the processor, up to which T (K 64, causal)
SECONDS_ON_HOST = 30  # that one of them may take at one length: not begun with less left
COMPARED = (  # who comes first; the others, but for those on the processor, are asked up to LONGEST, and not causal
    ("tensor_cores_float32", "float32"),
    ("PyTorch EFFICIENT_ATTENTION", "float32"),
    ("tensor_cores", "bfloat16"),
    ("PyTorch FLASH_ATTENTION", "bfloat16"),
    ("PyTorch CUDNN_ATTENTION", "bfloat16"),
)
LONGEST = 2048
IN_PARTS = ("tensor_cores_float32",)  # whose float32 comes from tensor cores
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

    @property
    def unit(self):
        """By what it is done: what that can do at most is in `Peaks`"""
        return "parts" if self.name in IN_PARTS else self.precision


class Work(NamedTuple):
    bring: object  # () -> None, inputs to where they are used
    forward: object  # () -> None
    backward: object  # () -> None, of what the forward before left; None where there is none
    answer: object  # (heads) -> {head: {"y", "dq", "dk", "dv"}} of what both left, float32 in the host's memory
    kernels: object = None  # (forward or backward) -> names of the kernels that ran, where one has to ask


@cache
def drawn(count, seed=0):
    """The bits of q, k, v, dy in bfloat16 (4, count), and the same numbers in float32"""
    bits = to_bfloat16(np.random.default_rng(seed).standard_normal((4, count), dtype=np.float32))
    return {"bfloat16": bits, "float32": from_bfloat16(bits)}


def inputs_of(size):
    """{precision: [q, k, v, dy]}, the same numbers for all sizes of as many"""
    return {name: list(array.reshape(4, *size.shape)) for name, array in drawn(int(np.prod(size.shape))).items()}


def known_heads(size):
    """(batch, head) of those that are computed in float64: each head is a problem of its own."""
    last = tuple(n - 1 for n in size.shape[:2])
    return [last] if size.T > 2048 else list(dict.fromkeys([(0, 0), last]))


def by_rung(name):
    rung = RUNGS[name]

    def make(inputs, size, precision):
        from minitransformer.kernels.cuda.arrays import to_device, to_host

        here = {}

        def bring():
            here["given"] = to_device(inputs[precision])

        def forward():
            here["y"], here["saved"] = rung.attention(*here["given"][:3], causal=size.causal)

        def backward():
            here["dq"], here["dk"], here["dv"], _ = rung.attention_backward(here["given"][3], here["saved"])

        def in_float32(part):
            return from_bfloat16(to_host(part)) if precision == "bfloat16" else to_host(part)

        def answer(heads):
            names = ("y", "dq", "dk", "dv") if rung.backward else ("y",)
            return {head: {name: in_float32(here[name][head]) for name in names} for head in heads}

        bring()
        return Work(bring, forward, backward if rung.backward else None, answer)

    return make


def by_pytorch(kind):
    def make(inputs, size, precision):
        import torch
        from torch.nn.attention import SDPBackend, sdpa_kernel
        from torch.nn.functional import scaled_dot_product_attention

        torch.backends.cuda.matmul.allow_tf32 = torch.backends.cudnn.allow_tf32 = False
        here, kinds = {}, [getattr(SDPBackend, kind)]

        def brought(part):
            if precision == "bfloat16":
                return torch.from_numpy(part.view(np.int16)).to("cuda").view(torch.bfloat16)
            return torch.from_numpy(part).to("cuda")

        def bring():
            *qkv, here["dy"] = (brought(part) for part in inputs[precision])
            here["qkv"] = [part.requires_grad_() for part in qkv]

        def forward():
            with sdpa_kernel(kinds):
                here["y"] = scaled_dot_product_attention(*here["qkv"], is_causal=size.causal)

        def backward():
            gradients = torch.autograd.grad(here["y"], here["qkv"], here["dy"], retain_graph=True)
            here["dq"], here["dk"], here["dv"] = gradients

        def answer(heads):
            def part(name, head):
                return here[name][head].detach().float().cpu().numpy()

            return {head: {name: part(name, head) for name in ("y", "dq", "dk", "dv")} for head in heads}

        def kernels(work):
            """What PyTorch launches is its own choice: the names that its profiler saw on the device."""
            from torch.profiler import ProfilerActivity, profile

            with profile(activities=[ProfilerActivity.CUDA]) as seen:
                work()
                torch.cuda.synchronize()
            return of_attention(event.key for event in seen.key_averages())

        bring()
        return Work(bring, forward, backward, answer, kernels)

    return make


ELSE = re.compile(r"cu(da)?[A-Z]|Mem(set|cpy)|Activity Buffer|void at::native::\w*(elementwise|reduce)_kernel")


def of_attention(names):
    """Of all that a profiler saw, the kernels that do attention, by their functions' names: no calls, no copies."""
    return sorted({shortened(name) for name in names if not ELSE.match(name)})


def shortened(name, most=60):
    """Without its arguments; without those of its template too where that is longer than `most`."""
    name = name.removeprefix("void ").replace("(anonymous namespace)::", "")
    name = name.split("(")[0].strip()
    return (name if len(name) <= most else name.split("<")[0])[:most]


def by_backend(backend):
    """On the processor: the reference, or its kernels."""

    def make(inputs, size, precision):
        import minitransformer

        *qkv, dy = inputs["float32"]
        here = {}

        def forward():
            minitransformer.use_backend(backend)
            here["y"], here["saved"] = operation(*qkv, causal=size.causal)

        def backward():
            here["dq"], here["dk"], here["dv"], _ = operation.backward(dy, here["saved"])

        def answer(heads):
            return {head: {name: here[name][head] for name in ("y", "dq", "dk", "dv")} for head in heads}

        return Work(None, forward, backward, answer)

    return make


def contenders():
    """Whoever can be asked here."""
    found = [Contender(name, rung.precision, by_rung(name)) for name, rung in RUNGS.items()]
    if find_spec("torch"):
        found += [
            Contender(f"PyTorch {kind}", precision, by_pytorch(kind))
            for kind, precisions in KINDS.items()
            for precision in precisions
        ]
    return [
        *found,
        Contender("CPU kernels", "float32", by_backend("cpu")),
        Contender("NumPy", "float32", by_backend("reference")),
    ]


def expected(inputs, size):
    """{(batch, head): {"y", ...}} of the heads that are known, in float64"""
    found = {}
    for head in known_heads(size):
        parts = exact(*(part[head].astype(np.float64) for part in inputs["float32"]), size.causal)
        found[head] = dict(zip(("y", "dq", "dk", "dv"), parts, strict=True))
    return found


def exact(q, k, v, dy, causal, rows=512):
    """y, dq, dk, dv of one head (T, K): some queries at a time, so that nothing has T × T numbers"""
    T, scale = len(q), q.shape[1] ** -0.5
    y, dq, dk, dv = (np.zeros_like(q) for _ in range(4))
    for i in range(0, T, rows):
        own, seen = slice(i, i + rows), slice(0, min(i + rows, T) if causal else T)
        w = q[own] @ k[seen].T
        w *= scale
        if causal:
            w[:, i:][np.triu_indices(len(w), 1)] = -np.inf
        w -= w.max(-1, keepdims=True)
        np.exp(w, out=w)
        w /= w.sum(-1, keepdims=True)
        y[own] = w @ v[seen]
        dv[seen] += w.T @ dy[own]
        ds = dy[own] @ v[seen].T
        ds -= (dy[own] * y[own]).sum(-1, keepdims=True)
        ds *= w
        ds *= scale
        dq[own] = ds @ k[seen]
        dk[seen] += ds.T @ q[own]
    return y, dq, dk, dv


def off_by(answer, exact):
    """The largest difference over all heads that are known, each relative to the largest number of its kind."""
    worst = 0.0
    for head, parts in exact.items():
        for name, array in answer[head].items():
            difference = np.abs(array - parts[name])
            if not np.isfinite(difference).all():
                return np.inf
            worst = max(worst, float(difference.max() / np.abs(parts[name]).max()))
    return worst


def turn(contender):
    """0 for who is compared, 1 for the processor, 2 for all others"""
    return 0 if contender[:2] in COMPARED else 1 if contender.name in HOST else 2


def sizes_of(contender):
    """The sizes at which this contender takes part, where nobody says which."""
    if contender.name in HOST:
        return [size for size in SIZES if size.T <= LONGEST_ON_HOST and size.K == 64 and size.causal]
    offered = [size for size in SIZES if contender.name not in RUNGS or RUNGS[contender.name].offers(size.K)]
    return [size for size in offered if not turn(contender) or (size.T <= LONGEST and not size.causal)]


def run(gpu, rows, sizes=None, among=None, late=lambda seconds=0: False, without=()):
    """Rows of every size and contender, but for those `without`: nothing is timed before it was found right.

    late: (seconds) -> whether as many are not left; nothing is begun then
    """
    slow, known, compiled = {}, {}, compiled_elsewhere(rows)
    everybody = [who for who in (contenders() if among is None else among) if who.name not in without]
    asked = {contender: sizes or sizes_of(contender) for contender in everybody}
    for some in by_turns(everybody):
        for size in sizes or SIZES:
            for contender in some:
                key = contender.name, contender.precision, size.K, size.causal
                if slow.get(key) or size not in asked[contender]:
                    continue
                if late(SECONDS_ON_HOST if contender.name in HOST else 0):
                    return
                inputs = inputs_of(size)
                if size not in known:
                    known[size] = expected(inputs, size)
                slow[key] = one(gpu, rows, size, contender, inputs, known[size], compiled)
        if turn(some[0]) == 0 and not late():
            tell_launches(gpu, rows, sizes or SIZES, some, late)
            tell_kernels(rows, sizes or SIZES, some, late)


def by_turns(everybody):
    turns = {}
    for contender in everybody:
        turns.setdefault(turn(contender), []).append(contender)
    return [turns[turn] for turn in sorted(turns)]


def tell_launches(gpu, rows, sizes, some, late):
    """Where the time of our rungs goes, kernel by kernel, at the shortest length: work done once weighs most there."""
    shortest = min(size.T for size in sizes)
    for size in (size for size in sizes if size.T == shortest):
        for contender in some:
            if contender.name not in RUNGS or late():
                continue
            names, what = f"{contender.name}, {contender.precision}", f"{contender.name} {contender.precision} {size}"
            try:
                work = contender.make(inputs_of(size), size, contender.precision)
                for way in ("forward", "backward"):
                    row = {"contender": names, "way": way, "T": size.T, "K": size.K, "causal": size.causal}
                    found = by_kernel(gpu, getattr(work, way))
                    rows.add(kind="launches", what=f"{what} {way}", **row, launches=found)
            except Exception as error:  # a device that gave up
                rows.add(kind="launches", what=what, refused=in_a_line(error))


def tell_kernels(rows, sizes, some, late):
    """What is launched for those that do not say so themselves, at the first causal size of each width.

    After the timings, not between them: a profiler that has been on may go on listening to every launch.
    """
    for size in {size.K: size for size in reversed(sizes) if size.causal}.values():
        for contender in some:
            names = f"{contender.name}, {contender.precision}"
            if contender.name in RUNGS or late():
                continue
            try:
                work = contender.make(inputs_of(size), size, contender.precision)
                for way in ("forward", "backward") if work.kernels else ():
                    ask = getattr(work, way)
                    ask()
                    row = {"contender": names, "way": way, "K": size.K, "causal": size.causal}
                    rows.add(kind="kernels", what=f"{names}, {way}, K {size.K}", **row, kernels=work.kernels(ask))
            except Exception as error:  # a kind that this device does not have, a profiler that may not look
                rows.add(kind="kernels", what=f"{names}, K {size.K}", refused=in_a_line(error))


def compiled_elsewhere(rows):
    """{(rung, K, causal, way): seconds} of the kernels that the checks compiled, in processes of their own"""
    return {
        (row["rung"], K, causal, way): seconds
        for row in rows.named("correct")
        for K, causal, masked, way, seconds in row.get("compiled", ())
        if not masked
    }


def one(gpu, rows, size, contender, inputs, exact, compiled):
    """The rows of one contender at one size; whether it is so slow that a longer size is not asked of it."""
    label = {"kind": "attention", "contender": f"{contender.name}, {contender.precision}", "T": size.T}
    label |= {"K": size.K, "causal": size.causal, "group": str(size)}
    what, first = f"{contender.name} {contender.precision} {size}", {}
    before = gpu.used()
    try:
        work = contender.make(inputs, size, contender.precision)
        for way in ("forward", "backward"):
            if getattr(work, way) is not None:
                first[way] = wall(gpu, getattr(work, way))
        off = off_by(work.answer(list(exact)), exact)
    except Exception as error:  # a kind that this device or this PyTorch does not have, or memory that is full
        rows.add(**label, what=what, refused=in_a_line(error))
        return True
    if not off <= TOLERANCE[contender.precision]:
        rows.add(**label, what=what, refused=f"off by {off:.1e}, more than {TOLERANCE[contender.precision]}")
        return True
    memory, slowest = gpu.used() - before, 0.0
    for way, seconds in first.items():
        group = f"{contender.precision} {way}, K {size.K}{', causal' * size.causal}"
        row = label | {"what": f"{what} {way}", "way": way, "group": group, "off": off, "memory": max(memory, 0)}
        row["first"] = seconds  # of its first call here: long where nothing was kept for it
        try:
            times, on_device = timed(gpu, work, way, seconds), work.bring is not None
            if on_device:
                n_bytes = size.bytes(way, contender.precision)
                check_possible(times, gpu.peaks, contender.unit, size.flops(way), n_bytes)
        except Exception as error:  # a time that cannot be, or a device that gave up
            rows.add(**row, refused=in_a_line(error))
            continue
        rate = size.flops(way) / times.warm
        peak = getattr(gpu.peaks, contender.unit) if on_device else None
        told = compiled.get((contender.name, size.K, size.causal, way))
        times = times if told is None else times._replace(compile=told)
        rows.add(**row, **times._asdict(), rate=rate, share=rate / peak if peak else None)
        slowest = max(slowest, times.warm)
    return slowest > PATIENCE


def timed(gpu, work, way, first):
    if work.bring is None:
        return measure_on_host(getattr(work, way), first)
    return measure(gpu, getattr(work, way), work.bring if way == "forward" else None, first=first)
