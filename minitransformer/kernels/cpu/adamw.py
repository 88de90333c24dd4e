"""Adam's update as a kernel: one pass over the four arrays, where NumPy's dozen operations make one each."""

import numpy as np

from ... import ops
from .arrays import flat
from .compiled import compiled


def adamw(w, g, m, v, *, t, learning_rate, beta1, beta2, eps, weight_decay, factor=1.0, out=None):
    new = [np.empty(part.shape, part.dtype) for part in (w, m, v)] if out is None else out
    straight = [part if part.flags.c_contiguous else np.empty(part.shape, part.dtype) for part in new]
    update(
        *map(flat, (w, g, m, v)),
        *map(flat, straight),
        factor,
        1 - beta1**t,
        1 - beta2**t,
        learning_rate,
        beta1,
        beta2,
        eps,
        weight_decay,
    )
    for part, made in zip(new, straight, strict=True):
        if part is not made:
            part[...] = made
    return tuple(new)


@compiled
def update(w, g, m, v, new_w, new_m, new_v, factor, unbias1, unbias2, learning_rate, beta1, beta2, eps, weight_decay):
    one = w.dtype.type
    factor = one(factor)
    b1, b2, rest1, rest2 = one(beta1), one(beta2), one(1 - beta1), one(1 - beta2)
    u1, u2, rate, least, decay = one(unbias1), one(unbias2), one(learning_rate), one(eps), one(weight_decay)
    for i in range(w.size):
        slope = factor * g[i]
        mean = b1 * m[i] + rest1 * slope
        square = b2 * v[i] + rest2 * (slope * slope)
        new_w[i] = w[i] - rate * (decay * w[i] + mean / u1 / (np.sqrt(square / u2) + least))
        new_m[i], new_v[i] = mean, square


ops.adamw.implement("cpu", adamw, None)
