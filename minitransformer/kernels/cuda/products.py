"""Matrix products on the device: cuBLAS's, through CuPy's binding of it.

CuPy's own a @ b comes to the same, but takes four times as long to find that out, and a model has hundreds of products
whose factors are what they always are: matrices of one dtype, one row after the other.

cuBLAS reads memory column by column, so to it such a matrix is its own transpose. C = A B is therefore asked for as
Cᵀ = Bᵀ Aᵀ: the factors change places, and nothing has to be turned.
"""

from functools import cache

import numpy as np

from .arrays import current_device, empty, library
from .device import SIMULATED

ONE, ZERO = ({kind: np.array(value, kind) for kind in "fd"} for value in (1, 0))  # in the host's memory
FACTORS = {kind: (ONE[kind].ctypes.data, ZERO[kind].ctypes.data) for kind in "fd"}
_ones = {}  # on each device, in each stream, of each dtype: as many as were ever asked for


def product(a, b, out, *, turn_a=False, turn_b=False):
    """out (M, N) = A B, where A (M, K) is a or aᵀ, and B (K, N) is b or bᵀ. All contiguous. TypeError for two dtypes"""
    if not a.dtype == b.dtype == out.dtype:
        raise TypeError(f"a product of {a.dtype} and {b.dtype} to {out.dtype}: all have to be of one dtype")
    if SIMULATED:
        np.matmul(a.T if turn_a else a, b.T if turn_b else b, out=out)
        return
    (M, N), K, kind = out.shape, a.shape[not turn_a], out.dtype.char
    if M and N and K:
        (multiply, _), (one, zero) = blas(kind), FACTORS[kind]
        factors = b.data.ptr, b.shape[1], a.data.ptr, a.shape[1]
        multiply(handle(), turn_b, turn_a, N, M, K, one, *factors, zero, out.data.ptr, N)
    else:
        out[...] = 0


def column_sums(x):
    """x (N, D), contiguous   ->   (D): the product of xᵀ with a vector of ones"""
    N, D = x.shape
    if SIMULATED:
        return x.sum(0)
    out, kind = empty(D, x), x.dtype.char
    if N and D:
        (_, multiply), (one, zero), vector = blas(kind), FACTORS[kind], ones(N, x)  # held till it is asked for
        multiply(handle(), 0, D, N, one, x.data.ptr, D, vector.data.ptr, 1, zero, out.data.ptr, 1)
    else:
        out[...] = 0
    return out


def ones(n, like):
    place = current_device(), library().cuda.get_current_stream().ptr, like.dtype.char
    found = _ones.get(place)
    if found is None or found.size < n:
        found = _ones[place] = library().ones(n, like.dtype)
    return found


@cache
def blas(kind):
    """cuBLAS's product of matrices, and of a matrix with a vector, in float32 or float64"""
    cublas = library().cuda.cublas
    return (cublas.sgemm, cublas.sgemv) if kind == "f" else (cublas.dgemm, cublas.dgemv)


def handle():
    return library().cuda.get_cublas_handle()
