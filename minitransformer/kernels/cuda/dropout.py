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
from .device import THREADS, cuda, elements, kernel, launch
from .philox import four_numbers


def dropout(x, *, rate, key=None):
    check_rate(rate)
    check_place(x=x)
    if key is None or rate == 0:
        return x, (None, rate)
    y, kept = empty(x.shape, x), empty(x.shape, x, np.bool_)
    share, blocks = x.dtype.type(1 - rate), elements(-(-x.size // 4))
    launch(draw_and_drop, blocks, THREADS, flat(x), *key_and_limit(key, rate), share, flat(y), flat(kept))
    return y, (kept, rate)


def dropout_backward(dy, saved):
    kept, rate = saved
    check_place(dy=dy)
    if kept is None:
        return dy
    dx = empty(dy.shape, dy)
    launch(drop, elements(dy.size), THREADS, flat(dy), flat(kept), dy.dtype.type(1 - rate), flat(dx))
    return dx


def draw_kept(shape, rate, key, like):
    """True where an element is kept, drawn beside `like`; None (all of them) without a key or a rate."""
    if key is None or rate == 0:
        return None
    kept = empty(shape, like, np.bool_)
    launch(draw, elements(-(-kept.size // 4)), THREADS, *key_and_limit(key, rate), flat(kept))
    return kept


def key_and_limit(key, rate):
    return *identity(key).astype(np.uint64), np.uint64(limit_of(rate))


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
def draw(k0, k1, k2, k3, limit, kept):
    for counter in range(cuda.grid(1), (kept.size + 3) // 4, cuda.gridsize(1)):
        numbers = four_numbers(counter, k0, k1, k2, k3)
        for j in range(4):
            if 4 * counter + j < kept.size:
                kept[4 * counter + j] = numbers[j] >= limit


@kernel
def drop(dy, kept, share, dx):
    real = dy.dtype.type
    for i in range(cuda.grid(1), dy.size, cuda.gridsize(1)):
        dx[i] = dy[i] / share if kept[i] else real(0)


ops.dropout.implement("cuda", dropout, dropout_backward)
