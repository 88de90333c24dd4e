"""The linear map on the device: the products are cuBLAS's (products.py); one pass adds the bias.

forward     y_ne = Σ_d W_ed x_nd + b_e        for every e

backward    dx = dy W        dW = dyᵀ x        db = Σ dy
"""

from ... import ops
from .arrays import check_place, contiguous, empty, rows
from .device import THREADS, cuda, kernel, launch
from .products import column_sums, product


def linear(p, x):
    weight, bias = p["weight"], p.get("bias")
    check_place(x=x, weight=weight, bias=bias)
    x_rows = rows(x)
    y = empty((len(x_rows), len(weight)), x)
    product(x_rows, contiguous(weight), y, turn_b=True)
    if bias is not None:
        launch(add_to_rows, len(y), THREADS, y, contiguous(bias))
    return y.reshape(*x.shape[:-1], len(weight)), (p, x_rows, x.shape)


def linear_backward(dy, saved):
    p, x_rows, shape = saved
    check_place(dy=dy)
    dy_rows, weight = rows(dy), contiguous(p["weight"])
    dx, g = empty(x_rows.shape, dy), {"weight": empty(weight.shape, dy)}
    product(dy_rows, weight, dx)
    product(dy_rows, x_rows, g["weight"], turn_a=True)
    if p.get("bias") is not None:
        g["bias"] = column_sums(dy_rows)
    return dx.reshape(shape), g


@kernel
def add_to_rows(y, bias):
    """A block to a row"""
    for i in range(cuda.threadIdx.x, y.shape[1], THREADS):
        y[cuda.blockIdx.x, i] += bias[i]


ops.linear.implement("cuda", linear, linear_backward)
