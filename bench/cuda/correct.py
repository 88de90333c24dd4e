"""Every rung on the device against float64, before anything is timed: ragged sizes, masks, grouped heads, each width.

What a rung is called with, and how near it must come, is what the tests hold it to on a GPU
(tests/kernels/cuda/attention/on_a_gpu.py); here it is as large as on a device nothing else is.

Nearly all of the time goes by while kernels are compiled, one after another on one core. So there is a process to each
rung and width, causal or not, as many at once as there are cores; what they compile is kept for whoever comes after:

    python -m bench.cuda.correct RUNG WIDTH [causal]    prints what it found, a line of JSON
    python -m bench.cuda.correct step CONTENDER         checks nothing, and compiles what training steps need
"""

import json
import os
import subprocess
import sys
import time
from concurrent.futures import ThreadPoolExecutor, as_completed
from typing import Any, NamedTuple

import numpy as np

from minitransformer.kernels.cuda.arrays import to_device, to_host
from minitransformer.kernels.cuda.attention import RUNGS
from minitransformer.threads import available_cores
from tests.kernels.cuda.attention.cases import Case
from tests.kernels.cuda.attention.on_a_gpu import differences_and_bounds

LENGTHS = ((1, 1), (31, 33), (33, 31), (257, 257), (1, 257), (257, 31))
WIDTHS = (32, 64, 128)
KINDS = (
    {"causal": False},
    {"causal": True},
    {"causal": True, "mask": "padded"},
    {"causal": False, "mask": "full"},
)


class OnDevice(NamedTuple):
    """A rung for arrays in the host's memory; `first`: {(K, causal, masked, way): seconds of its first call}"""

    rung: Any
    first: dict

    @property
    def name(self):
        return self.rung.name

    @property
    def precision(self):
        return self.rung.precision

    @property
    def backward(self):
        return self.rung.backward

    def attention(self, q, k, v, *, mask=None, causal=False):
        mask = None if mask is None else to_device(mask)
        variant, given = (q.shape[3], causal, mask is not None), [to_device(part) for part in (q, k, v)]
        begin = time.perf_counter()
        y, saved = self.rung.attention(*given, mask=mask, causal=causal)
        y = to_host(y)
        self.first.setdefault((*variant, "forward"), time.perf_counter() - begin)
        return y, (variant, saved, to_host(saved[-1]))

    def attention_backward(self, dy, saved):
        variant, saved, _ = saved
        dy, begin = to_device(dy), time.perf_counter()
        found = tuple(to_host(part) for part in self.rung.attention_backward(dy, saved))
        self.first.setdefault((*variant, "backward"), time.perf_counter() - begin)
        return found


def cases(lengths=LENGTHS, widths=WIDTHS, kinds=KINDS):
    """Every length and kind of mask, at widths that take turns: all of them come with all of either."""
    for i, (T, S) in enumerate(lengths):
        for j, kind in enumerate(kinds):
            yield Case(B=2, G=2, R=2, T=T, S=S, K=widths[(i + j) % len(widths)], seed=97 * i + j, **kind)


def check_rungs(rungs=None, given=None):
    """A row after another: {"rung", "cases", "worst": share of what it may be off by, "wrong": [...], "compiled"}"""
    for name, rung in (rungs or RUNGS).items():
        worst, wrong, n, first = 0.0, [], 0, {}
        for case in cases() if given is None else given:
            if not rung.offers(case.K):
                continue
            n += 1
            share = share_of_bound(OnDevice(rung, first), case)
            worst = max(worst, share) if np.isfinite(share) else np.inf
            wrong += [str(case)] * (not share <= 1)
        compiled = [[*variant, seconds] for variant, seconds in first.items()]
        yield {"rung": name, "cases": n, "worst": worst, "wrong": wrong, "compiled": compiled}


def share_of_bound(rung, case):
    """How much of what it may be off by it is off by: above 1 it is wrong; infinite where it raises an error."""
    try:
        differences, bounds = differences_and_bounds(rung, case)
    except Exception:  # of a shape or a NaN that tells, or of a device that gave up
        return np.inf
    shares = [np.max(np.asarray(differences[name]) / bounds[name], initial=0) for name in differences]
    return float(np.max(shares)) if np.isfinite(shares).all() else np.inf


# ------------------------------------------------------------------------------------------------- many at once

STEPS = {"backend cuda": ("small", "medium"), "CPU kernels": ("small",)}  # of bench/cuda/step.py; others need no more
LATE = "{:.0f} seconds were over"
ONE_THREAD = {name: "1" for name in ("OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS", "OMP_NUM_THREADS", "NUMBA_NUM_THREADS")}


def jobs():
    """[arguments of a process, ...]: those that take longest come first"""
    rungs = [
        (name, str(K), *more)
        for name, rung in reversed(RUNGS.items())
        for K in reversed(WIDTHS)
        for more in (["causal"], [])
        if rung.offers(K)
    ]
    return [*(("step", contender) for contender in STEPS), *rungs]


def side_by_side(jobs, seconds, command=(sys.executable, "-m", "bench.cuda.correct"), cores=None):
    """(job, [row, ...], what went wrong or None), each as soon as its process has ended, or was too late."""
    end = time.monotonic() + seconds

    def ask(job):
        left, job = end - time.monotonic(), [*command, *job]
        if left <= 0:
            return [], LATE.format(seconds)
        try:
            done = subprocess.run(
                job, capture_output=True, text=True, timeout=left, env=os.environ | ONE_THREAD, stdin=subprocess.DEVNULL
            )
        except subprocess.TimeoutExpired:
            return [], LATE.format(seconds)
        found = [json.loads(line) for line in done.stdout.splitlines() if line.startswith("{")]
        if done.returncode or not found:
            said = (done.stderr.strip().splitlines() or ["and said nothing"])[-1]
            return found, f"ended with status {done.returncode}: {said[:200]}"
        return found, None

    with ThreadPoolExecutor(cores or available_cores()) as pool:
        asked = {pool.submit(ask, job): job for job in jobs}
        for future in as_completed(asked):
            yield asked[future], *future.result()


def main(what, which, causal=None):
    from minitransformer.kernels.cuda.device import check_device

    check_device()  # and the first of all calls, which takes longer, is over
    if what == "step":
        from .step import seconds_to_compile

        found = [
            {"contender": which, "size": size, "compile": seconds_to_compile(which, size)} for size in STEPS[which]
        ]
    else:
        some = [case for case in cases() if (case.K, case.causal) == (int(which), causal == "causal")]
        found = check_rungs({what: RUNGS[what]}, some)
    for row in found:
        print(json.dumps(row), flush=True)


if __name__ == "__main__":
    main(*sys.argv[1:])
