"""Adam's update on the device: a thread to a parameter, one pass over the four arrays, in place, all leaves at once.

As array operations it would be a dozen passes, each with a launch and an array of its own; memory is what it waits for.
"""

import numpy as np

from ... import ops
from ...convention import KERNEL_DTYPES
from .arrays import check_leaves, contiguous, empty, to_device
from .device import THREADS, cuda, kernel
from .functions import sqrt
from .many import ADDRESSES, BEGIN, CHUNK, SIZE, array_at, by_dtype, launch_chunks, leaf_of


def adamw(w, g, m, v, *, learning_rate, weight_decay, out=None, **settings):
    each = {"learning_rate": [learning_rate], "weight_decay": [weight_decay], **settings}
    lists = adamw_many([w], [g], [m], [v], out=out and [[part] for part in out], **each)
    return tuple(part for (part,) in lists)


def adamw_many(w, g, m, v, *, out=None, **settings):
    check_leaves(w=w, g=g, m=m, v=v)
    dtypes = dtypes_of(w, g, m, v)  # no address goes over unseen
    if out is not None and not all(new is old for new, old in zip(out, (w, m, v))):
        dtypes |= dtypes_of(out[0], g, *out[1:])
    if not dtypes <= set(map(np.dtype, KERNEL_DTYPES)):
        return one_by_one(w, g, m, v, out=out, **settings)
    new = tuple([empty(leaf.shape, leaf) for leaf in leaves] for leaves in (w, m, v)) if out is None else out
    straight = [[leaf if leaf.flags.c_contiguous else empty(leaf.shape, leaf) for leaf in leaves] for leaves in new]
    for leaves, olds in zip(straight, (w, m, v), strict=True):
        fill(leaves, olds)
    update_all(straight[0], list(map(contiguous, g)), *straight[1:], **settings)
    for leaves, made in zip(new, straight, strict=True):
        fill(leaves, made)
    return new


def dtypes_of(*lists):
    """Of all leaves, w, g, m and v of each alike; what does not fit is for the door of `adamw` to say"""
    kinds = [[(leaf.shape, leaf.dtype) for leaf in leaves] for leaves in lists]
    if any(others != kinds[0] for others in kinds):
        for leaf in zip(*lists, strict=True):
            ops.adamw.door(leaf, {})
    return {dtype for _, dtype in kinds[0]}


def update_all(w, g, m, v, *, t, learning_rate, beta1, beta2, eps, weight_decay, factor=1.0):
    rates = np.array([learning_rate, np.multiply(learning_rate, weight_decay)]).T / [1 - beta1**t, 1]  # (leaves, 2)
    settings = factor, beta1, 1 - beta1, beta2, 1 - beta2, 1 / (1 - beta2**t), eps
    for places, lists in by_dtype(w, g, m, v):
        real = lists[0][0].dtype.type
        launch_chunks(update, lists, to_device(rates[places].astype(real)), *map(real, settings))


def fill(leaves, others):
    for leaf, other in zip(leaves, others, strict=True):
        if leaf is not other:
            leaf[...] = other


@kernel
def update(table, like, rates, factor, b1, rest1, b2, rest2, unbias2, least):
    """w, m and v become the new ones; rates: η / (1 - β₁ᵗ) and η λ of each leaf; unbias2: 1 / (1 - β₂ᵗ)"""
    row = leaf_of(cuda.blockIdx.x, table)
    size = table[row, SIZE]
    w, g = array_at(table[row, ADDRESSES], size, like), array_at(table[row, ADDRESSES + 1], size, like)
    m, v = array_at(table[row, ADDRESSES + 2], size, like), array_at(table[row, ADDRESSES + 3], size, like)
    rate, decay = rates[row, 0], rates[row, 1]
    begin = (cuda.blockIdx.x - table[row, BEGIN]) * CHUNK
    for i in range(begin + cuda.threadIdx.x, min(begin + CHUNK, size), THREADS):
        slope = factor * g[i]
        mean = b1 * m[i] + rest1 * slope
        square = b2 * v[i] + rest2 * (slope * slope)
        w[i] -= decay * w[i] + rate * mean / (sqrt(square * unbias2) + least)
        m[i], v[i] = mean, square


one_by_one, _ = ops.adamw_many.implementations["reference"]
ops.adamw.implement("cuda", adamw, None)
ops.adamw_many.implement("cuda", adamw_many, None)
