"""What was to be reached on a GPU, and whether it was: told from the rows of a report, here and on the pages.

float32      the best rung is as fast as PyTorch's kernel for float32, at every length, width and mask
bfloat16     tensor_cores does half of what FlashAttention-2 does forward, and 40% backward
a step       of GPT-2 124M takes at most one and a half times as long as PyTorch's: of 2 × 256 tokens, and of 4 × 1,024
growth       of the same number of tokens in longer sequences, time grows as T, and memory does not
"""

import math
from typing import NamedTuple

from minitransformer.kernels.cuda.attention.rungs import RUNGS

FLOAT32, FLASH = "PyTorch EFFICIENT_ATTENTION, float32", "PyTorch FLASH_ATTENTION, bfloat16"
OF_FLOAT32 = [f"{name}, float32" for name, rung in RUNGS.items() if rung.precision == "float32"]
SHARES = {"forward": 0.5, "backward": 0.4}  # of FLASH
SLOWER, STEPS = 1.5, {"gpt2": "2 × 256 tokens", "gpt2-long": "4 × 1,024 tokens"}
TIME, MEMORY = 1.1, 0.1  # powers of T


class Bar(NamedTuple):
    what: str
    found: str
    met: bool | None  # None: not measured

    @property
    def verdict(self):
        return {True: "met", False: "missed", None: "not measured"}[self.met]


def bars(rows):
    timed = [row for row in rows if row["kind"] == "attention" and "warm" in row]
    found = [
        of_ratios(
            f"float32 {way}: the best rung is as fast as PyTorch's kernel", ratios(timed, way, OF_FLOAT32, FLOAT32), 1
        )
        for way in SHARES
    ]
    found += [
        of_ratios(
            f"bfloat16 {way}: tensor_cores does {least:.0%} of FLASH_ATTENTION",
            ratios(timed, way, ["tensor_cores, bfloat16"], FLASH),
            least,
        )
        for way, least in SHARES.items()
    ]
    return [*found, *(of_a_step(rows, *size) for size in STEPS.items()), *of_growth(timed)]


def ratios(timed, way, ours, theirs):
    """{(K, causal, T): how many times as fast the fastest of ours is as theirs}"""
    found = {}
    for row in timed:
        if row["way"] == way:
            found.setdefault((row["K"], row["causal"], row["T"]), {})[row["contender"]] = row["warm"]
    return {
        where: times[theirs] / min(times[name] for name in ours if name in times)
        for where, times in sorted(found.items())
        if theirs in times and any(name in times for name in ours)
    }


def of_ratios(what, found, least):
    if not found:
        return Bar(what, "not measured", None)
    low, high = (pick(found, key=found.get) for pick in (min, max))
    said = f"{found[low]:.2f} × ({where(*low)}) to {found[high]:.2f} × ({where(*high)})"
    reached = sum(ratio >= least for ratio in found.values())
    return Bar(what, f"{said}; at {reached} of {len(found)} sizes", reached == len(found))


def where(K, causal, T):
    return f"K {K}{', causal' * causal}, T {T}"


def of_a_step(rows, size, tokens):
    what = f"a training step of GPT-2 124M, {tokens}, takes at most {SLOWER:g} × PyTorch's time"
    steps = {(row["group"], row["contender"]): row["warm"] for row in rows if row["kind"] == "step" and "warm" in row}
    ours, theirs = (steps.get((size, name)) for name in ("backend cuda", "PyTorch eager"))
    if ours is None or theirs is None:
        return Bar(what, "not measured", None)
    return Bar(what, f"{ours / theirs:.2f} ×", ours <= SLOWER * theirs)


def of_growth(timed):
    """By which power of T the time and the memory of every rung grow, between its two longest lengths."""
    found = {"warm": {}, "memory": {}}
    for row in timed:
        if row["contender"].split(",")[0] in RUNGS:
            for what, powers in found.items():
                key = row["contender"].split(",")[0], row["way"], row["K"], row["causal"]
                powers.setdefault(key, {})[row["T"]] = row[what]
    for what, named, most in (("warm", "time", TIME), ("memory", "memory", MEMORY)):
        powers = {key: power(points) for key, points in found[what].items() if len(points) > 1}
        powers = {key: p for key, p in powers.items() if p is not None}
        asked = f"of as many tokens in longer sequences, {named} grows at most as T^{most:g}"
        if not powers:
            yield Bar(asked, "not measured", None)
            continue
        (rung, way, K, causal), worst = max(powers.items(), key=lambda item: item[1])
        yield Bar(asked, f"as T^{worst:.2f} at most ({rung} {way}, K {K}{', causal' * causal})", worst <= most)


def power(points):
    """{T: number} -> the power of T between the last two"""
    (before, less), (T, more) = sorted(points.items())[-2:]
    return math.log(more / less) / math.log(T / before) if less > 0 and more > 0 else None
