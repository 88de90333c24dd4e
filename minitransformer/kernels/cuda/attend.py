"""Attention on the device: by the best rung of the ladder (attention/) that can, else by the formula itself.

The ladder is made for float32 and for heads of some widths, and knows neither a bias on the scores nor dropout of the
weights. What it cannot do is done as the reference does it, with CuPy's matrix products: then there are scores and
weights of T × S for every head, in memory.
"""

import numpy as np

from ... import ops
from ...ops.attention import check_groups, repeat_heads
from ...ops.dropout import check_rate, keep
from .arrays import check_place, to_device
from .attention.rungs import RUNGS, that_can
from .dropout import draw_kept

FORMULA, FORMULA_BACKWARD = ops.attention.implementations["reference"]


def attention(q, k, v, bias=None, *, mask=None, causal=False, dropout_rate=0.0, key=None):
    check_groups(q, k)
    check_rate(dropout_rate)
    check_place(q=q, k=k, v=v, bias=bias)
    mask = None if mask is None else to_device(mask)
    drops = key is not None and dropout_rate > 0
    if not drops and bias is None and (rung := best_rung(q, k)):
        y, saved = rung.attention(q, k, v, mask=mask, causal=causal)
        return y, (rung, saved)
    y, saved = FORMULA(q, k, v, bias, mask=mask, causal=causal)
    if drops:
        *others, weights, scale, _, _ = saved
        kept = draw_kept(weights.shape, dropout_rate, key, like=weights)
        y = keep(weights, kept, dropout_rate) @ repeat_heads(v, q.shape[1])
        saved = (*others, weights, scale, kept, dropout_rate)
    return y, (None, saved)


def attention_backward(dy, saved):
    """dq, dk, dv, dbias (None where there was no bias)"""
    rung, saved = saved
    check_place(dy=dy)
    return FORMULA_BACKWARD(dy, saved) if rung is None else rung.attention_backward(dy, saved)


def best_rung(q, k):
    """The highest rung for arrays like these, forward and backward; None where there is none."""
    if q.dtype != np.float32 or 0 in (*q.shape, *k.shape):
        return None
    names = that_can("float32", q.shape[3], backward=True)
    return RUNGS[names[0]] if names else None


ops.attention.implement("cuda", attention, attention_backward)
