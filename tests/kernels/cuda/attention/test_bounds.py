"""The bound of float32 on a device (on_a_gpu.py), held against attention as a thread computes it, one after another."""

from types import SimpleNamespace

import numpy as np
import pytest

from minitransformer.ops.attention import may_attend, repeat_heads, sum_heads

from . import cases
from .cases import LARGE, SMALL, Case, lse_of
from .on_a_gpu import bounds_of, differences_and_bounds, hold_on_a_gpu

CASES = [case._replace(K=K) for case in (*SMALL, *LARGE) for K in (32, 64, 128)]
LONG = Case(B=1, G=1, R=2, T=130, S=130, K=64)


def summed(x, axis):
    """In float32, one after another"""
    return np.add.accumulate(x, axis=axis, dtype=np.float32).take(-1, axis)


def product(a, b):
    """a bᵀ, with serial sums"""
    return summed(a[..., :, None, :] * b[..., None, :, :], -1)


class Serial(SimpleNamespace):
    """A rung of one thread a row, in NumPy. bug: what is wrong with it"""

    precision, backward, bug = "float32", True, None

    def attention(self, q, k, v, *, mask=None, causal=False):
        k_all, v_all = (repeat_heads(x, q.shape[1]) for x in (k, v))
        scale = np.float32(1 if self.bug == "no scale" else q.shape[3] ** -0.5)
        allowed = may_attend(q, k.shape[2], mask, causal)
        if self.bug == "causal off by one":
            allowed = may_attend(q, k.shape[2], mask, False)
            lower = np.tri(q.shape[2], k.shape[2], k.shape[2] - q.shape[2] + 1, dtype=bool)
            allowed = lower if allowed is None else allowed & lower
        s = product(q, k_all) * scale
        s = s if allowed is None else np.where(allowed, s, np.float32(-np.inf))
        m = s.max(-1, keepdims=True)
        p = np.exp(s - np.where(np.isfinite(m), m, np.float32(0)))
        l = summed(p, -1)[..., None]
        some = l > 0
        y = np.where(some, product(p, v_all.swapaxes(-1, -2)) / np.where(some, l, 1), 0).astype(np.float32)
        lse = np.where(some, m + np.log(np.where(some, l, np.float32(1))), np.float32(-np.inf))
        kept = m if self.bug == "lse without the sum" else lse
        right = lse_of(q.astype(np.float64), k.astype(np.float64), {"mask": mask, "causal": causal})
        return y, (q, k, k_all, v_all, s, y, kept, scale, right)  # what is looked at by itself is not what is wrong

    def attention_backward(self, dy, saved):
        q, k, k_all, v_all, s, y, lse, scale, _ = saved
        seen = np.isfinite(s)
        w = np.where(seen, np.exp(np.where(seen, s - np.where(np.isfinite(lse), lse, 0), 0)), 0).astype(np.float32)
        delta = np.float32(0) if self.bug == "no delta" else summed(dy * y, -1)[..., None]
        ds = w * (product(dy, v_all) - delta)
        dq = product(ds, k_all.swapaxes(-1, -2)) * scale
        dk, dv = (product(x.swapaxes(-1, -2), z.swapaxes(-1, -2)) for x, z in ((ds * scale, q), (w, dy)))
        G = k.shape[1]
        return dq, sum_heads(dk, G), sum_heads(dv, G), None


def share(rung, case):
    """How much of what it may be off by it is off by"""
    differences, bounds = differences_and_bounds(rung, case)
    return max(float(np.max(differences[name] / bounds[name], initial=0)) for name in differences)


@pytest.mark.parametrize("case", [*CASES, LONG], ids=str)
def test_serial_sums_stay_within_it(case):
    hold_on_a_gpu(Serial(), case)


@pytest.mark.parametrize("bits", [8, 11])
def test_inputs_of_fewer_bits_are_outside(bits, monkeypatch):
    """bfloat16's and TF32's"""

    def cut(x):
        mantissa, exponent = np.frexp(x)
        return np.ldexp(np.round(mantissa * 2**bits) / np.float32(2**bits), exponent).astype(np.float32)

    def attention(q, k, v, **settings):
        return Serial().attention(cut(q), cut(k), cut(v), **settings)

    monkeypatch.setattr(cases, "check_lse", lambda *_: None)
    assert share(Serial(attention=attention), LONG) > 10


def test_it_is_some_hundred_times_what_happens():
    """The worst that can happen is not what does: most roundings undo one another."""
    shares = [share(Serial(), case) for case in CASES]
    assert max(shares) > 0.03 and np.median(shares) > 0.007


@pytest.mark.parametrize("bug", ["no scale", "causal off by one", "lse without the sum", "no delta"])
@pytest.mark.parametrize("name", ["", "tensor_cores_float32"])
def test_what_is_wrong_is_far_outside(bug, name):
    rung, case = Serial(bug=bug, name=name), LONG._replace(T=35, S=36)
    with pytest.raises(AssertionError, match="times what it may be"):
        hold_on_a_gpu(rung, case)
    assert share(rung, case) > 1000


def test_tensor_cores_have_four_times_as_many_roundings():
    _, ours = bounds_of(LONG, True)
    _, theirs = bounds_of(LONG, True, on_tensor_cores=True)
    assert all((ours[name] < theirs[name]).all() and (theirs[name] < 4 * ours[name]).all() for name in ours)
