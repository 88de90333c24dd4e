"""What a query sees: the values, each weighted by the softmax of its score (Bahdanau, Cho & Bengio 2015, section 3.1).

    forward     s = -∞ where no token is
                w = softmax(s)              over the keys
                z = w v

    backward    dv = wᵀ dz        dw = dz vᵀ                    z = w v
                ds = w (dw - Σ_keys dw w)                   the softmax; zero where w is zero, so the mask needs no line

Where the scores come from is left open. With q kᵀ / √K it is `attention`.
"""

import numpy as np

from ..convention import backward_of, op
from .softmax import stable_softmax


@op(s="B T S", v="B S E", mask="[bool B S]")
def context(s, v, *, mask=None):
    """z = softmax(s) v

    s (B, T, S), scores   v (B, S, E)   mask (B, S) Boolean, True = a token is there   ->   z (B, T, E)

    Where a source has no token at all, z is 0.
    """
    weights = stable_softmax(s if mask is None else np.where(mask[:, None], s, -np.inf))
    return weights @ v, (weights, v)


@backward_of(context)
def context_backward(dz, saved):
    """ds, dv"""
    weights, v = saved
    dweights = dz @ v.swapaxes(-1, -2)  # z = w v
    ds = weights * (dweights - (dweights * weights).sum(-1, keepdims=True))  # w = softmax(s)
    return ds, weights.swapaxes(-1, -2) @ dz
