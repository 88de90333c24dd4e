"""Root-mean-square normalisation as a kernel: a row at a time, while it is in the nearest cache.

forward     y = γ x r                     r = 1 / √(mean(x²) + ε), which is kept, one number a row

backward    dx = r (dx̂ - x̂ mean(dx̂ x̂))   x̂ = x r        dx̂ = dy γ
            dγ += dy x̂                    row after row
"""

import numpy as np

from ... import ops
from .arrays import rows
from .compiled import compiled


def rms_norm(p, x, *, eps=1e-6):
    y, x_rows = np.empty(x.shape, x.dtype), rows(x)
    rstd = np.empty(len(x_rows), x.dtype)
    forward(x_rows, p["weight"], eps, rows(y), rstd)
    return y, (x, p["weight"], rstd)


def rms_norm_backward(dy, saved):
    x, weight, rstd = saved
    dx, g = np.empty(x.shape, x.dtype), {"weight": np.zeros_like(weight)}
    backward(rows(dy), rows(x), weight, rstd, rows(dx), g["weight"])
    return dx, g


@compiled(sums=True)
def forward(x, weight, eps, y, rstd):
    one = x.dtype.type
    N, D = x.shape
    for n in range(N):
        total = one(0)
        for i in range(D):
            total += x[n, i] * x[n, i]
        rstd[n] = one(1) / np.sqrt(total / one(D) + one(eps))
        for i in range(D):
            y[n, i] = weight[i] * (x[n, i] * rstd[n])


@compiled(sums=True)
def backward(dy, x, weight, rstd, dx, dweight):
    one = x.dtype.type
    N, D = x.shape
    for n in range(N):
        r, through_square = rstd[n], one(0)
        for i in range(D):
            xhat = x[n, i] * r
            through_square += dy[n, i] * weight[i] * xhat
            dweight[i] += dy[n, i] * xhat
        through_square /= one(D)
        for i in range(D):
            dx[n, i] = r * (dy[n, i] * weight[i] - x[n, i] * r * through_square)


ops.rms_norm.implement("cpu", rms_norm, rms_norm_backward)
