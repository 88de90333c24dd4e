"""Dropout that is the same all along an axis, "locked" (Gal & Ghahramani 2016; Merity et al. 2018, section 4).

    forward     y = x m / (1 - rate)        m is drawn once for all places of that axis

    backward    dx = dy m / (1 - rate)      the same m

Along time, (B, T, D): a unit is dropped at every step of a sequence, or at none; it cannot be read off the neighbour.
Along the width of a table, (V, D): a row as a whole, so that a word is gone wherever it stands.
"""

from ..convention import backward_of, op
from .dropout import draw_kept, keep


@op(x="...")
def locked_dropout(x, *, axis, rate, key=None):
    """x with dropout that is locked along `axis`; without a key, x as it is.

    x (...)   ->   y (...)
    """
    shape = list(x.shape)
    shape[axis] = 1
    kept = draw_kept(tuple(shape), rate, key)
    return keep(x, kept, rate), (kept, rate)


@backward_of(locked_dropout)
def locked_dropout_backward(dy, saved):
    """dx = dy m / (1 - rate)"""
    kept, rate = saved
    return keep(dy, kept, rate)
