"""Root-mean-square normalisation on the device: a block to a row, as for layer_norm, with one sum instead of three.

forward     y = γ x r                     r = 1 / √(mean(x²) + ε), which is kept, one number a row

backward    dx = r (dx̂ - x̂ mean(dx̂ x̂))   x̂ = x r        dx̂ = dy γ
            dγ = Σ dy x̂                   over the rows: strip by strip (column_sums.py)
"""

from ... import ops
from .arrays import check_place, empty, rows
from .column_sums import STRIP, column_of, launch_strips, strip_of, strips
from .device import THREADS, WARPS, cuda, kernel, launch
from .functions import sqrt
from .products import column_sums
from .reduce import block_sum


def rms_norm(p, x, *, eps=1e-6):
    check_place(x=x, **p)
    y, x_rows = empty(x.shape, x), rows(x)
    rstd = empty(len(x_rows), x)
    launch(forward, len(x_rows), THREADS, x_rows, p["weight"], x.dtype.type(eps), rows(y), rstd)
    return y, (x, p["weight"], rstd)


def rms_norm_backward(dy, saved):
    x, weight, rstd = saved
    check_place(dy=dy)
    dx, dy_rows, x_rows = empty(x.shape, x), rows(dy), rows(x)
    launch(backward, len(x_rows), THREADS, dy_rows, x_rows, weight, rstd, rows(dx))
    N, D = x_rows.shape
    dweight = strips(N, D, x)
    launch_strips(of_weight, N, D, dy_rows, x_rows, rstd, dweight)
    return dx, {"weight": column_sums(dweight)}


@kernel
def forward(x, weight, eps, y, rstd):
    real, D = x.dtype.type, x.shape[1]
    of_warps = cuda.shared.array(WARPS, x.dtype)
    n, thread = cuda.blockIdx.x, cuda.threadIdx.x
    total = real(0)
    for i in range(thread, D, THREADS):
        total += x[n, i] * x[n, i]
    r = real(1) / sqrt(block_sum(total, of_warps) / real(D) + eps)
    for i in range(thread, D, THREADS):
        y[n, i] = weight[i] * (x[n, i] * r)
    if thread == 0:
        rstd[n] = r


@kernel
def backward(dy, x, weight, rstd, dx):
    real, D = x.dtype.type, x.shape[1]
    of_warps = cuda.shared.array(WARPS, x.dtype)
    n, thread = cuda.blockIdx.x, cuda.threadIdx.x
    r, through_square = rstd[n], real(0)
    for i in range(thread, D, THREADS):
        through_square += dy[n, i] * weight[i] * (x[n, i] * r)
    through_square = block_sum(through_square, of_warps) / real(D)
    for i in range(thread, D, THREADS):
        dx[n, i] = r * (dy[n, i] * weight[i] - x[n, i] * r * through_square)


@kernel
def of_weight(dy, x, rstd, dweight):
    """A thread to a column of a strip: dγ of its rows."""
    real, (N, D) = x.dtype.type, x.shape
    i, strip = column_of(D), strip_of(D)
    if i < D:
        slope = real(0)
        for n in range(strip * STRIP, min((strip + 1) * STRIP, N)):
            slope += dy[n, i] * (x[n, i] * rstd[n])
        dweight[strip, i] = slope


ops.rms_norm.implement("cuda", rms_norm, rms_norm_backward)
