"""The linear map as a kernel: a matrix product of BLAS's, or, of a few rows, one pass over the weights.

With many rows the map is a matrix product, and NumPy's BLAS does it. (Numba's products are SciPy's BLAS; two of them
at work in turn drive each other's packed matrices out of the cache.) Kernels add the bias and sum its gradient, in the
order of the rows.

With one row there is a multiplication for every weight and nothing to use it twice for, so memory sets the pace: each
row of W is read once, from its beginning to its end, and several workers read several rows. A row of y is one worker's
alone, so that it does not matter how many there are.

forward     y_ne = Σ_d W_ed x_nd + b_e        for every e

backward    dx = dy W        dW = dyᵀ x        db = Σ dy
"""

import numpy as np

from ... import ops
from ...threads import helping, spread
from .arrays import rows
from .compiled import compiled

FEW = 8  # rows
LARGE = 1 << 20  # bytes of W that are worth another worker's start


def linear(p, x):
    weight, bias, x_rows = p["weight"], p.get("bias"), rows(x)
    y = np.empty((len(x_rows), len(weight)), x.dtype)
    if len(x_rows) > FEW or not weight.flags.c_contiguous:
        np.matmul(x_rows, weight.T, out=y)
    elif weight.nbytes <= LARGE or helping() == 1:
        read(weight, x_rows, y)
    else:
        parts = zip(np.array_split(weight, helping()), np.array_split(y, helping(), axis=1), strict=True)
        spread(lambda part: read(part[0], x_rows, part[1]), parts)
    if bias is not None:
        add_to_rows(y, np.ascontiguousarray(bias))
    return y.reshape(*x.shape[:-1], y.shape[-1]), (x, p)


def linear_backward(dy, saved):
    x, p = saved
    x_rows, dy_rows = rows(x), rows(dy)
    g = {"weight": dy_rows.T @ x_rows}
    if p.get("bias") is not None:
        g["bias"] = np.zeros(len(p["weight"]), x.dtype)
        sum_of_rows(dy_rows, g["bias"])
    return (dy_rows @ p["weight"]).reshape(x.shape), g


@compiled
def add_to_rows(y, bias):
    for n in range(y.shape[0]):
        for e in range(y.shape[1]):
            y[n, e] += bias[e]


@compiled
def sum_of_rows(dy, dbias):
    for n in range(dy.shape[0]):
        for e in range(dy.shape[1]):
            dbias[e] += dy[n, e]


@compiled(sums=True)
def read(weight, x, y):
    for e in range(len(weight)):
        for n in range(len(x)):
            total = x.dtype.type(0)
            for d in range(weight.shape[1]):
                total += weight[e, d] * x[n, d]
            y[n, e] = total


ops.linear.implement("cpu", linear, linear_backward)
