"""The linear map as a kernel: the products are NumPy's BLAS's, and one pass adds the bias, or sums its gradient.

Products of a linear map are large, and there BLAS is as fast as tiles of our own (tile.py) are, which attention has for
its small ones. Nor is there anything to win where there is one row, while a text is written token by token: then every
weight is read for one multiplication, memory sets the pace, and BLAS keeps it.

forward     y_ne = Σ_d W_ed x_nd + b_e        for every e

backward    dx = dy W        dW = dyᵀ x        db = Σ dy
"""

import numpy as np

from ... import ops
from .arrays import rows
from .compiled import compiled


def linear(p, x):
    y = rows(x) @ p["weight"].T
    if p.get("bias") is not None:
        add_to_rows(y, np.ascontiguousarray(p["bias"]))
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
