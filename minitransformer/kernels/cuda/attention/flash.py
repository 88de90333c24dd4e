"""The third rung: one walk over the keys, under a softmax that runs along (Dao et al. 2022, algorithm 1).

What changed against `tiled`: the largest score need not be known beforehand. A row begins with m = -∞, and where a tile
has a larger one, what has been summed under the old m is brought under the new one by a factor (Milakov & Gimelshein
2018). So q kᵀ is computed once, and the keys come from memory once.

    forward     for each tile of keys:   m' = max(m, max s)        p = exp(s - m')
                                         l = l exp(m - m') + Σ p        y = y exp(m - m') + p v
                y = y / l        lse = m + log l

    backward    queries stay, keys pass:     w = exp(s - lse)        ds = w (dy vᵀ - δ)        dq += ds k / √K
                keys stay, queries pass:     dv += wᵀ dy             dk += dsᵀ q / √K

No T × S matrix in either direction: the weights are made again, from one number a row. dq has a kernel of its own, and
dk and dv have one. Every sum then has one owner, who adds in one order, and the same input gives the same bits. What
that costs, and what happens otherwise, is in flash_atomic.py.

What it costs, for a query and a key of K numbers, with blocks of ROWS = 32 queries:

    operations  forward 4 K (tiled: 6 K); backward 2 K × 7 products
    memory      k and v once for 32 queries: 8 K / 32 = K/4 bytes (tiled: 3/8 K), of q and y only what is theirs
    shared      q kᵀ loads two numbers for each multiply-add, w v one: 1.5 loads for 2 operations. That is the bound
                now: a processor of the GPU does 128 multiply-adds in the time of 32 such loads.
"""

import math
from functools import cache

from numba import cuda, float32

from ..arrays import empty
from ..device import launch
from .masks import NOTHING, sees, visible
from .problem import blocks, problem, upstream
from .tiles import COLUMNS, TILE, add_atomically, dot, load_rows, rows_of_tile

ROWS = 32  # that a block owns: a warp has one row to a lane


def attention(q, k, v, bias=None, *, mask=None, causal=False, dropout_rate=0.0, key=None):
    given = problem("flash", q, k, v, bias, mask, causal, dropout_rate, key)
    q = given.q
    y, lse = empty(q.shape, q), empty(q.shape[:2], q)
    run(forward_kernel, given, q, *given.arguments, y, lse)
    return given.of_queries(y), (given, y, lse)


def attention_backward(dy, saved):
    """dq, dk, dv, dbias = None"""
    given, y, lse = saved
    q, k, v = given[:3]
    dy = upstream(dy, given)
    dq, dk, dv = (empty(x.shape, x) for x in (q, k, v))
    delta = empty(lse.shape, lse)
    run(query_kernel, given, q, dy, *given.arguments, y, lse, delta, dq)
    run(key_kernel, given, k, dy, *given.arguments, lse, delta, dq, dk, dv)
    return given.of_queries(dq), given.of_keys(dk), given.of_keys(dv), None


def run(make, given, owned, *args, **more):
    """Launch a kernel whose blocks each own ROWS rows of one head of `owned`."""
    n, rows, K = owned.shape
    columns = min(K, COLUMNS)
    kernel = make(*given.variant, ROWS, rows_of_tile(K, TILE), columns, **more)
    launch(kernel, (blocks(rows, ROWS), n), (ROWS, K // columns), *args, given.scale)


@cache
def forward_kernel(K, causal, masked, rows, tile, columns):
    # rows of shared memory are a number longer than they need be: they begin in different banks for a warp's column
    parts, padded, wide = K // columns, K + 1, tile + 1

    @cuda.jit
    def flash_forward(q, k, v, mask, n_heads, y, lse, scale):
        """A block: `rows` queries. A thread: `columns` of the y of one of them, and every parts-th score"""
        queries = cuda.shared.array((rows, padded), float32)
        keys = cuda.shared.array((tile, K), float32)
        values = cuda.shared.array((tile, K), float32)
        s = cuda.shared.array((rows, wide), float32)
        total = cuda.local.array(columns, float32)
        row, part = cuda.threadIdx.x, cuda.threadIdx.y
        first, n = cuda.blockIdx.x * rows, cuda.blockIdx.y
        i, begin, thread, threads = first + row, part * columns, part * rows + row, rows * parts
        T, S, g = q.shape[1], k.shape[1], n // (q.shape[0] // k.shape[0])
        load_rows(queries, q, n, first, rows, K, thread, threads)
        for c in range(columns):
            total[c] = float32(0)
        m, l = NOTHING, float32(0)
        for j in range(0, visible(first + rows, T, S, causal), tile):
            cuda.syncthreads()  # all are done with the tile before
            load_rows(keys, k, g, j, tile, K, thread, threads)
            load_rows(values, v, g, j, tile, K, thread, threads)
            cuda.syncthreads()  # the tile is there
            for t in range(part, tile, parts):
                s[row, t] = NOTHING
                if sees(mask, n_heads, n, i, j + t, T, S, causal, masked):
                    s[row, t] = dot(queries, row, keys, t, K) * scale
            cuda.syncthreads()  # so are the scores of all parts of a row
            largest = m
            for t in range(tile):
                largest = max(largest, s[row, t])
            shift = largest if largest > NOTHING else float32(0)  # -∞ - -∞ is no number
            rescale = math.exp(m - shift)
            m = largest
            l *= rescale
            for c in range(columns):
                total[c] *= rescale
            for t in range(tile):
                p = math.exp(s[row, t] - shift)
                l += p
                for c in range(columns):
                    total[c] += p * values[t, begin + c]
        if i < T:
            share = float32(1) / l if l > float32(0) else float32(0)  # a query that may attend to nothing: zeros
            for c in range(columns):
                y[n, i, begin + c] = total[c] * share
            if part == 0:
                lse[n, i] = m + math.log(l) if l > float32(0) else NOTHING

    return flash_forward


@cache
def query_kernel(K, causal, masked, rows, tile, columns):
    parts, padded, wide = K // columns, K + 1, tile + 1  # as in the forward

    @cuda.jit
    def flash_query_gradients(dy, q, k, v, mask, n_heads, y, lse, delta, dq, scale):
        """A block: the dq of `rows` queries, past which the keys go; and their δ, which the keys will want"""
        queries = cuda.shared.array((rows, padded), float32)
        dys = cuda.shared.array((rows, padded), float32)
        keys = cuda.shared.array((tile, K), float32)
        values = cuda.shared.array((tile, K), float32)
        ds = cuda.shared.array((rows, wide), float32)
        total = cuda.local.array(columns, float32)
        row, part = cuda.threadIdx.x, cuda.threadIdx.y
        first, n = cuda.blockIdx.x * rows, cuda.blockIdx.y
        i, begin, thread, threads = first + row, part * columns, part * rows + row, rows * parts
        T, S, g = q.shape[1], k.shape[1], n // (q.shape[0] // k.shape[0])
        load_rows(queries, q, n, first, rows, K, thread, threads)
        load_rows(dys, dy, n, first, rows, K, thread, threads)
        for c in range(columns):
            total[c] = float32(0)
        cuda.syncthreads()
        own_lse, own_delta = float32(0), float32(0)
        if i < T:
            own_lse = lse[n, i]
            for c in range(K):
                own_delta += dys[row, c] * y[n, i, c]
            if part == 0:
                delta[n, i] = own_delta
        for j in range(0, visible(first + rows, T, S, causal), tile):
            cuda.syncthreads()
            load_rows(keys, k, g, j, tile, K, thread, threads)
            load_rows(values, v, g, j, tile, K, thread, threads)
            cuda.syncthreads()
            for t in range(part, tile, parts):
                ds[row, t] = float32(0)
                if sees(mask, n_heads, n, i, j + t, T, S, causal, masked):
                    w = math.exp(dot(queries, row, keys, t, K) * scale - own_lse)
                    ds[row, t] = w * (dot(dys, row, values, t, K) - own_delta)  # w = softmax(s)
            cuda.syncthreads()
            for t in range(tile):
                for c in range(columns):
                    total[c] += ds[row, t] * keys[t, begin + c]  # s = q kᵀ / √K
        if i < T:
            for c in range(columns):
                dq[n, i, begin + c] = total[c] * scale

    return flash_query_gradients


@cache
def key_kernel(K, causal, masked, rows, tile, columns, atomically=False):
    parts, padded, wide = K // columns, K + 1, tile + 1  # as in the forward

    @cuda.jit
    def flash_key_gradients(dy, q, k, v, mask, n_heads, lse, delta, dq, dk, dv, scale):
        """A block: the dk and dv of `rows` keys, past which go the queries of all heads that share them"""
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
                if atomically:  # the dq of these queries too: flash_atomic.py says why not
                    add_atomically(dq, n, i, ds, keys, rows, tile, K, thread, threads, scale)
        if j < S:
            for c in range(columns):
                dv[g, j, begin + c] = for_value[c]
                dk[g, j, begin + c] = for_key[c] * scale

    return flash_key_gradients
