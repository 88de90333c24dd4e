"""Whether a warp holds matrices as the simulator's twins say that it does: asked of the device, number by number.

The kernels here are run by both. In the simulator they show that the twins agree with what the docstring of
kernels/cuda/attention/warp.py says; on a device, that the device does.
"""

import numpy as np
from numba import uint16

from minitransformer.kernels.cuda.arrays import to_device, to_host
from minitransformer.kernels.cuda.attention.bfloat16 import from_bfloat16, to_bfloat16
from minitransformer.kernels.cuda.attention.warp import ldmatrix, ldmatrix_transposed, mma
from minitransformer.kernels.cuda.device import cuda, kernel

LANES = 32
SIXTEEN = np.uint32(16)


@kernel
def product(a, b, c):
    """c (16, 8) = a (16, 16) b (16, 8): each lane loads and stores what is said to be its own."""
    lane = cuda.threadIdx.x
    g, t = lane // 4, 2 * (lane % 4)
    a0 = np.uint32(a[g, t]) | np.uint32(a[g, t + 1]) << SIXTEEN
    a1 = np.uint32(a[g + 8, t]) | np.uint32(a[g + 8, t + 1]) << SIXTEEN
    a2 = np.uint32(a[g, t + 8]) | np.uint32(a[g, t + 9]) << SIXTEEN
    a3 = np.uint32(a[g + 8, t + 8]) | np.uint32(a[g + 8, t + 9]) << SIXTEEN
    b0 = np.uint32(b[t, g]) | np.uint32(b[t + 1, g]) << SIXTEEN
    b1 = np.uint32(b[t + 8, g]) | np.uint32(b[t + 9, g]) << SIXTEEN
    zero = np.float32(0)
    c0, c1, c2, c3 = mma(a0, a1, a2, a3, b0, b1, zero, zero, zero, zero)
    c[g, t], c[g, t + 1], c[g + 8, t], c[g + 8, t + 1] = c0, c1, c2, c3


@kernel
def read(x, straight, turned):
    """What each lane has after ldmatrix of four 8 × 8 matrices x (4, 8, 8): (32, 4) words, and of the transposes."""
    m = cuda.shared.array(256, uint16, alignment=16)
    lane = cuda.threadIdx.x
    for i in range(lane, 256, 32):
        m[i] = x[i // 64, i // 8 % 8, i % 8]
    cuda.syncthreads()
    w0, w1, w2, w3 = ldmatrix(m, lane * 8)
    straight[lane, 0], straight[lane, 1], straight[lane, 2], straight[lane, 3] = w0, w1, w2, w3
    w0, w1, w2, w3 = ldmatrix_transposed(m, lane * 8)
    turned[lane, 0], turned[lane, 1], turned[lane, 2], turned[lane, 3] = w0, w1, w2, w3


def check_fragments(seed=0):
    """{what: None, or what is wrong}"""
    rng = np.random.default_rng(seed)
    a, b = (to_bfloat16(rng.integers(-8, 9, shape).astype(np.float32)) for shape in ((16, 16), (16, 8)))
    c = to_device(np.full((16, 8), np.nan, np.float32))
    product[1, LANES](to_device(a), to_device(b), c)
    exact = from_bfloat16(a) @ from_bfloat16(b)  # of small integers: exact in float32
    x = rng.integers(0, 2**16, (4, 8, 8)).astype(np.uint16)
    straight, turned = (to_device(np.zeros((LANES, 4), np.uint32)) for _ in range(2))
    read[1, LANES](to_device(x), straight, turned)
    found = {"mma": (to_host(c), exact)}
    found["ldmatrix"] = to_host(straight), words_of(x)
    found["ldmatrix, transposed"] = to_host(turned), words_of(x.swapaxes(1, 2))
    return {what: None if np.array_equal(*pair) else "other numbers, or in other lanes" for what, pair in found.items()}


def words_of(x):
    """x (4, 8, 8)   ->   (32, 4): of each matrix, a lane has row lane // 4, columns 2 (lane % 4) and one more"""
    lane = np.arange(LANES)
    low, high = x[:, lane // 4, 2 * (lane % 4)], x[:, lane // 4, 2 * (lane % 4) + 1]
    return (low.astype(np.uint32) | high.astype(np.uint32) << 16).T
