"""The linear map of a few rows as a kernel, for decoding: every weight is read once for all of them.

With many rows the map is a matrix product, and BLAS's. With one there is a multiplication for every weight and nothing
to use it twice for, so memory sets the pace: each row of W is read once, from its beginning to its end, and several
workers read several rows. A row of y is one worker's alone, so that it does not matter how many there are.

forward     y_ne = Σ_d W_ed x_nd + b_e        for every e, for the few n

backward    that of the reference
"""

import numpy as np

from ... import ops
from ...ops.linear import rows
from ...threads import helping, spread
from .compiled import compiled

FEW = 8  # rows
LARGE = 1 << 20  # bytes of W that are worth another worker's start

reference_forward, reference_backward = ops.linear.implementations["reference"]


def linear(p, x):
    x_rows, weight = rows(x), p["weight"]
    if not 0 < len(x_rows) <= FEW or not weight.flags.c_contiguous:
        return reference_forward(p, x)
    y, x_rows = np.empty((len(x_rows), len(weight)), x.dtype), np.ascontiguousarray(x_rows)
    if weight.nbytes <= LARGE or helping() == 1:
        read(weight, x_rows, y)
    else:
        parts = zip(np.array_split(weight, helping()), np.array_split(y, helping(), axis=1), strict=True)
        spread(lambda part: read(part[0], x_rows, part[1]), parts)
    if p.get("bias") is not None:
        y += p["bias"]
    return y.reshape(*x.shape[:-1], y.shape[-1]), (x, p)


@compiled(sums=True)
def read(weight, x, y):
    for e in range(len(weight)):
        for n in range(len(x)):
            total = x.dtype.type(0)
            for d in range(weight.shape[1]):
                total += weight[e, d] * x[n, d]
            y[n, e] = total


ops.linear.implement("cpu", linear, reference_backward)
