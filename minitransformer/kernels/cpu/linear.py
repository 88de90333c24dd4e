"""The linear map as a kernel: the products are NumPy's BLAS's, and one pass adds the bias, or sums its gradient.

Products of a linear map are large, and there BLAS is as fast as tiles of our own (tile.py) are, which attention has for
its small ones. It is slow where there are few rows, as when texts are written token by token: those have a product of
their own (few_rows.py), by all cores (board.py).

forward     y_ne = Σ_d W_ed x_nd + b_e        for every e

backward    dx = dy W        dW = dyᵀ x        db = Σ dy
"""

import numpy as np

from ... import ops
from .arrays import rows
from .board import board
from .compiled import compiled
from .few_rows import FEW


def linear(p, x):
    x_rows, weight, bias = rows(x), p["weight"], p.get("bias")
    bias = np.empty(0, x.dtype) if bias is None else np.ascontiguousarray(bias)
    if 0 < len(x_rows) <= FEW and weight.flags.c_contiguous:
        y = np.empty((len(x_rows), len(weight)), x.dtype)
        board.multiply(weight, bias, x_rows, y)
    else:
        y = x_rows @ weight.T
        if bias.size:
            add_to_rows(y, bias)
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


ops.linear.implement("cpu", linear, linear_backward)
