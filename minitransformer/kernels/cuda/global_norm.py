"""The length of a gradient on the device: every leaf is read once, each block leaves a number, and those are added up.

All blocks of all leaves write into one array, so that the host waits once, at the end, and not for every leaf.
"""

import math

import numpy as np

from ... import ops
from ...trees import leaves
from .arrays import check_place, empty, flat
from .device import THREADS, WARPS, cuda, elements, kernel, launch
from .reduce import block_sum


def global_norm(g):
    total = 0.0
    for named in by_dtype(leaves(g)):
        check_place(**named)
        parts, blocks = [flat(leaf) for leaf in named.values()], [elements(leaf.size) for leaf in named.values()]
        sums, begin = empty(sum(blocks), parts[0]), 0
        for part, n in zip(parts, blocks, strict=True):
            launch(sum_of_squares, n, THREADS, part, begin, sums)
            begin += n
        total += float(sums.sum(dtype=np.float64))
    return math.sqrt(total)


def by_dtype(named):
    """[{path: leaf}, ...], a dict for each precision among them"""
    found = {}
    for path, leaf in named:
        found.setdefault(leaf.dtype, {})[path] = leaf
    return found.values()


@kernel
def sum_of_squares(g, begin, sums):
    """sums[begin + block] = Σ g² over what this block goes over"""
    of_warps = cuda.shared.array(WARPS, g.dtype)
    total = g.dtype.type(0)
    for i in range(cuda.grid(1), g.size, cuda.gridsize(1)):
        total += g[i] * g[i]
    total = block_sum(total, of_warps)
    if cuda.threadIdx.x == 0:
        sums[begin + cuda.blockIdx.x] = total


ops.global_norm.implement("cuda", global_norm, None)
