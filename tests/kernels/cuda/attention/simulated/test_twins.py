"""The simulator and the twins of a warp's instructions, on their own."""

import os

import numpy as np
import pytest
from numba import cuda, float32, uint16

from minitransformer.kernels.cuda.attention import simulator
from minitransformer.kernels.cuda.attention.bfloat16 import from_bfloat16, to_bfloat16
from minitransformer.kernels.cuda.attention.tensor_cores_float32 import take_apart
from minitransformer.kernels.cuda.attention.warp import (
    copy_async16,
    high,
    ldmatrix,
    ldmatrix_transposed,
    load2,
    load_shared2,
    load_shared4,
    low,
    mma,
    pack,
    wait_for_copies,
)

CORES = sorted(os.sched_getaffinity(0))  # before anything is simulated


def test_a_product_of_a_warp():
    """ldmatrix brings A, and B from its rows or from its columns; mma multiplies; all as warp.py says."""
    rng = np.random.default_rng(0)
    a, b, c = (rng.integers(-8, 8, size).astype(np.float32) for size in ((16, 16), (16, 16), (16, 8)))

    @cuda.jit
    def kernel(a, b_rows, b_columns, c, found):
        m = cuda.shared.array(768, uint16, alignment=16)
        lane = cuda.threadIdx.x
        for e in range(lane, 256, 32):
            m[e], m[256 + e], m[512 + e] = a[e], b_rows[e], b_columns[e]
        cuda.syncwarp()
        left = ldmatrix(m, (lane & 15) * 16 + 8 * (lane >> 4))
        turned = ldmatrix_transposed(m, 256 + (lane & 15) * 16 + 8 * (lane >> 4))
        right = ldmatrix(m, 512 + ((lane & 7) + 8 * (lane >> 4)) * 16 + 8 * ((lane >> 3) & 1))
        g, t = lane >> 2, 2 * (lane & 3)
        for which in range(2):
            factor = turned if which == 0 else right
            d = mma(*left, factor[0], factor[1], c[g, t], c[g, t + 1], c[g + 8, t], c[g + 8, t + 1])
            found[which, g, t], found[which, g, t + 1] = d[0], d[1]
            found[which, g + 8, t], found[which, g + 8, t + 1] = d[2], d[3]

    found = np.full((2, 16, 8), np.nan, np.float32)
    bits = [to_bfloat16(x).ravel() for x in (a, b, np.ascontiguousarray(b.T))]
    kernel[1, 32](*bits, c, found)
    assert np.array_equal(found[0], a @ b[:, :8] + c)
    assert np.array_equal(found[1], a @ b[:, :8] + c)


def test_three_parts_are_the_number():
    """Eight bytes in, taken apart into two words of each part, and put together again: to the last bit"""
    rng = np.random.default_rng(0)
    x = (rng.standard_normal(8) * 2.0 ** rng.integers(-90, 100, 8)).astype(np.float32)
    x[:3] = 1 + 2.0**-23, 2 - 2.0**-23, -1 / 3

    @cuda.jit
    def kernel(x, found):
        parts = cuda.local.array(6, np.uint32)  # the words of part p: p and p + 3
        for i in range(0, 8, 4):
            one, two = load2(x, i), load2(x, i + 2)
            take_apart(parts, 0, 1, one[0], one[1])
            take_apart(parts, 3, 1, two[0], two[1])
            for p in range(3):
                found[p, i // 2], found[p, i // 2 + 1] = parts[p], parts[p + 3]

    found = np.zeros((3, 4), np.uint32)
    kernel[1, 1](x, found)
    parts = from_bfloat16(found.view(np.uint16))
    assert np.array_equal(parts[0] + (parts[1] + parts[2]), x)
    assert np.array_equal(found[0].view(np.uint16), to_bfloat16(x))
    assert not np.array_equal(parts[0] + parts[1], x)


@pytest.mark.parametrize("at", [1, 2, 3])
def test_eight_bytes_begin_at_a_multiple_of_eight(at):
    @cuda.jit
    def in_global(x, at):
        load2(x, at)

    @cuda.jit
    def in_shared(x, at):
        m = cuda.shared.array(8, float32, alignment=16)
        load_shared2(m, at)

    for kernel in (in_global, in_shared):
        if at % 2:
            with pytest.raises(ValueError, match="not at a multiple of 8 bytes"):
                kernel[1, 1](np.zeros(8, np.float32), at)
        else:
            kernel[1, 1](np.zeros(8, np.float32), at)


def test_threads_that_take_turns_stay_on_one_core():
    """A core that waits for its turn sleeps, and wakes late: on several, a kernel takes four times as long."""
    seen = []

    @cuda.jit
    def kernel(fail):
        seen.append(sorted(os.sched_getaffinity(0)))
        if fail[0]:
            raise ValueError("in a kernel")

    kernel[2, 3](np.zeros(1, np.int64))
    with pytest.raises(ValueError, match="in a kernel"):
        kernel[1, 1](np.ones(1, np.int64))
    assert len(seen) == 7 and all(here == seen[0] and len(here) == 1 and here[0] in CORES for here in seen)
    assert sorted(os.sched_getaffinity(0)) == CORES


def test_a_copy_is_there_when_it_has_been_waited_for():
    @cuda.jit
    def kernel(x, found):
        m = cuda.shared.array(8, float32, alignment=16)
        copy_async16(m, 0, x, 4, 16)
        copy_async16(m, 4, x, 0, 0)
        found[0] = m[0]
        wait_for_copies()
        for i in range(8):
            found[1 + i] = m[i]

    found = np.zeros(9, np.float32)
    kernel[1, 1](np.arange(8, dtype=np.float32), found)
    assert np.isnan(found[0]) and np.array_equal(found[1:], [4, 5, 6, 7, 0, 0, 0, 0])


def test_what_is_not_aligned_is_refused():
    @cuda.jit
    def kernel(found):
        m = cuda.shared.array(8, float32, alignment=16)
        found[0] = load_shared4(m, 2)[0]

    with pytest.raises(ValueError, match="16 bytes from element 2"):
        kernel[1, 1](np.zeros(1, np.float32))


def test_a_warp_exchanges_numbers():
    @cuda.jit
    def kernel(found):
        x = float32(cuda.threadIdx.x)
        for e in range(5):
            x += cuda.shfl_xor_sync(0xFFFFFFFF, x, 1 << e)
        found[cuda.threadIdx.x] = x

    found = np.zeros(32, np.float32)
    kernel[1, 32](found)
    assert (found == 496).all()


def test_a_missing_barrier_shows_whatever_the_order():
    def make(barrier):
        @cuda.jit
        def kernel(found):
            m = cuda.shared.array(8, float32)
            i = cuda.threadIdx.x
            m[i] = i
            if barrier:
                cuda.syncthreads()
            found[i] = m[7 - i]

        return kernel

    for number in range(10):
        with simulator.seed(number):
            found = {barrier: np.zeros(8, np.float32) for barrier in (True, False)}
            for barrier, array in found.items():
                make(barrier)[1, 8](array)
        assert np.array_equal(found[True], np.arange(7, -1, -1))
        assert np.isnan(found[False]).any()


def test_a_barrier_that_not_all_reach_is_an_error():
    @cuda.jit
    def kernel(x):
        if cuda.threadIdx.x < 16:
            cuda.syncwarp()
        else:
            cuda.syncthreads()

    with pytest.raises(RuntimeError, match="wait for others that will not come"):
        kernel[1, 32](np.zeros(1))


def test_rounding_to_bfloat16():
    x = np.array([1, 1 + 2**-8, 1 + 3 * 2**-8, -np.inf, 3.0e38, 1e-40, np.nan], np.float32)
    exact = [1, 1, 1 + 2**-6, -np.inf]  # ties go to the even one
    assert np.array_equal(from_bfloat16(to_bfloat16(x))[:4], exact)
    assert np.isnan(from_bfloat16(to_bfloat16(x))[-1])
    rng = np.random.default_rng(0)
    numbers = rng.normal(size=1000).astype(np.float32)
    assert (abs(from_bfloat16(to_bfloat16(numbers)) - numbers) <= 2.0**-8 * abs(numbers)).all()
    word = pack(np.float32(1.5), np.float32(-2))
    assert (low(word), high(word)) == (1.5, -2)
