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
    y = empty((*x.shape[:-1], len(weight)), x)
    product(rows(x), contiguous(weight), rows(y), turn_b=True)
    if bias is not None:
        y_rows = rows(y)
        launch(add_to_rows, len(y_rows), THREADS, y_rows, contiguous(bias))
    return y, (x, p)


def linear_backward(dy, saved):
    x, p = saved
    check_place(dy=dy)
    dx, dweight, x_rows, dy_rows = empty(x.shape, x), empty(p["weight"].shape, x), rows(x), rows(dy)
    product(dy_rows, contiguous(p["weight"]), rows(dx))
    product(dy_rows, x_rows, dweight, turn_a=True)
    g = {"weight": dweight}
    if p.get("bias") is not None:
        g["bias"] = column_sums(dy_rows)
    return dx, g


@kernel
def add_to_rows(y, bias):
    """A block to a row"""
    for i in range(cuda.threadIdx.x, y.shape[1], THREADS):
        y[cuda.blockIdx.x, i] += bias[i]


ops.linear.implement("cuda", linear, linear_backward)
