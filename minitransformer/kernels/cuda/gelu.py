"""GELU on the device: a thread to an element.

forward     y = x Φ(x)                        Φ(x) = ½ erfc(-x/√2): on the left, 1 + erf would be a small difference

backward    dx = dy (Φ(x) + x φ(x))           φ(x) = exp(-x²/2) / √(2π)        both once more
"""

from ... import ops
from .device import inlined
from .elementwise import elementwise
from .functions import erfc, exp

SQRT_HALF, INV_SQRT_2PI = 0.7071067811865476, 0.3989422804014327


@inlined
def cdf(x, real):
    return real(0.5) * erfc(-x * real(SQRT_HALF))


@inlined
def value(x, real):
    return x * cdf(x, real)


@inlined
def slope(x, real):
    pdf = exp(real(-0.5) * x * x) * real(INV_SQRT_2PI)
    return cdf(x, real) + x * pdf


ops.gelu.implement("cuda", *elementwise(value, slope))
