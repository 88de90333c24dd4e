"""Dropout on the device: the same bits as the reference, since a number hangs on its key and its place alone.

A thread draws four numbers (philox.py) and does four neighbouring elements, 16 bytes of float32: no state of a
generator is handed from thread to thread, and none is stored.

forward     y = x m / (1 - rate)        kept is m, one byte an element

backward    dx = dy m / (1 - rate)
"""

import numpy as np

from ... import ops
from ...ops.dropout import check_rate, limit_of
from ...philox import identity
from .arrays import check_place, empty, flat
from .device import cuda, elements, kernel, launch
from .philox import four_numbers


def dropout(x, *, rate, key=None):
    check_rate(rate)
    check_place(x=x)
    if key is None or rate == 0:
        return x, (None, rate)
    y, kept = empty(x.shape, x), empty(x.shape, x, np.bool_)
    words = identity(key).astype(np.uint64)
    share, limit = x.dtype.type(1 - rate), np.uint64(limit_of(rate))
    launch(draw_and_drop, elements(-(-x.size // 4)), flat(x), *words, limit, share, flat(y), flat(kept))
    return y, (kept, rate)


def dropout_backward(dy, saved):
    kept, rate = saved
    check_place(dy=dy)
    if kept is None:
        return dy
    dx = empty(dy.shape, dy)
    launch(drop, elements(dy.size), flat(dy), flat(kept), dy.dtype.type(1 - rate), flat(dx))
    return dx


def draw_kept(shape, rate, key, like):
    """True where an element is kept, drawn beside `like`; None (all of them) without a key or a rate."""
    ones = empty(shape, like)
    ones.fill(1)
    return dropout(ones, rate=rate, key=key)[1][0]


@kernel
def draw_and_drop(x, k0, k1, k2, k3, limit, share, y, kept):
    real = x.dtype.type
    for counter in range(cuda.grid(1), (x.size + 3) // 4, cuda.gridsize(1)):
        numbers = four_numbers(counter, k0, k1, k2, k3)
        for j in range(4):
            i = 4 * counter + j
            if i < x.size:
                keep = numbers[j] >= limit
                kept[i] = keep
                y[i] = x[i] / share if keep else real(0)


@kernel
def drop(dy, kept, share, dx):
    real = dy.dtype.type
    for i in range(cuda.grid(1), dy.size, cuda.gridsize(1)):
        dx[i] = dy[i] / share if kept[i] else real(0)


ops.dropout.implement("cuda", dropout, dropout_backward)
