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

Numbers are taken apart once, by a kernel before, and lie in memory in parts, as they are wanted: in squares of 16 × 16,
each in three parts, each of those in four matrices of 8 × 8, one after another. A tile is copied as it lies, and
`ldmatrix` finds 512 bytes in a row, which no two lanes want of one bank. A strip is a left factor as it lies: lane by
lane, 32 words for every 8 × 8. It is read again for every tile, from a cache as far as it fits, for a strip of K = 128
would take 96 registers of a thread.

While a tile of keys is multiplied one of values is on its way, and the other way round: two barriers for every tile, as
`flash_registers` has them (three where dk and dv are summed side by side). Weights are taken apart where they are born.

The backward is that of `tensor_cores`. At K = 128 dk and dv do not both fit into a thread's registers: there dv has a
kernel of its own, which makes the scores once more.

What it costs, for a query and a key of K numbers, with blocks of 4 strips, 64 queries, and tiles of 32 keys:

    operations  6 · 4 K, 4,096 at a time by an instruction of the warp
    memory      2 · 6 K / 64 = 3 K/16 bytes of keys and values, and 6 K / 32, as many, of the queries
    shared      three ldmatrix bring 16 × 16 numbers for twelve mma: 3/8 byte for each multiply-add

and once, for every number of q, k and v (and dy), 6 bytes, of heads filled up to 64 rows: kept for the backward.

On an H200 it was nearer to float64 than `flash_registers`, whose sums are one long chain each (the page has figures). A
number beyond 3.39e38 becomes NaN, as ∞ does; one below 2⁻¹¹⁰ or so loses its last part.
"""

import math
from functools import cache, partial

import numpy as np
from numba import cuda, float32, uint16, uint32

from ..arrays import empty
from ..device import launch
from .masks import NOTHING, visible
from .problem import alike, as_they_lie, blocks, check_upstream, empty_of
from .tensor_cores import (
    EVERYTHING,
    LN2,
    LOG2E,
    STRIP,
    hide_from_queries,
    hide_keys,
    largest_of_row,
    multiply_into,
    sum_of_row,
)
from .warp import (
    copy_async16,
    exp2,
    high,
    ldmatrix,
    ldmatrix_transposed,
    load2,
    low,
    pack,
    wait_for_copies,
)

PARTS = 3  # bfloat16 to a float32
SQUARE = 16 * 16  # numbers that lie together, four matrices of 8 × 8
WARPS = 4
FULL = 64  # a head in parts has a multiple of so many rows: no tile of it, and no block's strips, go beyond it
AT_ONCE = 4  # squares of a strip, at most, whose words a thread asks for before it waits


def tile_of(K, masked):
    """Rows of a tile: two of 32 in parts take all of 48 KB at K = 128, and with masks too many registers from 64 on"""
    return 16 if masked and K > 32 else 32


def together(K):
    """Whether a thread has registers for dk and for dv"""
    return K <= 64


def attention(q, k, v, bias=None, *, mask=None, causal=False, dropout_rate=0.0, key=None):
    given = as_they_lie("tensor_cores_float32", q, k, v, bias, mask, causal, dropout_rate, key)
    parts, given = in_parts(*given[:3]), given.forms
    y, lse = empty_of(given.q, q), empty((q.shape[0] * q.shape[1], q.shape[2]), q)
    run(forward_kernel, given, y, *parts, *given.sizes, y, lse)
    return y, (given, parts, y, lse)


def attention_backward(dy, saved):
    """dq, dk, dv, dbias = None"""
    given, (q, k, v), y, lse = saved
    check_upstream(dy, y)
    dq, dk, dv = (empty_of(form, y) for form in given[:3])
    n, T = lse.shape
    lse2, delta = (empty(n * filled(T), lse) for _ in range(2))
    launch(row_kernel(y.shape[3], WARPS), (filled(T) // WARPS, n), 32 * WARPS, dy, y, lse, lse2, delta)
    (dy,) = in_parts(dy)
    both = together(y.shape[3])
    run(query_kernel, given, dq, dy, q, k, v, *given.sizes, lse2, delta, dq)
    run(partial(key_kernel, both), given, dk, dy, q, k, v, *given.sizes, lse2, delta, dk, dv)
    if not both:
        run(value_kernel, given, dv, dy, q, k, *given.sizes, lse2, dv)
    return dq, dk, dv, None


def run(make, given, owned, *args):
    """Launch a kernel whose blocks each own WARPS strips of one head of `owned`."""
    B, H, rows, _ = owned.shape
    kernel = make(*given.variant, WARPS, tile_of(owned.shape[3], given.masked))
    launch(kernel, (blocks(rows, STRIP * WARPS), B * H), 32 * WARPS, *args, given.scale)


def in_parts(*arrays):
    """q, k, v (B, H, rows, K), or dy, in parts: a word of two numbers after the other, head after head"""
    arrays = alike(arrays)
    K = arrays[0].shape[3]
    strips = [x.shape[0] * x.shape[1] * filled(x.shape[2]) // STRIP for x in arrays]
    words = empty((sum(strips), PARTS * STRIP * K // 2), arrays[0], np.uint32)
    launch(parts_kernel(K), (sum(strips),), SQUARE // 2, *(*arrays, *arrays, *arrays)[:3], words)
    return [words[end - count : end].reshape(-1) for count, end in zip(strips, np.cumsum(strips))]


def filled(rows):
    return blocks(rows, FULL) * FULL


# ------------------------------------------------------------------------------------------------- numbers in parts


@cache
def parts_kernel(K):
    @cuda.jit
    def tensor_cores_float32_parts(q, k, v, words):
        """A block: a strip of one of these, and a thread a word of each of its squares; zeros past the end of a head"""
        parts = cuda.local.array(PARTS, uint32)
        thread = cuda.threadIdx.x
        lane, matrix = thread & 31, thread >> 5
        own, strip = q, cuda.blockIdx.x
        for other in (k, v):
            strips = own.shape[0] * own.shape[1] * up(own.shape[2]) // STRIP
            if strip >= strips:
                own, strip = other, strip - strips
        row, rows = STRIP * strip + 8 * (matrix & 1) + (lane >> 2), up(own.shape[2])
        n, i = row // rows, row % rows
        b, h = n // own.shape[1], n % own.shape[1]
        for square in range(K // 16):
            c = 16 * square + 8 * (matrix >> 1) + 2 * (lane & 3)
            there = i < own.shape[2]
            two = (own[b, h, i, c], own[b, h, i, c + 1]) if there else (float32(0), float32(0))
            take_apart(parts, 0, 1, two[0], two[1])
            for p in range(PARTS):
                words[cuda.blockIdx.x, (PARTS * square + p) * (SQUARE // 2) + thread] = parts[p]

    return tensor_cores_float32_parts


@cuda.jit(device=True, inline="always")
def up(rows):
    """What `filled` says, asked on the device"""
    return (rows + FULL - 1) // FULL * FULL


@cuda.jit(device=True, inline="always")
def take_apart(parts, w, step, a, b):
    """Two numbers: the word w has the first parts of both, and a step on, and another, are those of the others"""
    for p in range(PARTS):
        word = pack(a, b)
        parts[w + step * p] = word
        a -= low(word)
        b -= high(word)


@cuda.jit(device=True, inline="always")
def multiply_parts(large, rest, squares, a, w, b):
    """large + rest += A B, so many times 16 columns: A and B in parts, A from the word w on"""
    multiply_part(rest, squares, a, w, b, 8)
    multiply_part(rest, squares, a, w + 4, b, 4)
    multiply_part(rest, squares, a, w + 8, b, 0)
    multiply_part(rest, squares, a, w, b, 4)
    multiply_part(rest, squares, a, w + 4, b, 0)
    multiply_part(large, squares, a, w, b, 0)


@cuda.jit(device=True, inline="always")
def multiply_part(c, squares, a, w, b, first):
    for n in range(squares):
        at = 4 * PARTS * n + first
        multiply_into(c, 2 * n, a[w], a[w + 1], a[w + 2], a[w + 3], b[at], b[at + 1])
        multiply_into(c, 2 * n + 1, a[w], a[w + 1], a[w + 2], a[w + 3], b[at + 2], b[at + 3])


# ------------------------------------------------------------------------------------------------- a warp and its tiles


@cuda.jit(device=True, inline="always")
def copy_tile(memory, at, x, row, rows, K, thread, threads):
    """Begin to copy rows of x from this one on to memory[at:], as they lie, 16 bytes a thread."""
    at, there = at + 8 * thread, row * (PARTS * K // 2) + 4 * thread
    for turn in range(PARTS * K * rows // (8 * threads)):
        copy_async16(memory, at + 8 * threads * turn, x, there + 4 * threads * turn, 16)


@cuda.jit(device=True, inline="always")
def own_words(x, row, K, lane):
    """The strip that begins with this row, for a lane: every 32nd word of it is its own"""
    return x[row * (PARTS * K // 2) + lane :]


@cuda.jit(device=True, inline="always")
def keep(b, at, words):
    b[at] = words[0]
    b[at + 1] = words[1]
    b[at + 2] = words[2]
    b[at + 3] = words[3]


@cuda.jit(device=True, inline="always")
def clear(c, n):
    for i in range(n):
        for e in range(4):
            c[i, e] = float32(0)


@cuda.jit(device=True, inline="always")
def products(s, rest, own, a, b, memory, at, rows, K, lane):
    """s = X tileᵀ, a strip (`own_words`) with every row of a tile"""
    # the four matrices of a square lie column by column, and are wanted row by row
    at += 8 * (lane & 7) + 128 * ((lane >> 3) & 1) + 64 * (lane >> 4)
    clear(s, rows // 8)
    clear(rest, rows // 8)
    at_once = min(AT_ONCE, K // 16)
    for first in range(0, K // 16, at_once):
        for w in range(4 * PARTS * at_once):
            a[w] = own[uint32(32 * (4 * PARTS * first + w))]  # unsigned: it does not count from the end
        for k in range(at_once):
            for n in range(rows // 16):
                for p in range(PARTS):
                    there = at + ((n * (K // 16) + first + k) * PARTS + p) * SQUARE
                    keep(b, 4 * (PARTS * n + p), ldmatrix(memory, there))
            multiply_parts(s, rest, rows // 16, a, 4 * PARTS * k, b)
    for n in range(rows // 8):
        for e in range(4):
            s[n, e] += rest[n, e]


@cuda.jit(device=True, inline="always")
def add_rows(total, rescale, s, a, large, rest, b, memory, at, rows, K, lane):
    """total = rescale total + s tile"""
    at += 8 * lane
    for k in range(rows // 16):
        for w in range(4):
            n, e = 2 * k + (w >> 1), 2 * (w & 1)
            take_apart(a, 4 * PARTS * k + w, 4, s[n, e], s[n, e + 1])
    for c in range(K // 16):
        clear(large, 2)
        clear(rest, 2)
        for k in range(rows // 16):
            for p in range(PARTS):
                there = at + ((k * (K // 16) + c) * PARTS + p) * SQUARE
                keep(b, 4 * p, ldmatrix_transposed(memory, there))
            multiply_parts(large, rest, 1, a, 4 * PARTS * k, b)
        for n in range(2):
            for e in range(4):
                total[2 * c + n, e] = total[2 * c + n, e] * rescale[e >> 1] + (large[n, e] + rest[n, e])


@cuda.jit(device=True, inline="always")
def write_rows(out, total, h, factor, n, i, K, lane):
    """Row i of head n of all = factor total, the half h of a strip"""
    row = out[n // out.shape[1], n % out.shape[1], i]
    for c in range(K // 8):
        for e in range(2):
            row[8 * c + 2 * (lane & 3) + e] = total[c, 2 * h + e] * factor


# ------------------------------------------------------------------------------------------------------------- forward


@cache
def forward_kernel(K, causal, masked, warps, tile):
    own, threads, across, wide = STRIP * warps, 32 * warps, tile // 8, K // 8
    left, right = 4 * PARTS * min(AT_ONCE, K // 16), PARTS * tile // 4  # words of factors
    VALUES, SIZE = PARTS * tile * K, 2 * PARTS * tile * K  # behind the keys

    @cuda.jit
    def tensor_cores_float32_forward(q, k, v, mask, n_heads, R, T, S, y, lse, scale):
        """A block: 16 queries for each warp"""
        memory = cuda.shared.array(SIZE, uint16, alignment=16)
        a = cuda.local.array(left, uint32)
        b = cuda.local.array(right, uint32)
        s = cuda.local.array((across, 4), float32)
        weights = cuda.local.array(right, uint32)
        large = cuda.local.array((2, 4), float32)
        rest = cuda.local.array((across, 4), float32)
        total = cuda.local.array((wide, 4), float32)
        rescale = cuda.local.array(2, float32)
        m = cuda.local.array(2, float32)
        l = cuda.local.array(2, float32)
        thread = cuda.threadIdx.x
        lane, warp = thread & 31, thread >> 5
        first, n = cuda.blockIdx.x * own, cuda.blockIdx.y
        of_q, of_k = n * up(T), n // R * up(S)
        strip = first + STRIP * warp
        i = strip + (lane >> 2)  # this lane has rows i and i + 8
        scale2 = scale * LOG2E
        own_q = own_words(q, of_q + strip, K, lane)
        clear(total, wide)
        for h in range(2):
            m[h] = NOTHING
            l[h] = float32(0)
        seen = visible(first + own, T, S, causal)
        if seen > 0:
            copy_tile(memory, 0, k, of_k, tile, K, thread, threads)
        for j in range(0, seen, tile):
            wait_for_copies()
            cuda.syncthreads()  # the keys are there, and all are done with the values before
            copy_tile(memory, VALUES, v, of_k + j, tile, K, thread, threads)
            products(s, rest, own_q, a, b, memory, 0, tile, K, lane)
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
            wait_for_copies()
            cuda.syncthreads()  # the values are there, and all are done with the keys
            if j + tile < seen:
                copy_tile(memory, 0, k, of_k + j + tile, tile, K, thread, threads)
            add_rows(total, rescale, s, weights, large, rest, b, memory, VALUES, tile, K, lane)
        for h in range(2):
            weight = sum_of_row(l[h])
            if i + 8 * h < T:
                share = float32(1) / weight if weight > float32(0) else float32(0)
                write_rows(y, total, h, share, n, i + 8 * h, K, lane)
                if lane & 3 == 0:
                    found = m[h] * LN2 + math.log(weight) if weight > float32(0) else NOTHING
                    lse[n, i + 8 * h] = found

    return tensor_cores_float32_forward


# ------------------------------------------------------------------------------------------------------------ backward


@cache
def row_kernel(K, warps):
    @cuda.jit
    def tensor_cores_float32_rows(dy, y, lse, lse2, delta):
        """A warp: δ = Σ_K dy y of one row, and lse as an exponent of 2; +∞ where it is -∞, so that weights are 0"""
        lane = cuda.threadIdx.x & 31
        i, n = cuda.blockIdx.x * warps + (cuda.threadIdx.x >> 5), cuda.blockIdx.y
        b, h = n // y.shape[1], n % y.shape[1]
        total, found = float32(0), NOTHING
        if i < lse.shape[1]:
            found = lse[n, i]
            for c in range(lane, K, 32):
                total += dy[b, h, i, c] * y[b, h, i, c]
            for e in range(5):
                total += cuda.shfl_xor_sync(0xFFFFFFFF, total, 1 << e)
        if lane == 0:
            row = n * up(lse.shape[1]) + i
            delta[row] = total
            lse2[row] = found * LOG2E if found > NOTHING else EVERYTHING

    return tensor_cores_float32_rows


@cache
def query_kernel(K, causal, masked, warps, tile):
    own, threads, across, wide = STRIP * warps, 32 * warps, tile // 8, K // 8
    left, right = 4 * PARTS * min(AT_ONCE, K // 16), PARTS * tile // 4  # words of factors
    VALUES, SIZE = PARTS * tile * K, 2 * PARTS * tile * K  # behind the keys

    @cuda.jit
    def tensor_cores_float32_query_gradients(dy, q, k, v, mask, n_heads, R, T, S, lse2, delta, dq, scale):
        """A block: the dq of 16 queries for each warp, past which the keys go"""
        memory = cuda.shared.array(SIZE, uint16, alignment=16)
        a = cuda.local.array(left, uint32)
        b = cuda.local.array(right, uint32)
        s = cuda.local.array((across, 4), float32)
        dw = cuda.local.array((across, 4), float32)
        ds = cuda.local.array(right, uint32)
        large = cuda.local.array((2, 4), float32)
        rest = cuda.local.array((across, 4), float32)
        total = cuda.local.array((wide, 4), float32)
        rescale = cuda.local.array(2, float32)
        own_lse = cuda.local.array(2, float32)
        own_delta = cuda.local.array(2, float32)
        thread = cuda.threadIdx.x
        lane, warp = thread & 31, thread >> 5
        first, n = cuda.blockIdx.x * own, cuda.blockIdx.y
        of_q, of_k = n * up(T), n // R * up(S)
        strip = first + STRIP * warp
        i = strip + (lane >> 2)
        scale2 = scale * LOG2E
        own_q, own_dy = own_words(q, of_q + strip, K, lane), own_words(dy, of_q + strip, K, lane)
        clear(total, wide)
        for h in range(2):
            own_lse[h] = lse2[of_q + i + 8 * h]
            own_delta[h] = delta[of_q + i + 8 * h]
            rescale[h] = float32(1)
        seen = visible(first + own, T, S, causal)
        if seen > 0:
            copy_tile(memory, VALUES, v, of_k, tile, K, thread, threads)
        for j in range(0, seen, tile):
            wait_for_copies()
            cuda.syncthreads()
            copy_tile(memory, 0, k, of_k + j, tile, K, thread, threads)
            products(dw, rest, own_dy, a, b, memory, VALUES, tile, K, lane)
            wait_for_copies()
            cuda.syncthreads()
            if j + tile < seen:
                copy_tile(memory, VALUES, v, of_k + j + tile, tile, K, thread, threads)
            products(s, rest, own_q, a, b, memory, 0, tile, K, lane)
            for c in range(across):
                for e in range(4):
                    s[c, e] = exp2(s[c, e] * scale2 - own_lse[e >> 1])
            if masked or j + tile > S or (causal and j + tile > strip + 1 + S - T):
                hide_keys(s, float32(0), mask, n_heads, n, i, j, T, S, across, causal, masked, lane)
            for c in range(across):
                for e in range(4):
                    s[c, e] *= dw[c, e] - own_delta[e >> 1]  # w = softmax(s)
            add_rows(total, rescale, s, ds, large, rest, b, memory, 0, tile, K, lane)  # s = q kᵀ / √K
        for h in range(2):
            if i + 8 * h < T:
                write_rows(dq, total, h, scale, n, i + 8 * h, K, lane)

    return tensor_cores_float32_query_gradients


@cache
def key_kernel(with_values, K, causal, masked, warps, tile):
    own, threads, across, wide = STRIP * warps, 32 * warps, tile // 8, K // 8
    left, right = 4 * PARTS * min(AT_ONCE, K // 16), PARTS * tile // 4  # words of factors
    DYS, SIZE = PARTS * tile * K, 2 * PARTS * tile * K  # behind the queries
    wide_value = wide if with_values else 1

    @cuda.jit
    def tensor_cores_float32_key_gradients(dy, q, k, v, mask, n_heads, R, T, S, lse2, delta, dk, dv, scale):
        """A block: dk, and perhaps dv, of 16 keys for each warp, past which go the queries of all heads they have"""
        memory = cuda.shared.array(SIZE, uint16, alignment=16)
        a = cuda.local.array(left, uint32)
        b = cuda.local.array(right, uint32)
        s = cuda.local.array((across, 4), float32)
        dw = cuda.local.array((across, 4), float32)
        weights = cuda.local.array(right, uint32)
        large = cuda.local.array((2, 4), float32)
        rest = cuda.local.array((across, 4), float32)
        for_key = cuda.local.array((wide, 4), float32)
        for_value = cuda.local.array((wide_value, 4), float32)
        rescale = cuda.local.array(2, float32)
        thread = cuda.threadIdx.x
        lane, warp = thread & 31, thread >> 5
        first, g = cuda.blockIdx.x * own, cuda.blockIdx.y
        strip = first + STRIP * warp
        j = strip + (lane >> 2)  # this lane has keys j and j + 8
        scale2 = scale * LOG2E
        own_k, own_v = own_words(k, g * up(S) + strip, K, lane), own_words(v, g * up(S) + strip, K, lane)
        clear(for_key, wide)
        clear(for_value, wide_value)
        rescale[0] = rescale[1] = float32(1)
        begin = max(first + T - S, 0) // tile * tile if causal else 0
        for n in range(g * R, (g + 1) * R):
            of_q = n * up(T)
            if begin < T:
                copy_tile(memory, DYS, dy, of_q + begin, tile, K, thread, threads)
            for i in range(begin, T, tile):
                wait_for_copies()
                cuda.syncthreads()
                copy_tile(memory, 0, q, of_q + i, tile, K, thread, threads)
                products(dw, rest, own_v, a, b, memory, DYS, tile, K, lane)
                wait_for_copies()
                cuda.syncthreads()
                products(s, rest, own_k, a, b, memory, 0, tile, K, lane)
                for c in range(across):
                    its_lse = load2(lse2, of_q + i + 8 * c + 2 * (lane & 3))
                    for e in range(4):
                        s[c, e] = exp2(s[c, e] * scale2 - its_lse[e & 1])
                if masked or (causal and i + S - T < strip + STRIP - 1):
                    hide_from_queries(s, mask, n_heads, n, i, j, T, S, across, causal, masked, lane)
                if with_values:
                    add_rows(for_value, rescale, s, weights, large, rest, b, memory, DYS, tile, K, lane)  # y = w v
                    cuda.syncthreads()  # all are done with dy
                if i + tile < T:
                    copy_tile(memory, DYS, dy, of_q + i + tile, tile, K, thread, threads)
                for c in range(across):
                    its_delta = load2(delta, of_q + i + 8 * c + 2 * (lane & 3))
                    for e in range(4):
                        s[c, e] *= dw[c, e] - its_delta[e & 1]  # w = softmax(s)
                add_rows(for_key, rescale, s, weights, large, rest, b, memory, 0, tile, K, lane)  # s = q kᵀ / √K
        for h in range(2):
            if j + 8 * h < S:
                write_rows(dk, for_key, h, scale, g, j + 8 * h, K, lane)
                if with_values:
                    write_rows(dv, for_value, h, float32(1), g, j + 8 * h, K, lane)

    return tensor_cores_float32_key_gradients


@cache
def value_kernel(K, causal, masked, warps, tile):
    own, threads, across, wide = STRIP * warps, 32 * warps, tile // 8, K // 8
    left, right = 4 * PARTS * min(AT_ONCE, K // 16), PARTS * tile // 4  # words of factors
    DYS, SIZE = PARTS * tile * K, 2 * PARTS * tile * K  # behind the queries

    @cuda.jit
    def tensor_cores_float32_value_gradients(dy, q, k, mask, n_heads, R, T, S, lse2, dv, scale):
        """A block: the dv of 16 keys for each warp, where it does not come with dk"""
        memory = cuda.shared.array(SIZE, uint16, alignment=16)
        a = cuda.local.array(left, uint32)
        b = cuda.local.array(right, uint32)
        s = cuda.local.array((across, 4), float32)
        weights = cuda.local.array(right, uint32)
        large = cuda.local.array((2, 4), float32)
        rest = cuda.local.array((across, 4), float32)
        total = cuda.local.array((wide, 4), float32)
        rescale = cuda.local.array(2, float32)
        thread = cuda.threadIdx.x
        lane, warp = thread & 31, thread >> 5
        first, g = cuda.blockIdx.x * own, cuda.blockIdx.y
        strip = first + STRIP * warp
        j = strip + (lane >> 2)
        scale2 = scale * LOG2E
        own_k = own_words(k, g * up(S) + strip, K, lane)
        clear(total, wide)
        rescale[0] = rescale[1] = float32(1)
        begin = max(first + T - S, 0) // tile * tile if causal else 0
        for n in range(g * R, (g + 1) * R):
            of_q = n * up(T)
            if begin < T:
                copy_tile(memory, 0, q, of_q + begin, tile, K, thread, threads)
            for i in range(begin, T, tile):
                wait_for_copies()
                cuda.syncthreads()
                copy_tile(memory, DYS, dy, of_q + i, tile, K, thread, threads)
                products(s, rest, own_k, a, b, memory, 0, tile, K, lane)
                for c in range(across):
                    its_lse = load2(lse2, of_q + i + 8 * c + 2 * (lane & 3))
                    for e in range(4):
                        s[c, e] = exp2(s[c, e] * scale2 - its_lse[e & 1])
                if masked or (causal and i + S - T < strip + STRIP - 1):
                    hide_from_queries(s, mask, n_heads, n, i, j, T, S, across, causal, masked, lane)
                wait_for_copies()
                cuda.syncthreads()
                if i + tile < T:
                    copy_tile(memory, 0, q, of_q + i + tile, tile, K, thread, threads)
                add_rows(total, rescale, s, weights, large, rest, b, memory, DYS, tile, K, lane)  # y = w v
        for h in range(2):
            if j + 8 * h < S:
                write_rows(dv, total, h, float32(1), g, j + 8 * h, K, lane)

    return tensor_cores_float32_value_gradients
