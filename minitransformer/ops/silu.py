"""The sigmoid linear unit, or swish (Elfwing, Uchibe & Doya 2017; Ramachandran, Zoph & Le 2017).

forward     y = x s        s = σ(x) = 1/(1 + exp(-x))

backward    s' = s (1 - s)        dx = dy (s + x s (1 - s))
"""

import numpy as np

from ..convention import backward_of, op


def sigmoid(x):
    e = np.exp(-np.abs(x))  # at most 1: nothing overflows, and nothing is lost where σ is small
    return np.where(x >= 0, 1, e) / (1 + e)


@op(x="...")
def silu(x):
    """y = x σ(x)        x (...)   ->   y (...)"""
    s = sigmoid(x)
    return x * s, (x, s)


@backward_of(silu)
def silu_backward(dy, saved):
    """dx = dy s (1 + x (1 - s))"""
    x, s = saved
    return dy * s * (1 + x * (1 - s))
