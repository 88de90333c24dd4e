"""Adam's update as a kernel: one pass over the four arrays, where NumPy's dozen operations make one each.

It is done in place. LLVM vectorises a loop only if what it writes cannot be what it is still to read; with three more
arrays to write to, which for a training step are the same three again, the loop fell back to one number at a time.
"""

import numpy as np

from ... import ops
from .compiled import compiled


def adamw(w, g, m, v, *, t, learning_rate, beta1, beta2, eps, weight_decay, factor=1.0, out=None):
    new = tuple(np.empty(part.shape, part.dtype) for part in (w, m, v)) if out is None else out
    straight = [part if part.flags.c_contiguous else np.empty(part.shape, part.dtype) for part in new]
    for part, old in zip(straight, (w, m, v), strict=True):
        if part is not old:
            part[...] = old
    unbias1, unbias2 = 1 - beta1**t, 1 - beta2**t
    settings = (factor, beta1, beta2, learning_rate / unbias1, 1 / unbias2, eps, learning_rate * weight_decay)
    update(*(part.reshape(-1) for part in (straight[0], np.ascontiguousarray(g), *straight[1:])), *settings)
    for part, made in zip(new, straight, strict=True):
        if part is not made:
            part[...] = made
    return new


@compiled
def update(w, g, m, v, factor, beta1, beta2, rate, unbias2, eps, decay):
    """w, m and v become the new ones; rate is η / (1 - β₁ᵗ), unbias2 1 / (1 - β₂ᵗ), decay η λ"""
    one = w.dtype.type
    factor, b1, b2, rest1, rest2 = one(factor), one(beta1), one(beta2), one(1 - beta1), one(1 - beta2)
    rate, unbias2, least, decay = one(rate), one(unbias2), one(eps), one(decay)
    for i in range(w.size):
        slope = factor * g[i]
        mean = b1 * m[i] + rest1 * slope
        square = b2 * v[i] + rest2 * (slope * slope)
        w[i] -= decay * w[i] + rate * mean / (np.sqrt(square * unbias2) + least)
        m[i], v[i] = mean, square


ops.adamw.implement("cpu", adamw, None)
