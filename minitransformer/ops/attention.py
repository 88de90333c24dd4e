"""Scaled dot-product attention (Vaswani et al. 2017, section 3.2.1), with grouped heads (Ainslie et al. 2023).

    forward     s = q kᵀ / √K + bias        s = -∞ where a query may not attend
                w = softmax(s)              over the keys
                y = dropout(w) v

    backward    dv = dropout(w)ᵀ dy                          y = dropout(w) v
                dw = dropout'(dy vᵀ)
                ds = w (dw - Σ_keys dw w)                    the softmax; zero where w is zero, so masks need no line
                dq = ds k / √K        dk = dsᵀ q / √K        s = q kᵀ / √K
                dbias = ds, summed where bias was broadcast

A query that may attend to nothing gives zeros and passes zero gradient. With grouped heads, query heads
g·H/G ... (g+1)·H/G - 1 share key/value head g, whose gradients add up. Causal means that query t attends to the keys up
to its own position; with fewer queries than keys, the last query is aligned with the last key.
"""

import numpy as np

from ..convention import backward_of, op
from .broadcasting import sum_to
from .dropout import draw_kept, keep
from .softmax import stable_softmax


def repeat_heads(k, n_heads):  # (B,G,S,K) -> (B,H,S,K)
    return k if k.shape[1] == n_heads else np.repeat(k, n_heads // k.shape[1], axis=1)


def sum_heads(dk, n_groups):  # (B,H,S,K) -> (B,G,S,K)
    B, H, S, K = dk.shape
    return dk if H == n_groups else dk.reshape(B, n_groups, H // n_groups, S, K).sum(2)


def may_attend(q, S, mask, causal):
    """The Boolean mask of both conditions, or None where every query may attend to every key."""
    if not causal:
        return mask
    T = q.shape[2]
    lower = np.tri(T, S, S - T, dtype=bool, like=q)  # (T,S)
    return lower if mask is None else lower & mask


def check_heads(q, k):
    (_, H, _, K), G = q.shape, k.shape[1]
    if G == 0 or H % G:
        raise ValueError(f"attention: {H} query heads are not a multiple of {G} key/value heads")
    if K == 0:
        raise ValueError("attention: heads of width 0 have nothing to compare")


@op(q="B H T K", k="B G S K", v="B G S K", bias="[B|1 H|1 T|1 S|1]", mask="[bool B|1 H|1 T|1 S]")
def attention(q, k, v, bias=None, *, mask=None, causal=False, dropout_rate=0.0, key=None):
    """y = softmax(q kᵀ / √K + bias) v

    q (B, H, T, K)   k, v (B, G, S, K) with H a multiple of G   bias (B or 1, H or 1, T or 1, S or 1)
    mask Boolean, True = may attend, (B or 1, H or 1, T or 1, S)   ->   y (B, H, T, K)
    """
    check_heads(q, k)
    (_, H, _, K), S = q.shape, k.shape[2]
    scale = K**-0.5
    k_all, v_all = repeat_heads(k, H), repeat_heads(v, H)  # (B,H,S,K)
    scores = q @ k_all.swapaxes(-1, -2) * scale  # (B,H,T,S)
    if bias is not None:
        scores += bias
    allowed = may_attend(q, S, mask, causal)
    if allowed is not None:
        scores = np.where(allowed, scores, -np.inf)
    weights = stable_softmax(scores)
    kept = draw_kept(weights.shape, dropout_rate, key)
    return keep(weights, kept, dropout_rate) @ v_all, (q, k, v, bias, weights, scale, kept, dropout_rate)


@backward_of(attention)
def attention_backward(dy, saved):
    """dq, dk, dv, dbias (None where there was no bias)"""
    q, k, v, bias, weights, scale, kept, dropout_rate = saved
    H, G = q.shape[1], k.shape[1]
    k_all, v_all = repeat_heads(k, H), repeat_heads(v, H)
    dv = keep(weights, kept, dropout_rate).swapaxes(-1, -2) @ dy  # y = dropout(w) v
    dweights = keep(dy @ v_all.swapaxes(-1, -2), kept, dropout_rate)
    dscores = weights * (dweights - (dweights * weights).sum(-1, keepdims=True))  # w = softmax(s)
    dbias = None if bias is None else sum_to(bias.shape, dscores)  # s = ... + bias
    dq = dscores @ k_all * scale  # s = q kᵀ / √K
    dk = dscores.swapaxes(-1, -2) @ q * scale
    return dq, sum_heads(dk, G), sum_heads(dv, G), dbias
