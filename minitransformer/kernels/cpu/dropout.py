"""Dropout as a kernel: numbers drawn and used one by one, none of them stored; the same bits as the reference.

forward     y = x m / (1 - rate)        kept is m, one byte an element

backward    dx = dy m / (1 - rate)
"""

import numpy as np

from ... import ops
from ...convention import generator
from ...ops.dropout import check_rate
from .arrays import flat
from .compiled import compiled


def dropout(x, *, rate, key=None):
    check_rate(rate)
    if key is None or rate == 0:
        return x, (None, rate)
    y, kept = np.empty(x.shape, x.dtype), np.empty(x.shape, np.bool_)
    draw_and_drop(flat(x), generator(key), rate, flat(y), flat(kept))
    return y, (kept, rate)


def dropout_backward(dy, saved):
    kept, rate = saved
    if kept is None:
        return dy
    dx = np.empty(dy.shape, dy.dtype)
    drop(flat(dy), flat(kept), rate, flat(dx))
    return dx


@compiled
def draw_and_drop(x, rng, rate, y, kept):
    share = x.dtype.type(1 - rate)
    for i in range(x.size):
        kept[i] = rng.random() >= rate
        y[i] = x[i] / share if kept[i] else x.dtype.type(0)


@compiled
def drop(dy, kept, rate, dx):
    share = dy.dtype.type(1 - rate)
    for i in range(dy.size):
        dx[i] = dy[i] / share if kept[i] else dy.dtype.type(0)


ops.dropout.implement("cpu", dropout, dropout_backward)
