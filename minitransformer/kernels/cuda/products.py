"""Matrix products on the device: cuBLAS's, through CuPy's binding of it.

CuPy's own a @ b comes to the same, but takes four times as long to find that out, and a model has hundreds of products
whose factors are what they always are: matrices of one dtype, one row after the other.

cuBLAS reads memory column by column, so to it such a matrix is its own transpose. C = A B is therefore asked for as
Cᵀ = Bᵀ Aᵀ: the factors change places, and nothing has to be turned.
"""

import numpy as np

from .arrays import empty, library
from .device import SIMULATED

ONE, ZERO = ({kind: np.array(value, kind) for kind in "fd"} for value in (1, 0))
_ones = {}  # by device and dtype, as many as were ever asked for


def product(a, b, out, *, turn_a=False, turn_b=False):
    """out (M, N) = A B, where A (M, K) is a or aᵀ, and B (K, N) is b or bᵀ. All contiguous and of one dtype"""
    if SIMULATED:
        np.matmul(a.T if turn_a else a, b.T if turn_b else b, out=out)
        return
    (M, N), K, kind = out.shape, a.shape[not turn_a], out.dtype.char
    if M and N and K:
        multiply = {"f": blas().sgemm, "d": blas().dgemm}[kind]
        factors = b.data.ptr, b.shape[1], a.data.ptr, a.shape[1]
        one, zero = ONE[kind].ctypes.data, ZERO[kind].ctypes.data
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
        multiply = {"f": blas().sgemv, "d": blas().dgemv}[kind]
        one, zero = ONE[kind].ctypes.data, ZERO[kind].ctypes.data
        multiply(handle(), 0, D, N, one, x.data.ptr, D, ones(N, x).data.ptr, 1, zero, out.data.ptr, 1)
    else:
        out[...] = 0
    return out


def ones(n, like):
    place = library().cuda.runtime.getDevice(), like.dtype.char
    if place not in _ones or _ones[place].size < n:
        _ones[place] = library().ones(n, like.dtype)
    return _ones[place]


def blas():
    return library().cuda.cublas


def handle():
    return library().cuda.get_cublas_handle()
