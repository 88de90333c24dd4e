"""Adam's update on the device: a thread to a parameter, one pass over the four arrays, in place, all leaves at once.

As array operations it would be a dozen passes, each with a launch and an array of its own; memory is what it waits for.
"""

from ... import ops
from .arrays import check_place, contiguous, empty
from .device import THREADS, cuda, kernel
from .functions import sqrt
from .many import ADDRESSES, BEGIN, CHUNK, SIZE, array_at, by_dtype, launch_chunks, leaf_of


def adamw(w, g, m, v, *, out=None, **settings):
    lists = adamw_many([w], [g], [m], [v], out=out and [[part] for part in out], **settings)
    return tuple(part for (part,) in lists)


def adamw_many(w, g, m, v, *, t, learning_rate, beta1, beta2, eps, weight_decay, factor=1.0, out=None):
    for name, leaves in {"w": w, "g": g, "m": m, "v": v}.items():
        for leaf in {type(leaf): leaf for leaf in leaves}.values():
            check_place(**{name: leaf})
    new = tuple([empty(leaf.shape, leaf) for leaf in leaves] for leaves in (w, m, v)) if out is None else out
    straight = [[leaf if leaf.flags.c_contiguous else empty(leaf.shape, leaf) for leaf in leaves] for leaves in new]
    for leaves, olds in zip(straight, (w, m, v), strict=True):
        fill(leaves, olds)
    unbias1, unbias2 = 1 - beta1**t, 1 - beta2**t
    settings = (factor, beta1, 1 - beta1, beta2, 1 - beta2, learning_rate / unbias1, 1 / unbias2, eps)
    for lists in by_dtype(straight[0], list(map(contiguous, g)), *straight[1:]):
        real = lists[0][0].dtype.type
        launch_chunks(update, lists, *map(real, (*settings, learning_rate * weight_decay)))
    for leaves, made in zip(new, straight, strict=True):
        fill(leaves, made)
    return new


def fill(leaves, others):
    for leaf, other in zip(leaves, others, strict=True):
        if leaf is not other:
            leaf[...] = other


@kernel
def update(table, like, factor, b1, rest1, b2, rest2, rate, unbias2, least, decay):
    """w, m and v become the new ones; rate is η / (1 - β₁ᵗ), unbias2 1 / (1 - β₂ᵗ), decay η λ"""
    row = leaf_of(cuda.blockIdx.x, table)
    size = table[row, SIZE]
    w, g = array_at(table[row, ADDRESSES], size, like), array_at(table[row, ADDRESSES + 1], size, like)
    m, v = array_at(table[row, ADDRESSES + 2], size, like), array_at(table[row, ADDRESSES + 3], size, like)
    begin = (cuda.blockIdx.x - table[row, BEGIN]) * CHUNK
    for i in range(begin + cuda.threadIdx.x, min(begin + CHUNK, size), THREADS):
        slope = factor * g[i]
        mean = b1 * m[i] + rest1 * slope
        square = b2 * v[i] + rest2 * (slope * slope)
        w[i] -= decay * w[i] + rate * mean / (sqrt(square * unbias2) + least)
        m[i], v[i] = mean, square


ops.adamw.implement("cuda", adamw, None)
ops.adamw_many.implement("cuda", adamw_many, None)
