"""Every rung on the device against float64, before anything is timed: ragged sizes, masks, grouped heads, each width.

What a rung is called with, and how near it must come, is what the tests hold it to in the simulator
(tests/kernels/cuda/attention/cases.py); here it is as large as on a device nothing else is.
"""

from typing import Any, NamedTuple

import numpy as np

from minitransformer.kernels.cuda.arrays import to_device, to_host
from minitransformer.kernels.cuda.attention import RUNGS
from tests.kernels.cuda.attention.cases import Case, of_bfloat16, of_float32

LENGTHS = ((1, 1), (31, 33), (33, 31), (257, 257), (1, 257), (257, 31))
WIDTHS = (32, 64, 128)
KINDS = (
    {"causal": False},
    {"causal": True},
    {"causal": True, "mask": "padded"},
    {"causal": False, "mask": "full"},
)


class OnDevice(NamedTuple):
    """A rung for arrays in the host's memory"""

    rung: Any

    @property
    def precision(self):
        return self.rung.precision

    @property
    def backward(self):
        return self.rung.backward

    def attention(self, q, k, v, *, mask=None, causal=False):
        mask = None if mask is None else to_device(mask)
        y, saved = self.rung.attention(*(to_device(part) for part in (q, k, v)), mask=mask, causal=causal)
        return to_host(y), (saved, to_host(saved[-1]))

    def attention_backward(self, dy, saved):
        return tuple(to_host(part) for part in self.rung.attention_backward(to_device(dy), saved[0]))


def cases(lengths=LENGTHS, widths=WIDTHS, kinds=KINDS):
    """Every length and kind of mask, at widths that take turns: all of them come with all of either."""
    for i, (T, S) in enumerate(lengths):
        for j, kind in enumerate(kinds):
            yield Case(B=2, G=2, R=2, T=T, S=S, K=widths[(i + j) % len(widths)], seed=97 * i + j, **kind)


def check_rungs(rungs=None, given=None):
    """A row after another: {"rung", "cases", "worst": share of what it may be off by, "wrong": [...]}"""
    for name, rung in (rungs or RUNGS).items():
        worst, wrong, n = 0.0, [], 0
        for case in cases() if given is None else given:
            if not rung.offers(case.K):
                continue
            n += 1
            share = share_of_bound(rung, case)
            worst = max(worst, share) if np.isfinite(share) else np.inf
            wrong += [str(case)] * (not share <= 1)
        yield {"rung": name, "cases": n, "worst": worst, "wrong": wrong}


def share_of_bound(rung, case):
    """How much of what it may be off by it is off by: above 1 it is wrong; infinite where it raises an error."""
    try:
        differences, bounds = (of_float32 if rung.precision == "float32" else of_bfloat16)(OnDevice(rung), case)
    except Exception:  # of a shape or a NaN that tells, or of a device that gave up
        return np.inf
    shares = [np.max(np.asarray(differences[name]) / bounds[name], initial=0) for name in differences]
    return float(np.max(shares)) if np.isfinite(shares).all() else np.inf
