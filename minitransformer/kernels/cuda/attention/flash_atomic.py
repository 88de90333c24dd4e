"""Beside the ladder: the backward of `flash` in one walk, and what is wrong with that.

Each tile of weights is made once and serves all three gradients: 5 products of 2 K operations for a query and a key,
where two walks take 7. But the owner of some keys then has only their part of each dq, and all owners add their parts
to the same place, whoever comes first adding first. In floating point (a + b) + c is not a + (b + c). So two runs over
the same numbers differ in their last bits, a training run cannot be repeated, and an error that shows once in a hundred
runs is not found again. It is what most libraries do, by default; `flash` gives the two products for it.

    keys stay, queries pass:     w = exp(s - lse)        ds = w (dy vᵀ - δ)
                                 dv += wᵀ dy             dk += dsᵀ q / √K        dq += ds k / √K, atomically
"""

import math
from functools import cache

from numba import cuda, float32

from . import arrays, flash
from .masks import sees
from .problem import blocks, launch, upstream
from .tiles import dot, load_rows

THREADS = 64

attention = flash.attention


def attention_backward(dy, saved):
    """dq, dk, dv, dbias = None; dq with other last bits every time"""
    given, y, lse = saved
    q, k, v = given[:3]
    dy = upstream(dy, given)
    dq, dk, dv = arrays.zeros(q.shape, q), arrays.empty(k.shape, k), arrays.empty(v.shape, v)
    delta = arrays.empty(lse.shape, lse)
    launch(delta_kernel(q.shape[2]), (blocks(q.shape[1], THREADS), q.shape[0]), THREADS, dy, y, delta)
    flash.run(kernel_of_all, given, k, dy, *given.arguments, lse, delta, dq, dk, dv)
    return given.of_queries(dq), given.of_keys(dk), given.of_keys(dv), None


@cache
def delta_kernel(K):
    @cuda.jit
    def deltas(dy, y, delta):
        """δ = Σ_K dy y, a thread for each query"""
        i, n = cuda.grid(1), cuda.blockIdx.y
        if i < y.shape[1]:
            total = float32(0)
            for c in range(K):
                total += dy[n, i, c] * y[n, i, c]
            delta[n, i] = total

    return deltas


@cache
def kernel_of_all(K, causal, masked, rows, tile, columns):
    parts, padded, wide = K // columns, K + 1, tile + 1

    @cuda.jit
    def flash_atomic_gradients(dy, q, k, v, mask, n_heads, lse, delta, dq, dk, dv, scale):
        """A block: the dk and dv of `rows` keys, and their part of the dq of every query that passes"""
        keys = cuda.shared.array((rows, padded), float32)
        values = cuda.shared.array((rows, padded), float32)
        queries = cuda.shared.array((tile, K), float32)
        dys = cuda.shared.array((tile, K), float32)
        w = cuda.shared.array((rows, wide), float32)
        ds = cuda.shared.array((rows, wide), float32)
        for_key = cuda.local.array(columns, float32)
        for_value = cuda.local.array(columns, float32)
        row, part = cuda.threadIdx.x, cuda.threadIdx.y
        first, g = cuda.blockIdx.x * rows, cuda.blockIdx.y
        j, begin, thread, threads = first + row, part * columns, part * rows + row, rows * parts
        T, S, R = q.shape[1], k.shape[1], q.shape[0] // k.shape[0]
        load_rows(keys, k, g, first, rows, K, thread, threads)
        load_rows(values, v, g, first, rows, K, thread, threads)
        for c in range(columns):
            for_key[c] = float32(0)
            for_value[c] = float32(0)
        for n in range(g * R, (g + 1) * R):
            for i in range(max(first + T - S, 0) if causal else 0, T, tile):
                cuda.syncthreads()
                load_rows(queries, q, n, i, tile, K, thread, threads)
                load_rows(dys, dy, n, i, tile, K, thread, threads)
                cuda.syncthreads()
                for t in range(part, tile, parts):
                    w[row, t] = float32(0)
                    ds[row, t] = float32(0)
                    if i + t < T and sees(mask, n_heads, n, i + t, j, T, S, causal, masked):
                        w[row, t] = math.exp(dot(keys, row, queries, t, K) * scale - lse[n, i + t])
                        ds[row, t] = w[row, t] * (dot(values, row, dys, t, K) - delta[n, i + t])  # w = softmax(s)
                cuda.syncthreads()
                for t in range(tile):
                    for c in range(columns):
                        for_value[c] += w[row, t] * dys[t, begin + c]  # y = w v
                        for_key[c] += ds[row, t] * queries[t, begin + c]  # s = q kᵀ / √K
                for e in range(thread, tile * K, threads):
                    t, c = e // K, e % K
                    if i + t < T:
                        felt = float32(0)
                        for r in range(rows):
                            felt += ds[r, t] * keys[r, c]  # s = q kᵀ / √K
                        cuda.atomic.add(dq, (n, i + t, c), felt * scale)
        if j < S:
            for c in range(columns):
                dv[g, j, begin + c] = for_value[c]
                dk[g, j, begin + c] = for_key[c] * scale

    return flash_atomic_gradients
