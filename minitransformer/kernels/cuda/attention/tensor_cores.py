"""The fifth rung: products by tensor cores, and the next tile on its way meanwhile.

What changed against `flash_registers`: numbers are bfloat16, half the bytes, and 32 lanes together multiply 16 × 16 by
16 × 8 of them in one instruction, 2,048 multiply-adds where 32 lanes otherwise do 32. Sums stay float32. What feeds
that: `ldmatrix` brings 16 × 16 numbers into the lanes as the product wants them; `cp.async` copies the next tile to
shared memory, past the registers, while this one is multiplied; rows in shared memory are 16 bytes longer than they
need be, so that the eight that `ldmatrix` reads at once lie in different banks.

A warp has a strip of 16 rows and keeps it in registers for good. The weights are born as a product's result, packed to
bfloat16 in place, and are the left factor of the next product: they never leave the registers. That also decides how
the backward is cut:

    queries stay, keys pass      s = q kᵀ        dw = dy vᵀ          dq += ds k
    keys stay, queries pass      sᵀ = k qᵀ       dwᵀ = v dyᵀ         dv += wᵀ dy        dk += dsᵀ q

The second is written for the transposes from the start. 7 products where 5 would do, as in `flash`: every sum has one
owner and one order. The exponential is 2ˣ, which the hardware has; 1/√K and log₂ e are one factor.

What it costs, for a query and a key of K numbers, with blocks of 4 strips, 64 queries:

    operations  4 K, 4,096 at a time by an instruction of the warp
    memory      4 K / 64 = K/16 bytes of keys and values (flash: K/4)
    shared      an ldmatrix brings 16 × 16 numbers for two mma: 1/8 byte for each multiply-add (flash: 6)

What a forward gives is rounded to bfloat16 once, at the end; the weights are rounded where they become a factor.
"""

import math
from functools import cache

import numpy as np
from numba import cuda, float32, uint16, uint32

from ..arrays import empty
from ..device import launch
from .masks import NOTHING, allows, row_of, visible
from .problem import blocks, problem, upstream
from .warp import (
    copy_async4,
    copy_async16,
    exp2,
    high,
    ldmatrix,
    ldmatrix_transposed,
    load_shared2,
    low,
    mma,
    pack,
    wait_for_copies,
)

STRIP = 16  # rows of a warp
WARPS = 4
PAD = 8  # numbers that a row in shared memory is longer: 16 bytes
LOG2E, LN2 = np.float32(math.log2(math.e)), np.float32(math.log(2))
EVERYTHING = np.float32(np.inf)


def tile_of(K, masked):
    """Rows of a tile, for the walk along the keys and for that along the queries: two stages of two tiles in 48 KB"""
    return (64, 64) if K <= 64 else (32, 16 if masked else 32)


def attention(q, k, v, bias=None, *, mask=None, causal=False, dropout_rate=0.0, key=None):
    given = problem("tensor_cores", q, k, v, bias, mask, causal, dropout_rate, key)
    q = given.q
    y, lse = empty(q.shape, q), empty(q.shape[:2], q, np.float32)
    run(forward_kernel, 0, given, q, *given.flat, in_words(y), lse)
    return given.of_queries(y), (given, y, lse)


def attention_backward(dy, saved):
    """dq, dk, dv, dbias = None"""
    given, y, lse = saved
    q, k, v = given[:3]
    dy = upstream(dy, given)
    dq, dk, dv = (empty(x.shape, x) for x in (q, k, v))
    delta, lse2 = (empty(lse.shape, lse) for _ in range(2))
    n_rows = q.shape[0] * q.shape[1]
    stats = lse2.reshape(-1), delta.reshape(-1)
    of_rows, grid = row_kernel(q.shape[2], WARPS), (blocks(n_rows, WARPS),)
    launch(of_rows, grid, 32 * WARPS, in_words(dy), in_words(y), lse.reshape(-1), *stats, n_rows)
    run(query_kernel, 0, given, q, dy.reshape(-1), *given.flat, *stats, in_words(dq))
    run(key_kernel, 1, given, k, dy.reshape(-1), *given.flat, *stats, in_words(dk), in_words(dv))
    return given.of_queries(dq), given.of_keys(dk), given.of_keys(dv), None


def run(make, walk, given, owned, *args):
    """Launch a kernel whose blocks each own WARPS strips of one head of `owned`."""
    n, rows, K = owned.shape
    kernel = make(*given.variant, WARPS, tile_of(K, given.masked)[walk])
    launch(kernel, (blocks(rows, STRIP * WARPS), n), 32 * WARPS, *args, given.scale)


def in_words(x):
    """Two numbers in a word, one word after another"""
    return x.reshape(-1).view(np.uint32)


# ------------------------------------------------------------------------------------------------- a warp and its tiles


@cuda.jit(device=True, inline="always")
def copy_rows(memory, at, x, base, first, limit, rows, K, thread, threads):
    """Begin to copy rows of x to memory[at:], 16 bytes a thread; zeros for those past the limit."""
    chunks = K // 8
    c = thread % chunks * 8
    for r in range(thread // chunks, rows, threads // chunks):
        there = base + (first + r) * K + c
        copy_async16(memory, at + r * (K + PAD) + c, x, there, 16 if first + r < limit else 0)


@cuda.jit(device=True, inline="always")
def left_factors(factors, memory, at, K):
    """The 16 rows of a strip, into registers; `at` is where this lane's row begins (`left_place`)."""
    for k in range(K // 16):
        a = ldmatrix(memory, at + 16 * k)
        factors[k, 0] = a[0]
        factors[k, 1] = a[1]
        factors[k, 2] = a[2]
        factors[k, 3] = a[3]


@cuda.jit(device=True, inline="always")
def multiply_into(c, n, a0, a1, a2, a3, b0, b1):
    """c[n] += A B"""
    d = mma(a0, a1, a2, a3, b0, b1, c[n, 0], c[n, 1], c[n, 2], c[n, 3])
    c[n, 0] = d[0]
    c[n, 1] = d[1]
    c[n, 2] = d[2]
    c[n, 3] = d[3]


@cuda.jit(device=True, inline="always")
def products(s, factors, memory, at, rows, K):
    """s = F tileᵀ, the strip with every row of a tile; `at`: `right_place`"""
    for n in range(rows // 8):
        for e in range(4):
            s[n, e] = float32(0)
    for k in range(K // 16):
        for n in range(rows // 16):
            b = ldmatrix(memory, at + n * 16 * (K + PAD) + 16 * k)
            multiply_into(s, 2 * n, factors[k, 0], factors[k, 1], factors[k, 2], factors[k, 3], b[0], b[1])
            multiply_into(s, 2 * n + 1, factors[k, 0], factors[k, 1], factors[k, 2], factors[k, 3], b[2], b[3])


@cuda.jit(device=True, inline="always")
def add_rows(total, s, memory, at, rows, K):
    """total += s tile, s rounded to bfloat16; `at`: `turned_place`"""
    for k in range(rows // 16):
        a0 = pack(s[2 * k, 0], s[2 * k, 1])
        a1 = pack(s[2 * k, 2], s[2 * k, 3])
        a2 = pack(s[2 * k + 1, 0], s[2 * k + 1, 1])
        a3 = pack(s[2 * k + 1, 2], s[2 * k + 1, 3])
        for n in range(K // 16):
            b = ldmatrix_transposed(memory, at + k * 16 * (K + PAD) + 16 * n)
            multiply_into(total, 2 * n, a0, a1, a2, a3, b[0], b[1])
            multiply_into(total, 2 * n + 1, a0, a1, a2, a3, b[2], b[3])


@cuda.jit(device=True, inline="always")
def hide_keys(s, hidden, mask, n_heads, n, i, j, T, S, across, causal, masked, lane):
    """What queries i and i + 8 may not see of the keys from j on, hidden: past the end, causal, masked"""
    for h in range(2):
        if masked:
            row = row_of(mask, n_heads, n, i + 8 * h)
        for c in range(across):
            for e in range(2 * h, 2 * h + 2):
                at = j + 8 * c + 2 * (lane & 3) + (e & 1)
                if at >= S or (causal and at > i + 8 * h + S - T) or (masked and not allows(row, at)):
                    s[c, e] = hidden


@cuda.jit(device=True, inline="always")
def hide_from_queries(w, mask, n_heads, n, i, j, T, S, across, causal, masked, lane):
    """The weights of keys j and j + 8, 0 for those of the queries from i on that may not see them"""
    for c in range(across):
        for b in range(2):
            at = i + 8 * c + 2 * (lane & 3) + b
            if masked:
                row = row_of(mask, n_heads, n, at)
            for h in range(2):
                if (causal and j + 8 * h > at + S - T) or (masked and not allows(row, j + 8 * h)):
                    w[c, 2 * h + b] = float32(0)


@cuda.jit(device=True, inline="always")
def write_rows(out, total, h, factor, base, i, K, lane):
    """Row i = factor total, the half h of a strip, two numbers to a word"""
    for n in range(K // 8):
        word = pack(total[n, 2 * h] * factor, total[n, 2 * h + 1] * factor)
        out[(base + i * K + 8 * n + 2 * (lane & 3)) // 2] = word


@cuda.jit(device=True, inline="always")
def left_place(lane, K):
    """Where in a strip of 16 rows a lane's row begins, for A"""
    return (lane & 15) * (K + PAD) + 8 * (lane >> 4)


@cuda.jit(device=True, inline="always")
def right_place(lane, K):
    """In 16 rows of a tile, of which two B are made, the rows as their columns"""
    return ((lane & 7) + 8 * (lane >> 4)) * (K + PAD) + 8 * ((lane >> 3) & 1)


@cuda.jit(device=True, inline="always")
def turned_place(lane, K):
    """In 16 rows of a tile, of which two B are made, the rows as their rows"""
    return (lane & 15) * (K + PAD) + 8 * (lane >> 4)


@cuda.jit(device=True, inline="always")
def largest_of_row(x):
    """The four lanes that have a row"""
    x = max(x, cuda.shfl_xor_sync(0xFFFFFFFF, x, 1))
    return max(x, cuda.shfl_xor_sync(0xFFFFFFFF, x, 2))


@cuda.jit(device=True, inline="always")
def sum_of_row(x):
    x += cuda.shfl_xor_sync(0xFFFFFFFF, x, 1)
    return x + cuda.shfl_xor_sync(0xFFFFFFFF, x, 2)


# ------------------------------------------------------------------------------------------------------------ forward


@cache
def forward_kernel(K, causal, masked, warps, tile):
    own, line, threads = STRIP * warps, K + PAD, 32 * warps
    depth, across, wide = K // 16, tile // 8, K // 8  # how many factors and products a strip has
    TILE, STAGE = tile * line, 2 * tile * line  # keys, then values
    SIZE = max(own * line, 2 * STAGE)

    @cuda.jit
    def tensor_cores_forward(q, k, v, mask, n_heads, R, T, S, y, lse, scale):
        """A block: 16 queries for each warp"""
        memory = cuda.shared.array(SIZE, uint16, alignment=16)
        queries = cuda.local.array((depth, 4), uint32)
        s = cuda.local.array((across, 4), float32)
        total = cuda.local.array((wide, 4), float32)
        m = cuda.local.array(2, float32)
        l = cuda.local.array(2, float32)
        thread = cuda.threadIdx.x
        lane, warp = thread & 31, thread >> 5
        first, n = cuda.blockIdx.x * own, cuda.blockIdx.y
        of_q, of_k = n * T * K, n // R * S * K  # where the head begins
        strip = first + STRIP * warp
        i = strip + (lane >> 2)  # this lane has rows i and i + 8
        scale2 = scale * LOG2E
        copy_rows(memory, 0, q, of_q, first, T, own, K, thread, threads)
        wait_for_copies()
        cuda.syncthreads()
        left_factors(queries, memory, STRIP * warp * line + left_place(lane, K), K)
        cuda.syncthreads()  # the keys will lie where the queries were
        for c in range(wide):
            for e in range(4):
                total[c, e] = float32(0)
        for h in range(2):
            m[h] = NOTHING
            l[h] = float32(0)
        seen = visible(first + own, T, S, causal)
        copy_rows(memory, 0, k, of_k, 0, S, tile, K, thread, threads)
        copy_rows(memory, TILE, v, of_k, 0, S, tile, K, thread, threads)
        for j in range(0, seen, tile):
            now = j // tile % 2 * STAGE
            wait_for_copies()
            cuda.syncthreads()  # this tile is there, and all are done with the one before
            if j + tile < seen:
                copy_rows(memory, STAGE - now, k, of_k, j + tile, S, tile, K, thread, threads)
                copy_rows(memory, STAGE - now + TILE, v, of_k, j + tile, S, tile, K, thread, threads)
            products(s, queries, memory, now + right_place(lane, K), tile, K)
            if masked or j + tile > S or (causal and j + tile > strip + 1 + S - T):
                hide_keys(s, NOTHING, mask, n_heads, n, i, j, T, S, across, causal, masked, lane)
            for h in range(2):
                largest = m[h]
                for c in range(across):
                    largest = max(largest, max(s[c, 2 * h], s[c, 2 * h + 1]) * scale2)
                largest = largest_of_row(largest)
                shift = largest if largest > NOTHING else float32(0)  # -∞ - -∞ is no number
                rescale = exp2(m[h] - shift)
                m[h] = largest
                l[h] *= rescale
                for c in range(across):
                    for e in range(2 * h, 2 * h + 2):
                        s[c, e] = exp2(s[c, e] * scale2 - shift)
                        l[h] += s[c, e]
                for c in range(wide):
                    total[c, 2 * h] *= rescale
                    total[c, 2 * h + 1] *= rescale
            add_rows(total, s, memory, now + TILE + turned_place(lane, K), tile, K)
        wait_for_copies()
        for h in range(2):
            weight = sum_of_row(l[h])
            if i + 8 * h < T:
                share = float32(1) / weight if weight > float32(0) else float32(0)
                write_rows(y, total, h, share, of_q, i + 8 * h, K, lane)
                if lane & 3 == 0:
                    found = m[h] * LN2 + math.log(weight) if weight > float32(0) else NOTHING
                    lse[n, i + 8 * h] = found

    return tensor_cores_forward


# ----------------------------------------------------------------------------------------------------------- backward


@cache
def row_kernel(K, warps):
    @cuda.jit
    def tensor_cores_rows(dy, y, lse, lse2, delta, n_rows):
        """A warp: δ = Σ_K dy y of one row, and lse as an exponent of 2; +∞ where it is -∞, so that weights are 0"""
        lane = cuda.threadIdx.x & 31
        row = cuda.blockIdx.x * warps + (cuda.threadIdx.x >> 5)
        if row < n_rows:
            total = float32(0)
            for c in range(lane, K // 2, 32):
                a, b = dy[row * (K // 2) + c], y[row * (K // 2) + c]
                total += low(a) * low(b) + high(a) * high(b)
            for e in range(5):
                total += cuda.shfl_xor_sync(0xFFFFFFFF, total, 1 << e)
            if lane == 0:
                delta[row] = total
                lse2[row] = lse[row] * LOG2E if lse[row] > NOTHING else EVERYTHING

    return tensor_cores_rows


@cache
def query_kernel(K, causal, masked, warps, tile):
    own, line, threads = STRIP * warps, K + PAD, 32 * warps
    depth, across, wide = K // 16, tile // 8, K // 8  # how many factors and products a strip has
    TILE, STAGE = tile * line, 2 * tile * line  # keys, then values
    SIZE = max(2 * own * line, 2 * STAGE)

    @cuda.jit
    def tensor_cores_query_gradients(dy, q, k, v, mask, n_heads, R, T, S, lse2, delta, dq, scale):
        """A block: the dq of 16 queries for each warp, past which the keys go"""
        memory = cuda.shared.array(SIZE, uint16, alignment=16)
        queries = cuda.local.array((depth, 4), uint32)
        dys = cuda.local.array((depth, 4), uint32)
        s = cuda.local.array((across, 4), float32)
        dw = cuda.local.array((across, 4), float32)
        total = cuda.local.array((wide, 4), float32)
        own_lse = cuda.local.array(2, float32)
        own_delta = cuda.local.array(2, float32)
        thread = cuda.threadIdx.x
        lane, warp = thread & 31, thread >> 5
        first, n = cuda.blockIdx.x * own, cuda.blockIdx.y
        of_q, of_k = n * T * K, n // R * S * K
        strip = first + STRIP * warp
        i = strip + (lane >> 2)
        scale2 = scale * LOG2E
        copy_rows(memory, 0, q, of_q, first, T, own, K, thread, threads)
        copy_rows(memory, own * line, dy, of_q, first, T, own, K, thread, threads)
        for c in range(wide):
            for e in range(4):
                total[c, e] = float32(0)
        for h in range(2):
            there = i + 8 * h < T
            own_lse[h] = lse2[n * T + i + 8 * h] if there else EVERYTHING
            own_delta[h] = delta[n * T + i + 8 * h] if there else float32(0)
        wait_for_copies()
        cuda.syncthreads()
        left = STRIP * warp * line + left_place(lane, K)
        left_factors(queries, memory, left, K)
        left_factors(dys, memory, own * line + left, K)
        cuda.syncthreads()
        seen = visible(first + own, T, S, causal)
        copy_rows(memory, 0, k, of_k, 0, S, tile, K, thread, threads)
        copy_rows(memory, TILE, v, of_k, 0, S, tile, K, thread, threads)
        for j in range(0, seen, tile):
            now = j // tile % 2 * STAGE
            wait_for_copies()
            cuda.syncthreads()
            if j + tile < seen:
                copy_rows(memory, STAGE - now, k, of_k, j + tile, S, tile, K, thread, threads)
                copy_rows(memory, STAGE - now + TILE, v, of_k, j + tile, S, tile, K, thread, threads)
            products(s, queries, memory, now + right_place(lane, K), tile, K)
            products(dw, dys, memory, now + TILE + right_place(lane, K), tile, K)
            for c in range(across):
                for e in range(4):
                    s[c, e] = exp2(s[c, e] * scale2 - own_lse[e >> 1])
            if masked or j + tile > S or (causal and j + tile > strip + 1 + S - T):
                hide_keys(s, float32(0), mask, n_heads, n, i, j, T, S, across, causal, masked, lane)
            for c in range(across):
                for e in range(4):
                    s[c, e] *= dw[c, e] - own_delta[e >> 1]  # w = softmax(s)
            add_rows(total, s, memory, now + turned_place(lane, K), tile, K)  # s = q kᵀ / √K
        wait_for_copies()
        for h in range(2):
            if i + 8 * h < T:
                write_rows(dq, total, h, scale, of_q, i + 8 * h, K, lane)

    return tensor_cores_query_gradients


@cache
def key_kernel(K, causal, masked, warps, tile):
    own, line, threads = STRIP * warps, K + PAD, 32 * warps
    depth, across, wide = K // 16, tile // 8, K // 8  # how many factors and products a strip has
    TILE, STAGE = tile * line, 2 * tile * line  # queries, then dy
    STATISTICS = max(2 * own * line, 2 * STAGE)  # behind them the lse2 and δ of two tiles, in float32
    SIZE = STATISTICS + 2 * 4 * tile

    @cuda.jit
    def tensor_cores_key_gradients(dy, q, k, v, mask, n_heads, R, T, S, lse2, delta, dk, dv, scale):
        """A block: the dk and dv of 16 keys for each warp, past which go the queries of all heads that share them"""
        memory = cuda.shared.array(SIZE, uint16, alignment=16)
        keys = cuda.local.array((depth, 4), uint32)
        values = cuda.local.array((depth, 4), uint32)
        s = cuda.local.array((across, 4), float32)
        dw = cuda.local.array((across, 4), float32)
        for_key = cuda.local.array((wide, 4), float32)
        for_value = cuda.local.array((wide, 4), float32)
        thread = cuda.threadIdx.x
        lane, warp = thread & 31, thread >> 5
        first, g = cuda.blockIdx.x * own, cuda.blockIdx.y
        of_k = g * S * K
        strip = first + STRIP * warp
        j = strip + (lane >> 2)  # this lane has keys j and j + 8
        scale2 = scale * LOG2E
        copy_rows(memory, 0, k, of_k, first, S, own, K, thread, threads)
        copy_rows(memory, own * line, v, of_k, first, S, own, K, thread, threads)
        for c in range(wide):
            for e in range(4):
                for_key[c, e] = float32(0)
                for_value[c, e] = float32(0)
        wait_for_copies()
        cuda.syncthreads()
        left = STRIP * warp * line + left_place(lane, K)
        left_factors(keys, memory, left, K)
        left_factors(values, memory, own * line + left, K)
        cuda.syncthreads()
        begin = max(first + T - S, 0) // tile * tile if causal else 0
        tiles = max(T - begin + tile - 1, 0) // tile  # of one head
        for step in range(-1, R * tiles):
            stage = step & 1
            now, statistics = stage * STAGE, STATISTICS + stage * 4 * tile
            if step >= 0:
                wait_for_copies()
                cuda.syncthreads()
            if step + 1 < R * tiles:
                n, i = g * R + (step + 1) // tiles, begin + (step + 1) % tiles * tile
                copy_rows(memory, STAGE - now, q, n * T * K, i, T, tile, K, thread, threads)
                copy_rows(memory, STAGE - now + TILE, dy, n * T * K, i, T, tile, K, thread, threads)
                if thread < tile:
                    size = 4 if i + thread < T else 0
                    there = STATISTICS + (1 - stage) * 4 * tile + 2 * thread
                    copy_async4(memory, there, lse2, n * T + i + thread, size)
                    copy_async4(memory, there + 2 * tile, delta, n * T + i + thread, size)
            if step >= 0:
                n, i = g * R + step // tiles, begin + step % tiles * tile
                products(s, keys, memory, now + right_place(lane, K), tile, K)
                for c in range(across):
                    its_lse = load_shared2(memory, statistics + 16 * c + 4 * (lane & 3))
                    for e in range(4):
                        s[c, e] = exp2(s[c, e] * scale2 - its_lse[e & 1])
                if masked or (causal and i + S - T < strip + STRIP - 1):
                    hide_from_queries(s, mask, n_heads, n, i, j, T, S, across, causal, masked, lane)
                add_rows(for_value, s, memory, now + TILE + turned_place(lane, K), tile, K)  # y = w v
                products(dw, values, memory, now + TILE + right_place(lane, K), tile, K)
                for c in range(across):
                    its_delta = load_shared2(memory, statistics + 2 * tile + 16 * c + 4 * (lane & 3))
                    for e in range(4):
                        s[c, e] *= dw[c, e] - its_delta[e & 1]  # w = softmax(s)
                add_rows(for_key, s, memory, now + turned_place(lane, K), tile, K)  # s = q kᵀ / √K
        for h in range(2):
            if j + 8 * h < S:
                write_rows(dv, for_value, h, float32(1), of_k, j + 8 * h, K, lane)
                write_rows(dk, for_key, h, scale, of_k, j + 8 * h, K, lane)

    return tensor_cores_key_gradients
