"""Beside the ladder: the backward of `flash` in one walk, and what is wrong with that.

Each tile of weights is made once and serves all three gradients: 5 products of 2 K operations for a query and a key,
where two walks take 7. But the owner of some keys then has only their part of each dq, and all owners add their parts
to the same place, whoever comes first adding first. In floating point (a + b) + c is not a + (b + c). So two runs over
the same numbers differ in their last bits, a training run cannot be repeated, and an error that shows once in a hundred
runs is not found again. It is what most libraries do, by default; `flash` gives the two products for it.

    keys stay, queries pass:     w = exp(s - lse)        ds = w (dy vᵀ - δ)
                                 dv += wᵀ dy             dk += dsᵀ q / √K        dq += ds k / √K, atomically

The kernel is that of `flash` for the keys, with one line more at the end of a tile.
"""

from functools import cache

import numpy as np
from numba import cuda, float32

from ..arrays import empty
from ..device import launch
from . import flash
from .problem import blocks, upstream

THREADS = 64

attention = flash.attention


def attention_backward(dy, saved):
    """dq, dk, dv, dbias = None; dq with other last bits every time"""
    given, y, lse = saved
    q, k, v = given[:3]
    dy = upstream(dy, given)
    dq, dk, dv = np.zeros_like(q), empty(k.shape, k), empty(v.shape, v)
    delta = empty(lse.shape, lse)
    launch(delta_kernel(q.shape[2]), (blocks(q.shape[1], THREADS), q.shape[0]), THREADS, dy, y, delta)
    flash.run(flash.key_kernel, given, k, dy, *given.arguments, lse, delta, dq, dk, dv, atomically=True)
    return given.of_queries(dq), given.of_keys(dk), given.of_keys(dv), None


@cache
def delta_kernel(K):
    @cuda.jit
    def flash_deltas(dy, y, delta):
        """δ = Σ_K dy y, a thread for each query"""
        i, n = cuda.grid(1), cuda.blockIdx.y
        if i < y.shape[1]:
            total = float32(0)
            for c in range(K):
                total += dy[n, i, c] * y[n, i, c]
            delta[n, i] = total

    return flash_deltas
