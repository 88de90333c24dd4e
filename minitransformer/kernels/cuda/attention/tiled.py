"""The second rung: what a block reads, all of its threads use.

What changed against `naive`: the keys and values of a tile are brought to shared memory once, by all threads together,
and every query of the block takes them from there; so does a query stay there. And y is no longer put back to memory
for every key: a row is split among threads that have 32 of its columns each, and those fit into their registers.

    for each tile of keys:      s = q kᵀ / √K        m = max(m, max s)
    for each tile of keys:      w = exp(q kᵀ / √K - m)        l += Σ w        y += w v
    y = y / l

Still two walks, because a weight needs the largest score of its row, which only the first walk knows.

What it costs, for a query and a key of K numbers, with blocks of ROWS = 32 queries:

    operations  6 K, as before
    memory      the keys twice and the values once, for 32 queries at a time: 12 K / 32 = 3/8 K bytes (naive: 28 K)
    shared      2 loads for each multiply-add of q kᵀ, 1 for each of w v

Threads next to each other load numbers that lie next to each other: all of the 32 bytes that come are used. A row of
queries in shared memory is one number longer than it need be, so that the 32 rows, of which a warp reads the same
column, begin in 32 different banks.

There is no backward: it would differ from that of `flash` in nothing.
"""

import math
from functools import cache

from numba import cuda, float32

from ..arrays import empty
from ..device import launch
from .masks import NOTHING, sees, visible
from .problem import blocks, problem, refuse_backward
from .tiles import COLUMNS, TILE, dot, load_rows, rows_of_tile

ROWS = 32  # queries of a block: a warp has one to a lane


def attention(q, k, v, bias=None, *, mask=None, causal=False, dropout_rate=0.0, key=None):
    given = problem("tiled", q, k, v, bias, mask, causal, dropout_rate, key)
    q, (n, T, K) = given.q, given.q.shape
    y, lse = empty(q.shape, q), empty(q.shape[:2], q)
    columns = min(K, COLUMNS)
    kernel = forward_kernel(*given.variant, ROWS, rows_of_tile(K, TILE), columns)
    grid, block = (blocks(T, ROWS), n), (ROWS, K // columns)
    launch(kernel, grid, block, *given.arguments, y, lse, given.scale)
    return given.of_queries(y), (given, y, lse)


def attention_backward(dy, saved):
    refuse_backward("tiled", saved[0])


@cache
def forward_kernel(K, causal, masked, rows, tile, columns):
    parts = K // columns
    padded, wide = K + 1, max(tile, parts) + 1

    @cuda.jit
    def tiled_forward(q, k, v, mask, n_heads, y, lse, scale):
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
        seen = visible(first + rows, T, S, causal)
        load_rows(queries, q, n, first, rows, K, thread, threads)
        for c in range(columns):
            total[c] = float32(0)
        m, l = NOTHING, float32(0)
        for j in range(0, seen, tile):  # the first walk: the largest score
            cuda.syncthreads()  # all are done with the tile before
            load_rows(keys, k, g, j, tile, K, thread, threads)
            cuda.syncthreads()  # the tile is there
            for t in range(part, tile, parts):
                if sees(mask, n_heads, n, i, j + t, T, S, causal, masked):
                    m = max(m, dot(queries, row, keys, t, K) * scale)
        s[row, part] = m
        cuda.syncthreads()
        for t in range(parts):
            m = max(m, s[row, t])
        for j in range(0, seen, tile):  # the second: the weights
            cuda.syncthreads()
            load_rows(keys, k, g, j, tile, K, thread, threads)
            load_rows(values, v, g, j, tile, K, thread, threads)
            cuda.syncthreads()
            for t in range(part, tile, parts):
                s[row, t] = float32(0)
                if sees(mask, n_heads, n, i, j + t, T, S, causal, masked):
                    s[row, t] = math.exp(dot(queries, row, keys, t, K) * scale - m)
            cuda.syncthreads()  # so are the weights of all parts of a row
            for t in range(tile):
                l += s[row, t]
                for c in range(columns):
                    total[c] += s[row, t] * values[t, begin + c]
        if i < T:
            share = float32(1) / l if l > float32(0) else float32(0)  # a query that may attend to nothing: zeros
            for c in range(columns):
                y[n, i, begin + c] = total[c] * share
            if part == 0:
                lse[n, i] = m + math.log(l) if l > float32(0) else NOTHING

    return tiled_forward
