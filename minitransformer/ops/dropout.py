"""Dropout (Srivastava et al. 2014), inverted: what is kept is scaled up, so that evaluation changes nothing.

    forward     y = x m / (1 - rate)        m = 1 with probability 1 - rate, else 0, drawn from a key

    backward    dx = dy m / (1 - rate)      the same m: what the forward dropped feels nothing

The mask follows from the key and the element's place alone: a forward that is run again drops the same, and a kernel
may begin anywhere (philox.py).
"""

import math
from numbers import Real

import numpy as np

from .. import philox
from ..convention import backward_of, op


def check_rate(rate):
    if not (isinstance(rate, Real) and 0 <= rate < 1):
        raise ValueError(f"a dropout rate must be at least 0 and below 1, not {rate}")


def draw_kept(shape, rate, key):
    """True where an element is kept; None (all of them) without a key or a rate."""
    check_rate(rate)
    if key is None or rate == 0:
        return None
    return (philox.words(key, math.prod(shape)) >= limit_of(rate)).reshape(shape)


def limit_of(rate):
    """The least of 2³² equally probable numbers that keeps an element, as uint32."""
    return np.uint32(min(round(rate * 2**32), 2**32 - 1))


def keep(x, kept, rate):
    return x if kept is None else np.where(kept, x / (1 - rate), 0)


@op(x="...")
def dropout(x, *, rate, key=None):
    """Each element is zero with probability `rate`, else x / (1 - rate); without a key, x as it is.

    x (...)   ->   y (...)
    """
    kept = draw_kept(x.shape, rate, key)
    return keep(x, kept, rate), (kept, rate)


@backward_of(dropout)
def dropout_backward(dy, saved):
    """dx = dy m / (1 - rate)"""
    kept, rate = saved
    return keep(dy, kept, rate)
