"""The hyperbolic tangent.

forward     y = tanh(x) = (exp(x) - exp(-x)) / (exp(x) + exp(-x))

backward    tanh' = 1 - tanh²        dx = dy (1 - y²)
"""

import numpy as np

from ..convention import backward_of, op


@op(x="...")
def tanh(x):
    """y = tanh(x)        x (...)   ->   y (...)"""
    y = np.tanh(x)
    return y, (y,)


@backward_of(tanh)
def tanh_backward(dy, saved):
    """dx = dy (1 - y²)"""
    (y,) = saved
    return dy * (1 - y * y)
