"""Scores of queries and keys of different widths: what of attention was learnt before it had heads.

Bahdanau, Cho & Bengio 2015, appendix A.1.2:    s = v tanh(W q + U k)
Luong, Pham & Manning 2015, section 3.1:        s = q W k             "general"
                                                s = v tanh(W [q, k])  "concat": W is [W, U] of the above, side by side

backward    the forward read from the bottom up
"""

import numpy as np

from ..convention import backward_of, block
from ..ops import additive_scores, additive_scores_backward, dot_scores, dot_scores_backward, linear, linear_backward


@block
def bahdanau_scores(p, q, k):
    """p: query (A, D), key (A, E), linear maps; score (A)   q (B, T, D)   k (B, S, E)   ->   s (B, T, S)

    Where queries come one by one, the keys are mapped once: linear(p["key"], k), and then `additive_scores`.
    """
    saved = {}
    q, saved["query"] = linear(p["query"], q)  # (B,T,A)
    k, saved["key"] = linear(p["key"], k)  # (B,S,A)
    s, saved["score"] = additive_scores(p["score"], q, k)
    return s, saved


@backward_of(bahdanau_scores)
def bahdanau_scores_backward(ds, saved):
    """dq, dk, g"""
    g = {}
    dq, dk, g["score"] = additive_scores_backward(ds, saved["score"])
    dk, g["key"] = linear_backward(dk, saved["key"])
    dq, g["query"] = linear_backward(dq, saved["query"])
    return dq, dk, g


@block
def general_scores(p, q, k):
    """p: key (D, E), a linear map   q (B, T, D)   k (B, S, E)   ->   s (B, T, S)"""
    saved = {}
    k, saved["key"] = linear(p["key"], k)  # (B,S,D)
    s, saved["dot"] = dot_scores(q, k)
    return s, saved


@backward_of(general_scores)
def general_scores_backward(ds, saved):
    """dq, dk, g"""
    g = {}
    dq, dk = dot_scores_backward(ds, saved["dot"])
    dk, g["key"] = linear_backward(dk, saved["key"])
    return dq, dk, g


@block
def concat_scores(p, q, k):
    """p: pair (A, D + E), a linear map; score (A)   q (B, T, D)   k (B, S, E)   ->   s (B, T, S)

    No pair is ever laid side by side: the columns of W that see the query are one map, the others another.
    """
    weight, D = p["pair"]["weight"], q.shape[-1]
    if weight.shape[-1] != D + k.shape[-1]:
        raise ValueError(f"concat_scores: pair.weight has shape {weight.shape}, expected (A, {D} + {k.shape[-1]})")
    saved = {"pair": {}}
    q, saved["pair"]["query"] = linear({**p["pair"], "weight": weight[:, :D]}, q)  # (B,T,A), with the bias
    k, saved["pair"]["key"] = linear({"weight": weight[:, D:]}, k)  # (B,S,A)
    s, saved["score"] = additive_scores(p["score"], q, k)
    return s, saved


@backward_of(concat_scores)
def concat_scores_backward(ds, saved):
    """dq, dk, g"""
    g = {}
    dq, dk, g["score"] = additive_scores_backward(ds, saved["score"])
    dk, g_key = linear_backward(dk, saved["pair"]["key"])
    dq, g["pair"] = linear_backward(dq, saved["pair"]["query"])
    g["pair"]["weight"] = np.concatenate([g["pair"]["weight"], g_key["weight"]], 1)  # W = [W, U]
    return dq, dk, g
