"""Dropout as a kernel: the same bits as the reference, drawn lane by lane (philox.py), no number of them stored.

forward     y = x m / (1 - rate)        kept is m, one byte an element

backward    dx = dy m / (1 - rate)
"""

import numpy as np

from ... import ops
from ...ops.dropout import check_rate, limit_of
from ...philox import identity
from .arrays import flat
from .compiled import compiled
from .philox import draw_kept


def dropout(x, *, rate, key=None):
    check_rate(rate)
    if key is None or rate == 0:
        return x, (None, rate)
    y, kept = np.empty(x.shape, x.dtype), np.empty(x.shape, np.bool_)
    draw_kept(identity(key), 0, limit_of(rate), flat(kept))
    drop(flat(x), flat(kept), rate, flat(y))
    return y, (kept, rate)


def dropout_backward(dy, saved):
    kept, rate = saved
    if kept is None:
        return dy
    dx = np.empty(dy.shape, dy.dtype)
    drop(flat(dy), flat(kept), rate, flat(dx))
    return dx


@compiled
def drop(x, kept, rate, y):
    share = x.dtype.type(1 - rate)
    for i in range(x.size):
        y[i] = x[i] / share if kept[i] else x.dtype.type(0)


ops.dropout.implement("cpu", dropout, dropout_backward)
