"""How kernels see arrays: contiguous, as rows or as one row. Only what lies otherwise in memory is copied."""

import math

import numpy as np


def rows(x):
    """x (..., D)   ->   (N, D)"""
    x = np.ascontiguousarray(x)
    return x.reshape(math.prod(x.shape[:-1]), x.shape[-1])


def flat(x):
    """x (...)   ->   (N)"""
    return np.ascontiguousarray(x).reshape(-1)
