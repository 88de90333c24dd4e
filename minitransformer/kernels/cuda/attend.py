"""Attention on the device: by the best rung of the ladder (attention/) that can, else by the formula itself.

The ladder is asked for float32 alone, which its last rung has from tensor cores, where the device has them; for heads
of a width that no higher rung has, it is the first. It knows neither a bias on the scores nor dropout of the weights.
What it cannot do is done as the reference does it, with CuPy's matrix products: then there are scores and weights of
T × S for every head, in memory.
"""

import numpy as np

from ... import ops
from ...ops.attention import check_heads, may_attend, repeat_heads
from ...ops.dropout import check_rate, keep
from ...ops.softmax import stable_softmax
from .arrays import check_place, to_device
from .attention.rungs import RUNGS, that_can
from .device import capability
from .dropout import draw_kept

_, FORMULA_BACKWARD = ops.attention.implementations["reference"]


def attention(q, k, v, bias=None, *, mask=None, causal=False, dropout_rate=0.0, key=None):
    check_heads(q, k)
    check_rate(dropout_rate)
    check_place(q=q, k=k, v=v, bias=bias)
    mask = None if mask is None else to_device(mask)
    drops = key is not None and dropout_rate > 0
    rung = None if drops or bias is not None else best_rung(q, k)
    if rung is None:
        y, saved = by_the_formula(q, k, v, bias, may_attend(q, k.shape[2], mask, causal), dropout_rate, key)
    else:
        y, saved = rung.attention(q, k, v, mask=mask, causal=causal)
    return y, (rung, saved)


def attention_backward(dy, saved):
    """dq, dk, dv, dbias (None where there was no bias)"""
    rung, saved = saved
    check_place(dy=dy)
    return FORMULA_BACKWARD(dy, saved) if rung is None else rung.attention_backward(dy, saved)


def by_the_formula(q, k, v, bias, allowed, dropout_rate, key):
    """What the reference does, whose backward follows; only what is dropped is drawn by a kernel."""
    H, scale = q.shape[1], q.shape[3] ** -0.5
    scores = q @ repeat_heads(k, H).swapaxes(-1, -2) * scale  # (B,H,T,S)
    if bias is not None:
        scores += bias
    weights = stable_softmax(scores if allowed is None else np.where(allowed, scores, -np.inf))
    kept = draw_kept(weights.shape, dropout_rate, key, like=weights)
    y = keep(weights, kept, dropout_rate) @ repeat_heads(v, H)
    return y, (q, k, v, bias, weights, scale, kept, dropout_rate)


def best_rung(q, k):
    """The highest rung for arrays like these, forward and backward; None where there is nothing to do."""
    if q.dtype != np.float32 or 0 in (*q.shape, *k.shape):
        return None
    return RUNGS[that_can("float32", q.shape[3], True, capability())[0]]


ops.attention.implement("cuda", attention, attention_backward)
