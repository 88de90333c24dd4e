"""The sixth rung: float32 on the tensor cores, each number as the sum of three bfloat16.

What changed against `tensor_cores`: numbers are float32 again, and so is what comes out. A float32 has 24 bits, a
bfloat16 has 8, and three of them have all 24:

    x = x₀ + x₁ + x₂        x₀ = x rounded to bfloat16, x₁ what that left over, rounded, x₂ what that left over

A product of two is nine products of parts, each exact in float32. Those of x₁ y₂, x₂ y₁ and x₂ y₂ are below what
float32 keeps; six remain, and tensor cores are more than six times as fast as the rest of the chip. (G. Henry, P. Tang,
A. Heinecke, Leveraging the bfloat16 Artificial Intelligence Datatype For Higher-Precision Computations, ARITH 2019.)

Tensor cores cut a sum off where other hardware rounds it, always towards zero, and what is cut off adds up. So their
sums are kept short: that of the large products x₀ y₀ apart from that of the rest, which is 2⁻⁸ of it; and what a tile
adds is summed by itself, and then added as float32 is added elsewhere.

A tile comes from memory, is taken apart once for all warps of its block, and lies in shared memory in three planes. The
rows of a strip are read again for every tile, from the cache that the multiprocessor has anyway, and are taken apart
where they become a factor: three times as many registers as they have would be needed to keep them.

The backward is that of `tensor_cores`. At K = 128 dk and dv do not both fit into a thread's registers: the kernel runs
twice. Tiles have 32 rows or, where two strips are multiplied at K = 128, 16; two of 32 there come one after the other.

What it costs, for a query and a key of K numbers, with blocks of 4 strips, 64 queries:

    operations  6 · 4 K, 4,096 at a time by an instruction of the warp
    memory      8 K / 64 = K/8 bytes of keys and values
    shared      three ldmatrix bring 16 × 16 numbers for twelve mma: 3/8 byte for each multiply-add

On an H200 it was nearer to float64 than `flash_registers`, whose sums are one long chain each (the page has figures). A
number beyond 3.39e38 becomes NaN, as ∞ does; one below 2⁻¹¹⁰ or so loses its last part.
"""

import math
from functools import cache, partial

from numba import cuda, float32, uint16, uint32

from ..arrays import empty
from ..device import launch
from .masks import NOTHING, visible
from .problem import blocks, problem, upstream
from .tensor_cores import (
    EVERYTHING,
    LN2,
    LOG2E,
    PAD,
    STRIP,
    hide_from_queries,
    hide_keys,
    largest_of_row,
    multiply_into,
    right_place,
    sum_of_row,
    turned_place,
)
from .warp import exp2, high, ldmatrix, ldmatrix_transposed, load2, load4, low, pack, store_shared_words2

PARTS = 3  # bfloat16 to a float32
WARPS = 4
MOST_SHARED = 48 * 1024  # bytes
AT_ONCE = 4  # times 16 bytes that a thread asks for before it waits, at most
GROUP = 4  # columns of 8 that are summed up side by side


def tile_of(K, masked, strips):
    """Rows of a tile, for a kernel that multiplies so many strips by it: what there are registers for"""
    return 16 if strips > 1 and (K > 64 or masked) else 32


def fit(K, tile):
    """Whether there is room for two tiles, each in three planes"""
    return 2 * 2 * PARTS * tile * (K + PAD) <= MOST_SHARED


def sums_of(K):
    """Whether dk, and whether dv: together where a thread has registers for both"""
    return [(True, True)] if K <= 64 else [(True, False), (False, True)]


def attention(q, k, v, bias=None, *, mask=None, causal=False, dropout_rate=0.0, key=None):
    given = problem("tensor_cores_float32", q, k, v, bias, mask, causal, dropout_rate, key)
    q = given.q
    y, lse = empty(q.shape, q), empty(q.shape[:2], q)
    run(forward_kernel, 1, given, q, *given.flat, y.reshape(-1), lse)
    return given.of_queries(y), (given, y, lse)


def attention_backward(dy, saved):
    """dq, dk, dv, dbias = None"""
    given, y, lse = saved
    q, k, v = given[:3]
    dy = upstream(dy, given).reshape(-1)
    dq, dk, dv = (empty(x.shape, x) for x in (q, k, v))
    delta, lse2 = (empty(lse.size, lse) for _ in range(2))
    of_rows, grid = row_kernel(q.shape[2], WARPS), (blocks(lse.size, WARPS),)
    launch(of_rows, grid, 32 * WARPS, dy, y.reshape(-1), lse.reshape(-1), lse2, delta, lse.size)
    run(query_kernel, 2, given, q, dy, *given.flat, lse2, delta, dq.reshape(-1))
    for sums in sums_of(q.shape[2]):
        of_keys = given, k, dy, *given.flat, lse2, delta, dk.reshape(-1), dv.reshape(-1)
        run(partial(key_kernel, *sums), 1 + sums[0], *of_keys)
    return given.of_queries(dq), given.of_keys(dk), given.of_keys(dv), None


def run(make, strips, given, owned, *args):
    """Launch a kernel whose blocks each own WARPS strips of one head of `owned`."""
    n, rows, K = owned.shape
    kernel = make(*given.variant, WARPS, tile_of(K, given.masked, strips))
    launch(kernel, (blocks(rows, STRIP * WARPS), n), 32 * WARPS, *args, given.scale)


# ------------------------------------------------------------------------------------------------- numbers in parts


@cuda.jit(device=True, inline="always")
def take_apart(parts, w, a, b):
    """The word w of all three parts of two numbers"""
    for p in range(PARTS):
        word = pack(a, b)
        parts[p, w] = word
        a -= low(word)
        b -= high(word)


@cuda.jit(device=True, inline="always")
def multiply_parts(large, rest, n, a, b):
    """large[n] + rest[n] += A B, and the next column of 8 as well: A and B in parts, B as ldmatrix brings it"""
    for i in range(PARTS):
        multiply_pair(rest, n, a, i, b, 2 - i)
    for i in range(PARTS - 1):
        multiply_pair(rest, n, a, i, b, 1 - i)
    multiply_pair(large, n, a, 0, b, 0)


@cuda.jit(device=True, inline="always")
def multiply_pair(c, n, a, i, b, j):
    multiply_into(c, n, a[i, 0], a[i, 1], a[i, 2], a[i, 3], b[j, 0], b[j, 1])
    multiply_into(c, n + 1, a[i, 0], a[i, 1], a[i, 2], a[i, 3], b[j, 2], b[j, 3])


# ------------------------------------------------------------------------------------------------- a warp and its tiles


@cuda.jit(device=True, inline="always")
def left_parts(parts, x, base, i, limit, k, K, lane):
    """Columns 16 k to 16 k + 15 of rows i and i + 8, as a left factor in parts; past the limit, the last row's"""
    for w in range(4):
        row = min(i + 8 * (w & 1), limit - 1)
        two = load2(x, base + row * K + 16 * k + 8 * (w >> 1) + 2 * (lane & 3))
        take_apart(parts, w, two[0], two[1])


@cuda.jit(device=True, inline="always")
def bring(memory, at, x, base, first, limit, words, parts, rows, K, at_once, thread, threads):
    """Rows of x to memory[at:] in three planes, 16 bytes a thread; zeros for those past the limit"""
    r, c, step = thread // (K // 4), thread % (K // 4) * 4, threads // (K // 4)
    for turn in range(rows // (at_once * step)):  # so often for every thread: unrolled, unlike a loop that begins at r
        for n in range(at_once):  # all of them are on their way before the first is waited for
            row = r + (turn * at_once + n) * step
            for e in range(4):
                words[n, e] = float32(0)
            if first + row < limit:
                four = load4(x, base + (first + row) * K + c)
                for e in range(4):
                    words[n, e] = four[e]
        for n in range(at_once):
            take_apart(parts, 0, words[n, 0], words[n, 1])
            take_apart(parts, 1, words[n, 2], words[n, 3])
            for p in range(PARTS):
                there = at + (p * rows + r + (turn * at_once + n) * step) * (K + PAD) + c
                store_shared_words2(memory, there, parts[p, 0], parts[p, 1])


@cuda.jit(device=True, inline="always")
def clear(c, n):
    for i in range(n):
        for e in range(4):
            c[i, e] = float32(0)


@cuda.jit(device=True, inline="always")
def products(s, rest, x, base, i, limit, a, b, memory, at, rows, K, lane):
    """s = X tileᵀ, the strip of rows i and i + 8 with every row of a tile; `at`: `right_place`"""
    clear(s, rows // 8)
    clear(rest, rows // 8)
    for k in range(K // 16):
        left_parts(a, x, base, i, limit, k, K, lane)
        for n in range(rows // 16):
            for p in range(PARTS):
                word = ldmatrix(memory, at + (p * rows + 16 * n) * (K + PAD) + 16 * k)
                for e in range(4):
                    b[p, e] = word[e]
            multiply_parts(s, rest, 2 * n, a, b)
    for n in range(rows // 8):
        for e in range(4):
            s[n, e] += rest[n, e]


@cuda.jit(device=True, inline="always")
def add_rows(total, rescale, s, large, rest, a, b, memory, at, rows, K):
    """total = rescale total + s tile; `at`: `turned_place`"""
    for c in range(0, K // 8, GROUP):
        clear(large, GROUP)
        clear(rest, GROUP)
        for k in range(rows // 16):
            for w in range(4):
                take_apart(a, w, s[2 * k + (w >> 1), 2 * (w & 1)], s[2 * k + (w >> 1), 2 * (w & 1) + 1])
            for n in range(GROUP // 2):
                for p in range(PARTS):
                    word = ldmatrix_transposed(memory, at + (p * rows + 16 * k) * (K + PAD) + 8 * c + 16 * n)
                    for e in range(4):
                        b[p, e] = word[e]
                multiply_parts(large, rest, 2 * n, a, b)
        for n in range(GROUP):
            for e in range(4):
                total[c + n, e] = total[c + n, e] * rescale[e >> 1] + (large[n, e] + rest[n, e])


@cuda.jit(device=True, inline="always")
def write_rows(out, total, h, factor, base, i, K, lane):
    """Row i = factor total, the half h of a strip"""
    for n in range(K // 8):
        for e in range(2):
            out[base + i * K + 8 * n + 2 * (lane & 3) + e] = total[n, 2 * h + e] * factor


# ------------------------------------------------------------------------------------------------------------- forward


@cache
def forward_kernel(K, causal, masked, warps, tile):
    own, threads, across, wide = STRIP * warps, 32 * warps, tile // 8, K // 8
    spare, at_once = max(across, GROUP), min(AT_ONCE, tile * K // 4 // threads)
    both = fit(K, tile)
    PLANES = PARTS * tile * (K + PAD)
    VALUES, SIZE = (PLANES, 2 * PLANES) if both else (0, PLANES)  # behind the keys, or in their place

    @cuda.jit
    def tensor_cores_float32_forward(q, k, v, mask, n_heads, R, T, S, y, lse, scale):
        """A block: 16 queries for each warp"""
        memory = cuda.shared.array(SIZE, uint16, alignment=16)
        words = cuda.local.array((at_once, 4), float32)
        a = cuda.local.array((PARTS, 4), uint32)
        b = cuda.local.array((PARTS, 4), uint32)
        s = cuda.local.array((across, 4), float32)
        large = cuda.local.array((GROUP, 4), float32)
        rest = cuda.local.array((spare, 4), float32)
        total = cuda.local.array((wide, 4), float32)
        rescale = cuda.local.array(2, float32)
        m = cuda.local.array(2, float32)
        l = cuda.local.array(2, float32)
        thread = cuda.threadIdx.x
        lane, warp = thread & 31, thread >> 5
        first, n = cuda.blockIdx.x * own, cuda.blockIdx.y
        of_q, of_k = n * T * K, n // R * S * K  # where the head begins
        strip = first + STRIP * warp
        i = strip + (lane >> 2)  # this lane has rows i and i + 8
        scale2 = scale * LOG2E
        clear(total, wide)
        for h in range(2):
            m[h] = NOTHING
            l[h] = float32(0)
        for j in range(0, visible(first + own, T, S, causal), tile):
            cuda.syncthreads()  # all are done with the tile before
            bring(memory, 0, k, of_k, j, S, words, a, tile, K, at_once, thread, threads)
            if both:
                bring(memory, VALUES, v, of_k, j, S, words, a, tile, K, at_once, thread, threads)
            cuda.syncthreads()  # the tile is there
            products(s, rest, q, of_q, i, T, a, b, memory, right_place(lane, K), tile, K, lane)
            if masked or j + tile > S or (causal and j + tile > strip + 1 + S - T):
                hide_keys(s, NOTHING, mask, n_heads, n, i, j, T, S, across, causal, masked, lane)
            for h in range(2):
                largest = m[h]
                for c in range(across):
                    largest = max(largest, max(s[c, 2 * h], s[c, 2 * h + 1]) * scale2)
                largest = largest_of_row(largest)
                shift = largest if largest > NOTHING else float32(0)  # -∞ - -∞ is no number
                rescale[h] = exp2(m[h] - shift)
                m[h] = largest
                l[h] *= rescale[h]
                for c in range(across):
                    for e in range(2 * h, 2 * h + 2):
                        s[c, e] = exp2(s[c, e] * scale2 - shift)
                        l[h] += s[c, e]
            if not both:
                cuda.syncthreads()
                bring(memory, VALUES, v, of_k, j, S, words, a, tile, K, at_once, thread, threads)
                cuda.syncthreads()
            add_rows(total, rescale, s, large, rest, a, b, memory, VALUES + turned_place(lane, K), tile, K)
        for h in range(2):
            weight = sum_of_row(l[h])
            if i + 8 * h < T:
                share = float32(1) / weight if weight > float32(0) else float32(0)
                write_rows(y, total, h, share, of_q, i + 8 * h, K, lane)
                if lane & 3 == 0:
                    found = m[h] * LN2 + math.log(weight) if weight > float32(0) else NOTHING
                    lse[n, i + 8 * h] = found

    return tensor_cores_float32_forward


# ------------------------------------------------------------------------------------------------------------ backward


@cache
def row_kernel(K, warps):
    @cuda.jit
    def tensor_cores_float32_rows(dy, y, lse, lse2, delta, n_rows):
        """A warp: δ = Σ_K dy y of one row, and lse as an exponent of 2; +∞ where it is -∞, so that weights are 0"""
        lane = cuda.threadIdx.x & 31
        row = cuda.blockIdx.x * warps + (cuda.threadIdx.x >> 5)
        if row < n_rows:
            total = float32(0)
            for c in range(lane, K, 32):
                total += dy[row * K + c] * y[row * K + c]
            for e in range(5):
                total += cuda.shfl_xor_sync(0xFFFFFFFF, total, 1 << e)
            if lane == 0:
                delta[row] = total
                lse2[row] = lse[row] * LOG2E if lse[row] > NOTHING else EVERYTHING

    return tensor_cores_float32_rows


@cache
def query_kernel(K, causal, masked, warps, tile):
    own, threads, across, wide = STRIP * warps, 32 * warps, tile // 8, K // 8
    spare, at_once = max(across, GROUP), min(AT_ONCE, tile * K // 4 // threads)
    VALUES, SIZE = PARTS * tile * (K + PAD), 2 * PARTS * tile * (K + PAD)  # behind the keys

    @cuda.jit
    def tensor_cores_float32_query_gradients(dy, q, k, v, mask, n_heads, R, T, S, lse2, delta, dq, scale):
        """A block: the dq of 16 queries for each warp, past which the keys go"""
        memory = cuda.shared.array(SIZE, uint16, alignment=16)
        words = cuda.local.array((at_once, 4), float32)
        a = cuda.local.array((PARTS, 4), uint32)
        b = cuda.local.array((PARTS, 4), uint32)
        s = cuda.local.array((across, 4), float32)
        dw = cuda.local.array((across, 4), float32)
        large = cuda.local.array((GROUP, 4), float32)
        rest = cuda.local.array((spare, 4), float32)
        total = cuda.local.array((wide, 4), float32)
        rescale = cuda.local.array(2, float32)
        own_lse = cuda.local.array(2, float32)
        own_delta = cuda.local.array(2, float32)
        thread = cuda.threadIdx.x
        lane, warp = thread & 31, thread >> 5
        first, n = cuda.blockIdx.x * own, cuda.blockIdx.y
        of_q, of_k = n * T * K, n // R * S * K
        strip = first + STRIP * warp
        i = strip + (lane >> 2)
        scale2 = scale * LOG2E
        clear(total, wide)
        for h in range(2):
            there = i + 8 * h < T
            own_lse[h] = lse2[n * T + i + 8 * h] if there else EVERYTHING
            own_delta[h] = delta[n * T + i + 8 * h] if there else float32(0)
            rescale[h] = float32(1)
        for j in range(0, visible(first + own, T, S, causal), tile):
            cuda.syncthreads()
            bring(memory, 0, k, of_k, j, S, words, a, tile, K, at_once, thread, threads)
            bring(memory, VALUES, v, of_k, j, S, words, a, tile, K, at_once, thread, threads)
            cuda.syncthreads()
            products(dw, rest, dy, of_q, i, T, a, b, memory, VALUES + right_place(lane, K), tile, K, lane)
            products(s, rest, q, of_q, i, T, a, b, memory, right_place(lane, K), tile, K, lane)
            for c in range(across):
                for e in range(4):
                    s[c, e] = exp2(s[c, e] * scale2 - own_lse[e >> 1])
            if masked or j + tile > S or (causal and j + tile > strip + 1 + S - T):
                hide_keys(s, float32(0), mask, n_heads, n, i, j, T, S, across, causal, masked, lane)
            for c in range(across):
                for e in range(4):
                    s[c, e] *= dw[c, e] - own_delta[e >> 1]  # w = softmax(s)
            add_rows(total, rescale, s, large, rest, a, b, memory, turned_place(lane, K), tile, K)  # s = q kᵀ / √K
        for h in range(2):
            if i + 8 * h < T:
                write_rows(dq, total, h, scale, of_q, i + 8 * h, K, lane)

    return tensor_cores_float32_query_gradients


@cache
def key_kernel(for_keys, for_values, K, causal, masked, warps, tile):
    own, threads, across, wide = STRIP * warps, 32 * warps, tile // 8, K // 8
    spare, at_once = max(across, GROUP), min(AT_ONCE, tile * K // 4 // threads)
    both = for_keys or fit(K, tile)
    PLANES, STATISTICS = PARTS * tile * (K + PAD), 2 * tile
    DYS, SIZE = (PLANES, 2 * PLANES) if both else (0, PLANES)  # behind the queries, or in their place
    wide_key, wide_value = wide if for_keys else 1, wide if for_values else 1

    def tensor_cores_float32_key_gradients(dy, q, k, v, mask, n_heads, R, T, S, lse2, delta, dk, dv, scale):
        """A block: the dk, the dv or both of 16 keys for each warp, past which go the queries of all heads they have"""
        memory = cuda.shared.array(SIZE, uint16, alignment=16)
        statistics = cuda.shared.array(STATISTICS, float32)  # lse2, then δ
        words = cuda.local.array((at_once, 4), float32)
        a = cuda.local.array((PARTS, 4), uint32)
        b = cuda.local.array((PARTS, 4), uint32)
        s = cuda.local.array((across, 4), float32)
        dw = cuda.local.array((across, 4), float32)
        large = cuda.local.array((GROUP, 4), float32)
        rest = cuda.local.array((spare, 4), float32)
        for_key = cuda.local.array((wide_key, 4), float32)
        for_value = cuda.local.array((wide_value, 4), float32)
        rescale = cuda.local.array(2, float32)
        thread = cuda.threadIdx.x
        lane, warp = thread & 31, thread >> 5
        first, g = cuda.blockIdx.x * own, cuda.blockIdx.y
        of_k = g * S * K
        strip = first + STRIP * warp
        j = strip + (lane >> 2)  # this lane has keys j and j + 8
        scale2 = scale * LOG2E
        clear(for_key, wide_key)
        clear(for_value, wide_value)
        rescale[0] = rescale[1] = float32(1)
        begin = max(first + T - S, 0) // tile * tile if causal else 0
        for n in range(g * R, (g + 1) * R):
            of_q = n * T * K
            for i in range(begin, T, tile):
                cuda.syncthreads()
                bring(memory, 0, q, of_q, i, T, words, a, tile, K, at_once, thread, threads)
                if both:
                    bring(memory, DYS, dy, of_q, i, T, words, a, tile, K, at_once, thread, threads)
                if thread < tile:
                    there = i + thread < T
                    statistics[thread] = lse2[n * T + i + thread] if there else EVERYTHING
                    statistics[tile + thread] = delta[n * T + i + thread] if there else float32(0)
                cuda.syncthreads()
                products(s, rest, k, of_k, j, S, a, b, memory, right_place(lane, K), tile, K, lane)
                for c in range(across):
                    for e in range(4):
                        s[c, e] = exp2(s[c, e] * scale2 - statistics[8 * c + 2 * (lane & 3) + (e & 1)])
                if masked or (causal and i + S - T < strip + STRIP - 1):
                    hide_from_queries(s, mask, n_heads, n, i, j, T, S, across, causal, masked, lane)
                if for_values:
                    if not both:
                        cuda.syncthreads()
                        bring(memory, DYS, dy, of_q, i, T, words, a, tile, K, at_once, thread, threads)
                        cuda.syncthreads()
                    add_rows(for_value, rescale, s, large, rest, a, b, memory, DYS + turned_place(lane, K), tile, K)
                if for_keys:
                    products(dw, rest, v, of_k, j, S, a, b, memory, DYS + right_place(lane, K), tile, K, lane)
                    for c in range(across):
                        for e in range(4):
                            s[c, e] *= dw[c, e] - statistics[tile + 8 * c + 2 * (lane & 3) + (e & 1)]  # w = softmax(s)
                    add_rows(for_key, rescale, s, large, rest, a, b, memory, turned_place(lane, K), tile, K)
        for h in range(2):
            if j + 8 * h < S:
                if for_keys:
                    write_rows(dk, for_key, h, scale, of_k, j + 8 * h, K, lane)
                if for_values:
                    write_rows(dv, for_value, h, float32(1), of_k, j + 8 * h, K, lane)

    tensor_cores_float32_key_gradients.__name__ += "_of_k" * (not for_values) + "_of_v" * (not for_keys)
    return cuda.jit(tensor_cores_float32_key_gradients)
