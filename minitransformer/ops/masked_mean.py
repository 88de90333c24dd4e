"""The mean over those places of a sequence that count.

forward     y = Σ_t m_t x_t / n        n = max(Σ_t m_t, 1)        of a sequence in which nothing counts the mean is 0

backward    dx_t = dy m_t / n
"""

import numpy as np

from ..convention import backward_of, op


@op(x="B T D", mask="bool B T")
def masked_mean(x, *, mask):
    """y = Σ m x / n        x (B, T, D)   mask (B, T) Boolean, True = counts   ->   y (B, D)"""
    n = np.maximum(mask.sum(1, keepdims=True), 1)  # (B,1)
    return np.where(mask[..., None], x, 0).sum(1) / n.astype(x.dtype), (mask, n)


@backward_of(masked_mean)
def masked_mean_backward(dy, saved):
    """dx = dy m / n"""
    mask, n = saved
    return np.where(mask[..., None], (dy / n.astype(dy.dtype))[:, None], 0)
