"""Which keys a query may attend to, asked on the device."""

import numpy as np
from numba import cuda

NOTHING = np.float32(-np.inf)  # the score of a key that may not be seen, and the largest of none


@cuda.jit(device=True, inline="always")
def row_of(mask, n_heads, n, i):
    """The row of a mask (B or 1, H or 1, T or 1, S or 1) for query i of head n: an axis of length 1 is for all."""
    b, h = min(n // n_heads, mask.shape[0] - 1), min(n % n_heads, mask.shape[1] - 1)
    return mask[b, h, min(i, mask.shape[2] - 1)]


@cuda.jit(device=True, inline="always")
def allows(row, j):
    return row[min(j, row.shape[0] - 1)]


@cuda.jit(device=True, inline="always")
def may_attend(mask, n_heads, n, i, j):
    """Whether the mask lets query i of head n see key j"""
    return allows(row_of(mask, n_heads, n, i), j)


@cuda.jit(device=True, inline="always")
def visible(n, T, S, causal):
    """How many keys the first n of T queries may see at most: causal is aligned at the bottom right."""
    return max(min(n + S - T, S), 0) if causal else S


@cuda.jit(device=True, inline="always")
def sees(mask, n_heads, n, i, j, T, S, causal, masked):
    """Whether there is a key j, and query i of head n may attend to it."""
    return j < S and (not causal or j <= i + S - T) and (not masked or may_attend(mask, n_heads, n, i, j))
