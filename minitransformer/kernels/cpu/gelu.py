"""GELU as a kernel: one pass over x each way; kept are x and Φ(x), whose error function no processor vectorises.

forward     y = x Φ(x)

backward    dx = dy (Φ(x) + x φ(x))        φ(x) = exp(-x²/2) / √(2π)
"""

import math

import numpy as np

from ... import ops
from .arrays import flat
from .compiled import compiled
from .functions import exp_negative


def gelu(x):
    y, cdf = np.empty(x.shape, x.dtype), np.empty(x.shape, x.dtype)
    forward(flat(x), flat(y), flat(cdf))
    return y, (x, cdf)


def gelu_backward(dy, saved):
    x, cdf = saved
    dx = np.empty(x.shape, x.dtype)
    backward(flat(dy), flat(x), flat(cdf), flat(dx))
    return dx


@compiled
def forward(x, y, cdf):
    one = x.dtype.type
    for i in range(x.size):
        cdf[i] = one(0.5) * (one(1) + math.erf(x[i] * one(0.7071067811865476)))  # 1/√2
        y[i] = x[i] * cdf[i]


@compiled
def backward(dy, x, cdf, dx):
    one = x.dtype.type
    for i in range(x.size):
        pdf = exp_negative(one(-0.5) * x[i] * x[i]) * one(0.3989422804014327)  # 1/√(2π)
        dx[i] = dy[i] * (cdf[i] + x[i] * pdf)


ops.gelu.implement("cpu", gelu, gelu_backward)
