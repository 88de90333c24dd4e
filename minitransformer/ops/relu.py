"""The rectified linear unit (Nair & Hinton 2010).

forward     y = max(x, 0)

backward    dx = dy where x > 0, else 0        (at the kink x = 0 we take 0, as the field does)
"""

import numpy as np

from ..convention import backward_of, op


@op(x="...")
def relu(x):
    """y = max(x, 0)        x (...)   ->   y (...)"""
    return np.maximum(x, 0), (x > 0,)


@backward_of(relu)
def relu_backward(dy, saved):
    """dx = dy [x > 0]"""
    (positive,) = saved
    return np.where(positive, dy, 0)
