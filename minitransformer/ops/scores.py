"""How well a query and a key fit, before attention was scaled: by a product, or by a small network.

Dot (Luong, Pham & Manning 2015, section 3.1):

    forward     s_ts = Σ_a q_ta k_sa                        s = q kᵀ
    backward    dq = ds k        dk = dsᵀ q

Additive (Bahdanau, Cho & Bengio 2015, appendix A.1.2), q and k already mapped to a common width:

    forward     h_tsa = tanh(q_ta + k_sa)        s_ts = Σ_a v_a h_tsa
    backward    dv_a = Σ_ts ds_ts h_tsa          da_tsa = ds_ts v_a (1 - h_tsa²)
                dq_ta = Σ_s da_tsa               dk_sa = Σ_t da_tsa         every query met every key

Here nothing is divided by √A; the softmax over the keys, and the mask, come after.
"""

import numpy as np

from ..convention import backward_of, op


@op(q="B T A", k="B S A")
def dot_scores(q, k):
    """s = q kᵀ        q (B, T, A)   k (B, S, A)   ->   s (B, T, S)"""
    return q @ k.swapaxes(-1, -2), (q, k)


@backward_of(dot_scores)
def dot_scores_backward(ds, saved):
    """dq = ds k        dk = dsᵀ q"""
    q, k = saved
    return ds @ k, ds.swapaxes(-1, -2) @ q


@op(weight="A", q="B T A", k="B S A")
def additive_scores(p, q, k):
    """s_ts = Σ_a v_a tanh(q_ta + k_sa)        p["weight"] = v (A)   q (B, T, A)   k (B, S, A)   ->   s (B, T, S)"""
    h = np.tanh(q[:, :, None] + k[:, None])  # (B,T,S,A)
    return h @ p["weight"], (h, p["weight"])


@backward_of(additive_scores)
def additive_scores_backward(ds, saved):
    """dq, dk, g"""
    h, v = saved
    g = {"weight": (ds[..., None] * h).sum((0, 1, 2))}  # s = h v
    da = ds[..., None] * v * (1 - h * h)  # h = tanh(q + k)
    return da.sum(2), da.sum(1), g
