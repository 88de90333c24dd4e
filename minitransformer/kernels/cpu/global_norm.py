"""The length of a gradient as a kernel: every leaf is read once, and no square of it is stored."""

import math

import numpy as np

from ... import ops
from ...convention import KERNEL_DTYPES
from ...threads import spread
from ...trees import leaves, n_bytes
from .arrays import flat
from .compiled import compiled


def global_norm(g):
    named = leaves(g)
    return math.sqrt(sum(spread(lambda leaf: sum_of_squares(flat(in_double(leaf[1]))), named, n_bytes(named))))


def in_double(leaf):
    return leaf if leaf.dtype in KERNEL_DTYPES else leaf.astype(np.float64)


@compiled(sums=True)
def sum_of_squares(g):
    total = 0.0
    for i in range(g.size):
        total += np.float64(g[i]) * np.float64(g[i])
    return total


ops.global_norm.implement("cpu", global_norm, None)
