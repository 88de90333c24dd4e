"""The largest value over those places of a sequence that count, of every column for itself (Collobert et al. 2011).

forward     y_d = x_sd      s = argmax_t x_td over the places with m_t      where nothing counts, y = 0

backward    dx_td = dy_d at t = s, else 0       the others could be a little larger, and nothing would change

Where two are equally large, the first is the one: the derivative has a kink there.
"""

import numpy as np

from ..convention import backward_of, op


@op(x="B T D", mask="bool B T")
def masked_max(x, *, mask):
    """y = max_t x_t        x (B, T, D)   mask (B, T) Boolean, True = counts   ->   y (B, D)"""
    at = np.where(mask[..., None], x, -np.inf).argmax(1)  # (B,D)
    counts = np.take_along_axis(mask, at, 1)  # (B,D)
    at = np.where(counts, at, mask.argmax(1)[:, None])  # where all that counts is -∞, the first
    at, some = at[:, None], mask.any(1)[:, None]  # (B,1,D), (B,1)
    return np.where(some, np.take_along_axis(x, at, 1)[:, 0], 0), (at, some, x.shape)


@backward_of(masked_max)
def masked_max_backward(dy, saved):
    """dx = dy where the largest stood"""
    at, some, shape = saved
    dx = np.zeros(shape, dy.dtype, like=dy)
    np.put_along_axis(dx, at, np.where(some, dy, 0)[:, None], 1)  # y = x_s
    return dx
