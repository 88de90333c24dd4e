"""The length of a gradient on the device: every leaf is read once, each block leaves a number, and those are added up.

All blocks of all leaves write into one array, so that the host waits once, at the end, and not for every leaf.
"""

import math

import numpy as np

from ... import ops
from ...convention import KERNEL_DTYPES
from ...trees import leaves
from .arrays import check_leaves, contiguous, empty
from .device import THREADS, WARPS, cuda, kernel
from .many import ADDRESSES, BEGIN, CHUNK, SIZE, array_at, by_dtype, launch_chunks, leaf_of, n_chunks
from .reduce import block_sum


def global_norm(g):
    each = [leaf for _, leaf in leaves(g)]
    check_leaves(g=each)
    total = squares_of(each)
    if math.isinf(total):  # what float32 has may have a square that it has not: once more, leaf by leaf
        total = sum(squares_of([leaf.astype(np.float64)]) for leaf in each)
    return math.sqrt(total)


def squares_of(each):
    total = 0.0
    for _, (parts,) in by_dtype([contiguous(in_double(leaf)) for leaf in each]):
        sums = empty(n_chunks(parts), parts[0])
        launch_chunks(sum_of_squares, [parts], sums)
        total += float(sums.sum(dtype=np.float64))
    return total


def in_double(leaf):
    return leaf if leaf.dtype in KERNEL_DTYPES else leaf.astype(np.float64)


@kernel
def sum_of_squares(table, like, sums):
    """sums[chunk] = Σ g² over a chunk"""
    of_warps = cuda.shared.array(WARPS, like.dtype)
    row = leaf_of(cuda.blockIdx.x, table)
    g = array_at(table[row, ADDRESSES], table[row, SIZE], like)
    begin = (cuda.blockIdx.x - table[row, BEGIN]) * CHUNK
    total = like.dtype.type(0)
    for i in range(begin + cuda.threadIdx.x, min(begin + CHUNK, g.size), THREADS):
        total += g[i] * g[i]
    total = block_sum(total, of_warps)
    if cuda.threadIdx.x == 0:
        sums[cuda.blockIdx.x] = total


ops.global_norm.implement("cuda", global_norm, None)
