"""Layer normalisation as a kernel: a row at a time, while it is in the nearest cache.

The reference passes over the whole array some ten times each way, and once it is larger than the cache, every pass
fetches it from memory. Here each row is fetched once. Nothing is kept but x itself and three numbers a row; x̂ is
computed again.

forward     x̂ = ((x - μ) - rest) r        y = γ x̂ + β        rest: what rounding left of the mean of x - μ

backward    dx = r (dx̂ - mean(dx̂) - x̂ mean(dx̂ x̂))            dx̂ = dy γ
            dγ += dy x̂        dβ += dy                        row after row: the order of the sum is that of the rows
"""

import numpy as np

from ... import ops
from .arrays import rows
from .compiled import compiled
from .functions import minus


def layer_norm(p, x, *, eps=1e-5):
    y, x_rows = np.empty(x.shape, x.dtype), rows(x)
    statistics = np.empty((len(x_rows), 3), x.dtype)
    forward(x_rows, p["weight"], p["bias"], eps, rows(y), statistics)
    return y, (x, p["weight"], statistics)


def layer_norm_backward(dy, saved):
    x, weight, statistics = saved
    dx = np.empty(x.shape, x.dtype)
    g = {"weight": np.zeros_like(weight), "bias": np.zeros_like(weight)}
    backward(rows(dy), rows(x), weight, statistics, rows(dx), g["weight"], g["bias"])
    return dx, g


@compiled(sums=True)
def forward(x, weight, bias, eps, y, statistics):
    one = x.dtype.type
    N, D = x.shape
    for n in range(N):
        total = one(0)
        for i in range(D):
            total += x[n, i]
        mean = total / one(D)
        total = one(0)
        for i in range(D):
            total += minus(x[n, i], mean)
        rest = total / one(D)
        total = one(0)
        for i in range(D):
            centred = minus(minus(x[n, i], mean), rest)
            total += centred * centred
        rstd = one(1) / np.sqrt(total / one(D) + one(eps))
        for i in range(D):
            y[n, i] = weight[i] * (minus(minus(x[n, i], mean), rest) * rstd) + bias[i]
        statistics[n, 0], statistics[n, 1], statistics[n, 2] = mean, rest, rstd


@compiled(sums=True)
def backward(dy, x, weight, statistics, dx, dweight, dbias):
    one = x.dtype.type
    N, D = x.shape
    for n in range(N):
        mean, rest, rstd = statistics[n, 0], statistics[n, 1], statistics[n, 2]
        through_mean, through_variance = one(0), one(0)
        for i in range(D):
            xhat = minus(minus(x[n, i], mean), rest) * rstd
            dxhat = dy[n, i] * weight[i]
            through_mean += dxhat
            through_variance += dxhat * xhat
            dweight[i] += dy[n, i] * xhat
            dbias[i] += dy[n, i]
        through_mean /= one(D)
        through_variance /= one(D)
        for i in range(D):
            xhat = minus(minus(x[n, i], mean), rest) * rstd
            dx[n, i] = rstd * (dy[n, i] * weight[i] - through_mean - xhat * through_variance)


ops.layer_norm.implement("cpu", layer_norm, layer_norm_backward)
