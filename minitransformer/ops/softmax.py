"""Softmax over the last axis.

    forward     y_i = exp(x_i - m) / Σ_j exp(x_j - m)        m = max(x), which changes nothing but the rounding

    backward    ∂y_j/∂x_i = y_j (δ_ij - y_i)        dx_i = Σ_j dy_j ∂y_j/∂x_i = y_i (dy_i - Σ_j dy_j y_j)

With dy all ones (a loss that sums y) that is exactly zero, since Σ y = 1: a check with it proves nothing.
A row of nothing but -∞ (nothing may be chosen) gives zeros and passes zero gradient.
"""

import numpy as np

from ..convention import backward_of, op


def stable_softmax(x):
    if x.size == 0:  # nothing to choose from, so there is no largest
        return np.zeros_like(x)
    top = x.max(-1, keepdims=True)
    y = np.exp(x - np.where(top == -np.inf, 0, top))  # a row of -∞ becomes exp(-∞) = 0
    y /= np.maximum(y.sum(-1, keepdims=True), np.finfo(x.dtype).tiny)
    return y


@op(x="... D")
def softmax(x):
    """y = exp(x) / Σ exp(x)        x (..., D)   ->   y (..., D), each row of which adds up to 1"""
    y = stable_softmax(x)
    return y, (y,)


@backward_of(softmax)
def softmax_backward(dy, saved):
    """dx = y (dy - Σ dy y)"""
    (y,) = saved
    return y * (dy - (dy * y).sum(-1, keepdims=True))
