"""Layer normalisation on the device: a block to a row.

The block's threads share a row's elements: thread i takes i, i + THREADS, ... so that neighbours read neighbours. Three
sums over the block (reduce.py) give what the row's mean and variance are; the row is read again for each, out of the
nearest cache. Kept are x itself and three numbers a row; x̂ is computed again.

forward     x̂ = ((x - μ) - rest) r        y = γ x̂ + β        rest: what rounding left of the mean of x - μ

backward    dx = r (dx̂ - mean(dx̂) - x̂ mean(dx̂ x̂))            dx̂ = dy γ                a block to a row
            dγ = Σ dy x̂        dβ = Σ dy                     over the rows: strip by strip (column_sums.py)
"""

from ... import ops
from .arrays import check_place, empty, rows
from .column_sums import STRIP, column_of, launch_strips, strip_of, strips
from .device import THREADS, WARPS, cuda, kernel, launch
from .functions import sqrt
from .products import column_sums
from .reduce import block_sum


def layer_norm(p, x, *, eps=1e-5):
    check_place(x=x, **p)
    y, x_rows = empty(x.shape, x), rows(x)
    statistics = empty((len(x_rows), 3), x)
    launch(forward, len(x_rows), THREADS, x_rows, p["weight"], p["bias"], x.dtype.type(eps), rows(y), statistics)
    return y, (x, p["weight"], statistics)


def layer_norm_backward(dy, saved):
    x, weight, statistics = saved
    check_place(dy=dy)
    dx, dy_rows, x_rows = empty(x.shape, x), rows(dy), rows(x)
    launch(backward, len(x_rows), THREADS, dy_rows, x_rows, weight, statistics, rows(dx))
    N, D = x_rows.shape
    felt = strips(N, 2 * D, x)
    launch_strips(of_parameters, N, D, dy_rows, x_rows, statistics, felt)
    felt = column_sums(felt)
    return dx, {"weight": felt[:D], "bias": felt[D:]}


@kernel
def forward(x, weight, bias, eps, y, statistics):
    real, D = x.dtype.type, x.shape[1]
    of_warps = cuda.shared.array(WARPS, x.dtype)
    n, thread = cuda.blockIdx.x, cuda.threadIdx.x
    total = real(0)
    for i in range(thread, D, THREADS):
        total += x[n, i]
    mean = block_sum(total, of_warps) / real(D)
    total = real(0)
    for i in range(thread, D, THREADS):
        total += x[n, i] - mean
    rest = block_sum(total, of_warps) / real(D)
    total = real(0)
    for i in range(thread, D, THREADS):
        centred = (x[n, i] - mean) - rest
        total += centred * centred
    rstd = real(1) / sqrt(block_sum(total, of_warps) / real(D) + eps)
    for i in range(thread, D, THREADS):
        y[n, i] = weight[i] * (((x[n, i] - mean) - rest) * rstd) + bias[i]
    if thread == 0:
        statistics[n, 0], statistics[n, 1], statistics[n, 2] = mean, rest, rstd


@kernel
def backward(dy, x, weight, statistics, dx):
    real, D = x.dtype.type, x.shape[1]
    of_warps = cuda.shared.array(WARPS, x.dtype)
    n, thread = cuda.blockIdx.x, cuda.threadIdx.x
    mean, rest, rstd = statistics[n, 0], statistics[n, 1], statistics[n, 2]
    through_mean, through_variance = real(0), real(0)
    for i in range(thread, D, THREADS):
        dxhat = dy[n, i] * weight[i]
        through_mean += dxhat
        through_variance += dxhat * (((x[n, i] - mean) - rest) * rstd)
    through_mean = block_sum(through_mean, of_warps) / real(D)
    through_variance = block_sum(through_variance, of_warps) / real(D)
    for i in range(thread, D, THREADS):
        xhat = ((x[n, i] - mean) - rest) * rstd
        dx[n, i] = rstd * (dy[n, i] * weight[i] - through_mean - xhat * through_variance)


@kernel
def of_parameters(dy, x, statistics, felt):
    """A thread to a column of a strip: dγ and dβ of its rows, side by side."""
    real, (N, D) = x.dtype.type, x.shape
    i, strip = column_of(D), strip_of(D)
    if i < D:
        slope, shift = real(0), real(0)
        for n in range(strip * STRIP, min((strip + 1) * STRIP, N)):
            slope += dy[n, i] * (((x[n, i] - statistics[n, 0]) - statistics[n, 1]) * statistics[n, 2])
            shift += dy[n, i]
        felt[strip, i], felt[strip, D + i] = slope, shift


ops.layer_norm.implement("cuda", layer_norm, layer_norm_backward)
