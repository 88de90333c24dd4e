"""SiLU on the device: a thread to an element.

forward     y = x σ(x)

backward    dx = dy σ (1 + x (1 - σ))           σ is computed again
"""

from ... import ops
from .device import inlined
from .elementwise import elementwise
from .functions import sigmoid


@inlined
def value(x, real):
    return x * sigmoid(x, real)


@inlined
def slope(x, real):
    s = sigmoid(x, real)
    return s * (real(1) + x * (real(1) - s))


ops.silu.implement("cuda", *elementwise(value, slope))
