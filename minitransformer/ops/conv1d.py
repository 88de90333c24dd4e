"""The convolution of a sequence: one linear map, of every window of K places (LeCun et al. 1989; for words, Kim 2014).

    forward     w_t = x_t, x_{t+1}, ..., x_{t+K-1}      the window at t, D K numbers; beyond either end is 0
                y_te = Σ_dk W_edk w_tdk + b_e           a linear map of the window, the same at every place

    backward    dW, db, dw_t                            those of the linear map
                dx_s = Σ_k dw_{s-k,k}                   x_s stood in K windows, at another place in each

(What is usually called so does not turn the filter round, so it is a correlation; learnt filters do not mind.)
"""

import numpy as np
from numpy.lib.stride_tricks import sliding_window_view

from ..convention import backward_of, op
from .linear import linear, linear_backward


@op(x="B T D", weight="E D K", bias="[E]", mask="[bool B T]")
def conv1d(p, x, *, padding=(0, 0), mask=None):
    """y_t = W window_t + b

    p["weight"] (E, D, K), p["bias"] (E) or absent   x (B, T, D)   ->   y (B, T + before + after - K + 1, E)

    padding: how many zeros stand before and after x   mask (B, T) Boolean: elsewhere x counts as 0

    ValueError where no window fits.
    """
    (before, after), (E, D, K), (B, T, _) = padding, p["weight"].shape, x.shape
    n = T + before + after - K + 1
    if min(before, after) < 0 or n < 1:
        raise ValueError(f"conv1d: no window of {K} fits into x of shape {x.shape} with padding {padding}")
    padded = np.pad(x if mask is None else np.where(mask[..., None], x, 0), ((0, 0), padding, (0, 0)))
    windows = sliding_window_view(padded, K, 1).reshape(B, n, D * K)
    y, saved = linear({**p, "weight": p["weight"].reshape(E, D * K)}, windows)
    return y, (saved, p["weight"].shape, before, T, mask)


@backward_of(conv1d)
def conv1d_backward(dy, saved):
    """dx, g"""
    saved, (E, D, K), before, T, mask = saved
    dwindows, g = linear_backward(dy, saved)  # y = W w + b
    g["weight"] = g["weight"].reshape(E, D, K)
    B, n, _ = dwindows.shape
    dwindows = dwindows.reshape(B, n, D, K)
    dpadded = np.zeros((B, n + K - 1, D), dy.dtype, like=dy)
    for k in range(K):
        dpadded[:, k : k + n] += dwindows[..., k]  # w_t = x_t ... x_{t+K-1}
    dx = dpadded[:, before : before + T]
    return dx if mask is None else np.where(mask[..., None], dx, 0), g
