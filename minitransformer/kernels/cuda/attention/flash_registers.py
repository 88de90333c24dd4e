"""The fourth rung: tiles of registers, and sums across a warp.

What changed against `flash`: a thread no longer has one score at a time but a tile of them, `mine` rows by `its` of the
other side, and all of their numbers in its registers. Four numbers of each of these rows come by one load of 16 bytes,
and each is used `its` or `mine` times: where both are 4, loads, which were the bound, are 1 for 8 multiply-adds instead
of 1.5 for one. The lanes that share a row are neighbours in one warp: a largest score or a sum goes from register to
register by shuffles, and no row waits for another warp. Only tiles that all warps read need a barrier of the block.

    a warp           4 × 8 lanes: lane l has the rows l // 8 + 4 a of its strip, and l % 8 + 8 b of a tile
    a row's lanes    8 neighbours: the largest score after 3 shuffles, of distance 1, 2 and 4
    products         4 numbers of a row at a time:      s_ab += Σ x_a y_b                  16 bytes a load
                     4 rows of a tile at a time:        total_ac += Σ p_a v_c              16 bytes a load

Rows in shared memory are 4 numbers longer than they need be: 8 lanes that read 16 bytes of 8 rows each then read all
32 banks once. The weights pass through shared memory, from the lanes that made them to those that have their columns;
both are in one warp, which waits for itself alone.

What it costs, for a query and a key of K numbers, with blocks of 64 queries (32 at K = 128):

    operations  4 K; backward 2 K × 7 products
    memory      8 K / 64 = K/8 bytes (flash: K/4), 16 at a time
    shared      a multiply-add of q kᵀ loads 2/MINE numbers, a quarter of a load each: 1/8 of a load at MINE = 4
                (flash: 2), of w v about 1/10 (flash: 1)
"""

import math
from functools import cache
from typing import NamedTuple

from numba import cuda, float32

from ..arrays import empty
from ..device import launch
from .masks import NOTHING, sees, visible
from .problem import blocks, problem, upstream
from .warp import load4, load_shared4, store_shared4

LANES = 8  # that share a row
ROWS = 32 // LANES  # of a warp at once
WARPS = 4
PAD = 4  # numbers that a row in shared memory is longer: 16 bytes


class Cut(NamedTuple):
    """How a kernel cuts its work: each thread has `mine` rows of its block's, and `its` of a tile."""

    mine: int
    its: int
    warps: int

    @property
    def own(self):
        return ROWS * self.mine * self.warps

    @property
    def tile(self):
        return LANES * self.its


def cuts(K):
    """Of the forward, and of the backward, which has twice as much in shared memory: 48 KB at most"""
    return {
        32: (Cut(4, 4, WARPS), Cut(4, 4, WARPS)),
        64: (Cut(4, 4, WARPS), Cut(2, 4, WARPS)),
        128: (Cut(4, 2, WARPS // 2), Cut(4, 1, WARPS // 2)),
    }[K]


def attention(q, k, v, bias=None, *, mask=None, causal=False, dropout_rate=0.0, key=None):
    given = problem("flash_registers", q, k, v, bias, mask, causal, dropout_rate, key)
    q = given.q
    y, lse = empty(q.shape, q), empty(q.shape[:2], q)
    run(forward_kernel, 0, given, q, *given.flat, y.reshape(-1), lse)
    return given.of_queries(y), (given, y, lse)


def attention_backward(dy, saved):
    """dq, dk, dv, dbias = None"""
    given, y, lse = saved
    q, k, v = given[:3]
    dy = upstream(dy, given)
    dq, dk, dv = (empty(x.shape, x) for x in (q, k, v))
    delta = empty(lse.shape, lse)
    run(query_kernel, 1, given, q, dy.reshape(-1), *given.flat, y.reshape(-1), lse, delta, dq.reshape(-1))
    run(key_kernel, 1, given, k, dy.reshape(-1), *given.flat, lse, delta, dk.reshape(-1), dv.reshape(-1))
    return given.of_queries(dq), given.of_keys(dk), given.of_keys(dv), None


def run(make, which, given, owned, *args):
    """Launch a kernel whose blocks each own some rows of one head of `owned`."""
    n, rows, K = owned.shape
    cut = cuts(K)[which]
    launch(make(*given.variant, cut), (blocks(rows, cut.own), n), 32 * cut.warps, *args, given.scale)


# ------------------------------------------------------------------------------------------ what a warp does with tiles


@cuda.jit(device=True, inline="always")
def load_rows(memory, at, x, base, first, limit, rows, K, thread, threads):
    """Rows of x to memory[at:], 16 bytes a thread; zeros for those past the limit."""
    c = thread % (K // 4) * 4
    for r in range(thread // (K // 4), rows, threads // (K // 4)):
        if first + r < limit:
            a = load4(x, base + (first + r) * K + c)
            store_shared4(memory, at + r * (K + PAD) + c, a[0], a[1], a[2], a[3])
        else:
            store_shared4(memory, at + r * (K + PAD) + c, float32(0), float32(0), float32(0), float32(0))


@cuda.jit(device=True, inline="always")
def products(s, x, memory, row, other, mine, its, K):
    """s = X Yᵀ: this thread's rows of its block's with those of a tile; row, other: where the first of each begins"""
    for a in range(mine):
        for b in range(its):
            s[a, b] = float32(0)
    for c in range(0, K, 4):
        for a in range(mine):
            four = load_shared4(memory, row + a * 4 * (K + PAD) + c)
            for e in range(4):
                x[a, e] = four[e]
        for b in range(its):
            y = load_shared4(memory, other + b * 8 * (K + PAD) + c)
            for a in range(mine):
                s[a, b] += x[a, 0] * y[0] + x[a, 1] * y[1] + x[a, 2] * y[2] + x[a, 3] * y[3]


@cuda.jit(device=True, inline="always")
def add_rows(total, x, weights, line, memory, tile_at, mine, tile, K):
    """total += W tile, for this thread's rows and columns; `weights` [line:] is where its first row begins"""
    for j in range(0, tile, 4):
        for a in range(mine):
            four = load_shared4(weights, line + a * 4 * (tile + PAD) + j)
            for e in range(4):
                x[a, e] = four[e]
        for e in range(4):
            for c in range(K // 32):
                y = load_shared4(memory, tile_at + (j + e) * (K + PAD) + 32 * c)
                for a in range(mine):
                    for f in range(4):
                        total[a, 4 * c + f] += x[a, e] * y[f]


@cuda.jit(device=True, inline="always")
def largest_of_row(x):
    for e in range(3):
        x = max(x, cuda.shfl_xor_sync(0xFFFFFFFF, x, 1 << e))
    return x


@cuda.jit(device=True, inline="always")
def sum_of_row(x):
    for e in range(3):
        x += cuda.shfl_xor_sync(0xFFFFFFFF, x, 1 << e)
    return x


# ------------------------------------------------------------------------------------------------------------- forward


@cache
def forward_kernel(K, causal, masked, cut):
    mine, its, warps = cut
    own, tile, line, threads = cut.own, cut.tile, K + PAD, 32 * warps
    KEYS, VALUES = own * line, (own + tile) * line  # where they begin, behind the queries
    SIZE, WEIGHTS, columns = (own + 2 * tile) * line, own * (tile + PAD), K // LANES

    @cuda.jit
    def flash_registers_forward(q, k, v, mask, n_heads, R, T, S, y, lse, scale):
        """A block: 4 mine queries for each warp"""
        memory = cuda.shared.array(SIZE, float32, alignment=16)
        weights = cuda.shared.array(WEIGHTS, float32, alignment=16)
        s = cuda.local.array((mine, its), float32)
        x = cuda.local.array((mine, 4), float32)
        total = cuda.local.array((mine, columns), float32)
        m = cuda.local.array(mine, float32)
        l = cuda.local.array(mine, float32)
        thread = cuda.threadIdx.x
        lane, warp = thread & 31, thread >> 5
        across, down = lane & 7, (lane >> 3) + 4 * mine * warp  # this thread's first row of a tile, and of the block's
        first, n = cuda.blockIdx.x * own, cuda.blockIdx.y
        of_q, of_k = n * T * K, n // R * S * K  # where the head begins
        load_rows(memory, 0, q, of_q, first, T, own, K, thread, threads)
        for a in range(mine):
            m[a] = NOTHING
            l[a] = float32(0)
            for c in range(columns):
                total[a, c] = float32(0)
        for j in range(0, visible(first + own, T, S, causal), tile):
            cuda.syncthreads()  # all are done with the tile before
            load_rows(memory, KEYS, k, of_k, j, S, tile, K, thread, threads)
            load_rows(memory, VALUES, v, of_k, j, S, tile, K, thread, threads)
            cuda.syncthreads()  # the tile is there
            products(s, x, memory, down * line, KEYS + across * line, mine, its, K)
            for a in range(mine):
                i = first + down + 4 * a
                largest = m[a]
                for b in range(its):
                    s[a, b] *= scale
                    if not sees(mask, n_heads, n, i, j + across + 8 * b, T, S, causal, masked):
                        s[a, b] = NOTHING
                    largest = max(largest, s[a, b])
                largest = largest_of_row(largest)
                shift = largest if largest > NOTHING else float32(0)  # -∞ - -∞ is no number
                rescale = math.exp(m[a] - shift)
                m[a] = largest
                l[a] *= rescale
                for b in range(its):
                    p = math.exp(s[a, b] - shift)
                    l[a] += p
                    weights[(down + 4 * a) * (tile + PAD) + across + 8 * b] = p
                for c in range(columns):
                    total[a, c] *= rescale
            cuda.syncwarp()  # the warp's own weights are there
            add_rows(total, x, weights, down * (tile + PAD), memory, VALUES + 4 * across, mine, tile, K)
        for a in range(mine):
            i = first + down + 4 * a
            weight = sum_of_row(l[a])
            if i < T:
                share = float32(1) / weight if weight > float32(0) else float32(0)
                for c in range(columns):
                    y[of_q + i * K + 4 * across + c // 4 * 32 + c % 4] = total[a, c] * share
                if across == 0:
                    lse[n, i] = m[a] + math.log(weight) if weight > float32(0) else NOTHING

    return flash_registers_forward


# ------------------------------------------------------------------------------------------------------------ backward


@cache
def query_kernel(K, causal, masked, cut):
    mine, its, warps = cut
    own, tile, line, threads = cut.own, cut.tile, K + PAD, 32 * warps
    DYS, KEYS, VALUES = own * line, 2 * own * line, (2 * own + tile) * line
    SIZE, WEIGHTS, columns = 2 * (own + tile) * line, own * (tile + PAD), K // LANES

    @cuda.jit
    def flash_registers_query_gradients(dy, q, k, v, mask, n_heads, R, T, S, y, lse, delta, dq, scale):
        """A block: the dq of 4 mine queries for each warp, past which the keys go; and their δ"""
        memory = cuda.shared.array(SIZE, float32, alignment=16)
        weights = cuda.shared.array(WEIGHTS, float32, alignment=16)
        s = cuda.local.array((mine, its), float32)
        dw = cuda.local.array((mine, its), float32)
        x = cuda.local.array((mine, 4), float32)
        total = cuda.local.array((mine, columns), float32)
        own_lse = cuda.local.array(mine, float32)
        own_delta = cuda.local.array(mine, float32)
        thread = cuda.threadIdx.x
        lane, warp = thread & 31, thread >> 5
        across, down = lane & 7, (lane >> 3) + 4 * mine * warp
        first, n = cuda.blockIdx.x * own, cuda.blockIdx.y
        of_q, of_k = n * T * K, n // R * S * K
        load_rows(memory, 0, q, of_q, first, T, own, K, thread, threads)
        load_rows(memory, DYS, dy, of_q, first, T, own, K, thread, threads)
        cuda.syncthreads()
        for a in range(mine):
            i = first + down + 4 * a
            own_lse[a] = lse[n, i] if i < T else float32(0)
            felt = float32(0)
            for c in range(columns):
                total[a, c] = float32(0)
                if i < T:
                    at = across + 8 * c
                    felt += memory[DYS + (down + 4 * a) * line + at] * y[of_q + i * K + at]
            own_delta[a] = sum_of_row(felt)
            if across == 0 and i < T:
                delta[n, i] = own_delta[a]
        for j in range(0, visible(first + own, T, S, causal), tile):
            cuda.syncthreads()
            load_rows(memory, KEYS, k, of_k, j, S, tile, K, thread, threads)
            load_rows(memory, VALUES, v, of_k, j, S, tile, K, thread, threads)
            cuda.syncthreads()
            products(s, x, memory, down * line, KEYS + across * line, mine, its, K)
            products(dw, x, memory, DYS + down * line, VALUES + across * line, mine, its, K)
            for a in range(mine):
                i = first + down + 4 * a
                for b in range(its):
                    ds = float32(0)
                    if sees(mask, n_heads, n, i, j + across + 8 * b, T, S, causal, masked):
                        ds = math.exp(s[a, b] * scale - own_lse[a]) * (dw[a, b] - own_delta[a])  # w = softmax(s)
                    weights[(down + 4 * a) * (tile + PAD) + across + 8 * b] = ds
            cuda.syncwarp()
            add_rows(total, x, weights, down * (tile + PAD), memory, KEYS + 4 * across, mine, tile, K)  # s = q kᵀ / √K
        for a in range(mine):
            i = first + down + 4 * a
            if i < T:
                for c in range(columns):
                    dq[of_q + i * K + 4 * across + c // 4 * 32 + c % 4] = total[a, c] * scale

    return flash_registers_query_gradients


@cache
def key_kernel(K, causal, masked, cut):
    mine, its, warps = cut
    own, tile, line, threads = cut.own, cut.tile, K + PAD, 32 * warps
    VALUES, QUERIES, DYS = own * line, 2 * own * line, (2 * own + tile) * line
    SIZE, WEIGHTS, columns = 2 * (own + tile) * line, own * (tile + PAD), K // LANES

    @cuda.jit
    def flash_registers_key_gradients(dy, q, k, v, mask, n_heads, R, T, S, lse, delta, dk, dv, scale):
        """A block: the dk and dv of 4 mine keys for each warp, past which go the queries of all their heads"""
        memory = cuda.shared.array(SIZE, float32, alignment=16)
        weights = cuda.shared.array(WEIGHTS, float32, alignment=16)
        s = cuda.local.array((mine, its), float32)
        dw = cuda.local.array((mine, its), float32)
        x = cuda.local.array((mine, 4), float32)
        for_key = cuda.local.array((mine, columns), float32)
        for_value = cuda.local.array((mine, columns), float32)
        thread = cuda.threadIdx.x
        lane, warp = thread & 31, thread >> 5
        across, down = lane & 7, (lane >> 3) + 4 * mine * warp
        first, g = cuda.blockIdx.x * own, cuda.blockIdx.y
        of_k = g * S * K
        load_rows(memory, 0, k, of_k, first, S, own, K, thread, threads)
        load_rows(memory, VALUES, v, of_k, first, S, own, K, thread, threads)
        for a in range(mine):
            for c in range(columns):
                for_key[a, c] = float32(0)
                for_value[a, c] = float32(0)
        for n in range(g * R, (g + 1) * R):
            for i in range(max(first + T - S, 0) if causal else 0, T, tile):
                cuda.syncthreads()
                load_rows(memory, QUERIES, q, n * T * K, i, T, tile, K, thread, threads)
                load_rows(memory, DYS, dy, n * T * K, i, T, tile, K, thread, threads)
                cuda.syncthreads()
                products(s, x, memory, down * line, QUERIES + across * line, mine, its, K)
                products(dw, x, memory, VALUES + down * line, DYS + across * line, mine, its, K)
                for b in range(its):
                    at = i + across + 8 * b
                    its_lse, its_delta = (lse[n, at], delta[n, at]) if at < T else (float32(0), float32(0))
                    for a in range(mine):
                        j = first + down + 4 * a
                        w = float32(0)
                        if at < T and sees(mask, n_heads, n, at, j, T, S, causal, masked):
                            w = math.exp(s[a, b] * scale - its_lse)
                        s[a, b] = w * (dw[a, b] - its_delta)  # w = softmax(s)
                        weights[(down + 4 * a) * (tile + PAD) + across + 8 * b] = w
                cuda.syncwarp()
                add_rows(for_value, x, weights, down * (tile + PAD), memory, DYS + 4 * across, mine, tile, K)  # y = w v
                cuda.syncwarp()  # the weights have been used: ds take their place
                for a in range(mine):
                    for b in range(its):
                        weights[(down + 4 * a) * (tile + PAD) + across + 8 * b] = s[a, b]
                cuda.syncwarp()  # s = q kᵀ / √K
                add_rows(for_key, x, weights, down * (tile + PAD), memory, QUERIES + 4 * across, mine, tile, K)
        for a in range(mine):
            j = first + down + 4 * a
            if j < S:
                for c in range(columns):
                    at = of_k + j * K + 4 * across + c // 4 * 32 + c % 4
                    dv[at] = for_value[a, c]
                    dk[at] = for_key[a, c] * scale

    return flash_registers_key_gradients
