"""All layers of a model in one vector, each with a weight that a task learns (Peters et al. 2018, equation 1).

forward     s = softmax(w)              a weight for every layer, all together 1
            y = γ Σ_j s_j h_j           γ lets a task say how large it wants them

backward    dγ = Σ dy · Σ_j s_j h_j     ds_j = γ Σ dy · h_j     dh_j = γ s_j dy     dw from ds, through the softmax

What is low in a language model knows more of syntax, what is high more of sense: a task need not choose beforehand.
"""

import numpy as np

from ..convention import backward_of, block
from ..ops import softmax, softmax_backward


@block
def layer_mix(p, h):
    """p: weight (L), scale (1)   h (L, ..., D), of each layer   ->   y (..., D)"""
    if len(h) != len(p["weight"]):
        raise ValueError(f"layer_mix: h has shape {h.shape}, expected {len(p['weight'])} layers")
    saved = {}
    s, saved["weight"] = softmax(p["weight"])
    mean = np.tensordot(s, h, 1)
    saved["scale"] = p["scale"], s, mean, h
    return p["scale"] * mean, saved


@backward_of(layer_mix)
def layer_mix_backward(dy, saved):
    """dh, g"""
    g, (scale, s, mean, h) = {}, saved["scale"]
    g["scale"] = (dy * mean).sum(keepdims=True).reshape(1)  # y = γ Σ s h
    ds = scale * (dy * h).sum(tuple(range(1, h.ndim)))
    g["weight"] = softmax_backward(ds, saved["weight"])
    return np.multiply.outer(s, scale * dy), g
