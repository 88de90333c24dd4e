"""Attention on a device: every rung of the ladder and every kind of PyTorch's, forward and backward, as T grows.

All have the same 8,192 tokens and the same width, 2,048: fewer and longer sequences, fewer and wider heads. So the same
numbers are in all of them, drawn once, and numbers that bfloat16 has, so that both precisions are asked the same.
Operations are counted as papers do: 4 T S K a head forward and 10 backward (with the recomputed scores), half of that
under a causal mask.

Who is compared comes first, at all lengths; then, kernel by kernel, what the time of our rungs goes to; then whoever
computes on the processor; then the lower rungs, and what else PyTorch has, at a few lengths; last, what PyTorch calls
its kernels.
"""

from functools import cache
from typing import NamedTuple

import numpy as np

from minitransformer.kernels.cuda.attention import RUNGS
from minitransformer.kernels.cuda.attention.bfloat16 import from_bfloat16, to_bfloat16

from .clock import by_kernel, check_possible, measure, measure_on_host, wall
from .contenders import HOST, contenders
from .exact import expected, off_by
from .rows import in_a_line

TOKENS, WIDTH = 8192, 2048
TOLERANCE = {"float32": 1e-4, "bfloat16": 3e-2}  # of the largest number; the checks of rungs.py are far narrower
PATIENCE = 0.25  # seconds: who takes longer at one length is not asked at twice that
LONGEST_ON_HOST = 512  # T (K 64, causal)
SECONDS_ON_HOST = 30  # that one of them may take at one length: not begun with less left
COMPARED = (  # who comes first; the others, but for those on the processor, are asked up to LONGEST, and not causal
    ("tensor_cores_float32", "float32"),
    ("PyTorch EFFICIENT_ATTENTION", "float32"),
    ("tensor_cores", "bfloat16"),
    ("PyTorch FLASH_ATTENTION", "bfloat16"),
    ("PyTorch CUDNN_ATTENTION", "bfloat16"),
)
LONGEST = 2048


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


@cache
def drawn(count, seed=0):
    """The bits of q, k, v, dy in bfloat16 (4, count), and the same numbers in float32"""
    bits = to_bfloat16(np.random.default_rng(seed).standard_normal((4, count), dtype=np.float32))
    return {"bfloat16": bits, "float32": from_bfloat16(bits)}


def inputs_of(size):
    """{precision: [q, k, v, dy]}, the same numbers for all sizes of as many"""
    return {name: list(array.reshape(4, *size.shape)) for name, array in drawn(int(np.prod(size.shape))).items()}


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
                if late():
                    return
                if contender.name in HOST and late(SECONDS_ON_HOST):  # others may have time enough
                    continue
                inputs = inputs_of(size)
                if size not in known:
                    known[size] = expected(inputs, size)
                slow[key] = one(gpu, rows, size, contender, inputs, known[size], compiled)
        if turn(some[0]) == 0 and not late():
            tell_launches(gpu, rows, sizes or SIZES, some, late)
    tell_kernels(rows, sizes or SIZES, [who for who in everybody if turn(who) == 0], late)


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

    After all timings: a profiler takes seconds each time, and one that has been on may go on listening to every launch.
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
