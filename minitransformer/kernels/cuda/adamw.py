"""Adam's update on the device: a thread to a parameter, one pass over the four arrays, in place.

As array operations it would be a dozen passes, each with a launch and an array of its own; memory is what it waits for.
"""

from ... import ops
from .arrays import check_place, empty, flat
from .device import THREADS, cuda, elements, kernel, launch
from .functions import sqrt


def adamw(w, g, m, v, *, t, learning_rate, beta1, beta2, eps, weight_decay, factor=1.0, out=None):
    check_place(w=w, g=g, m=m, v=v)
    new = tuple(empty(part.shape, part) for part in (w, m, v)) if out is None else out
    straight = [part if part.flags.c_contiguous else empty(part.shape, part) for part in new]
    for part, old in zip(straight, (w, m, v), strict=True):
        if part is not old:
            part[...] = old
    unbias1, unbias2 = 1 - beta1**t, 1 - beta2**t
    settings = (factor, beta1, 1 - beta1, beta2, 1 - beta2, learning_rate / unbias1, 1 / unbias2, eps)
    settings = map(w.dtype.type, (*settings, learning_rate * weight_decay))
    arrays = (flat(part) for part in (straight[0], g, *straight[1:]))
    launch(update, elements(w.size), THREADS, *arrays, *settings)
    for part, made in zip(new, straight, strict=True):
        if part is not made:
            part[...] = made
    return new


@kernel
def update(w, g, m, v, factor, b1, rest1, b2, rest2, rate, unbias2, least, decay):
    """w, m and v become the new ones; rate is η / (1 - β₁ᵗ), unbias2 1 / (1 - β₂ᵗ), decay η λ"""
    for i in range(cuda.grid(1), w.size, cuda.gridsize(1)):
        slope = factor * g[i]
        mean = b1 * m[i] + rest1 * slope
        square = b2 * v[i] + rest2 * (slope * slope)
        w[i] -= decay * w[i] + rate * mean / (sqrt(square * unbias2) + least)
        m[i], v[i] = mean, square


ops.adamw.implement("cuda", adamw, None)
