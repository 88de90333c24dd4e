"""Multi-head attention (Vaswani et al. 2017, section 3.2.2): every head attends in its own slice of the width.

forward     q = W_q x      k = W_k memory      v = W_v memory        each cut into heads
            y = W_out [attention(q, k, v) of every head, side by side]

backward    the forward read from the bottom up; memory was used twice (for k and for v), so its gradients add up
"""

from ..convention import backward_of, block
from ..ops import attention, attention_backward, linear, linear_backward
from ..ops.rotary import rotary as turn
from ..ops.rotary import rotary_backward
from .heads import merge_heads, split_heads


@block
def multi_head_attention(
    p,
    x,
    memory,
    bias=None,
    *,
    n_heads,
    n_kv_heads=None,
    mask=None,
    causal=False,
    rotary=None,
    dropout_rate=0.0,
    key=None,
):
    """x asks, memory answers: x itself for self-attention, the encoder's output for cross-attention

    p: q, k, v, out, each a linear map   x (B, T, D)   memory (B, S, E)   bias as in `attention`   ->   y (B, T, D)
    n_kv_heads: fewer key/value heads than n_heads, each shared by a group of queries (grouped-query attention)
    mask (B or 1, H or 1, T or 1, S) Boolean, True = may attend; dropout_rate and key act on the weights
    rotary: settings of `ops.rotary`, by which queries and keys are turned; None: they are not
    """
    saved = {"n_heads": n_heads}
    q, saved["q"] = linear(p["q"], x)
    k, saved["k"] = linear(p["k"], memory)
    v, saved["v"] = linear(p["v"], memory)
    q = split_heads(q, n_heads)  # (B,H,T,K)
    k, v = (split_heads(part, n_kv_heads or n_heads) for part in (k, v))  # (B,G,S,K)
    if rotary is not None:
        q, saved["turn_q"] = turn(q, **rotary)
        k, saved["turn_k"] = turn(k, **rotary)
    h, saved["attend"] = attention(
        q, k, v, bias, mask=mask, causal=causal, dropout_rate=dropout_rate, key=key
    )  # (B,H,T,K)
    y, saved["out"] = linear(p["out"], merge_heads(h))  # (B,T,D)
    return y, saved


@backward_of(multi_head_attention)
def multi_head_attention_backward(dy, saved):
    """dx, dmemory, dbias, g"""
    g = {}
    dh, g["out"] = linear_backward(dy, saved["out"])
    dq, dk, dv, dbias = attention_backward(split_heads(dh, saved["n_heads"]), saved["attend"])
    if "turn_q" in saved:
        dq, dk = rotary_backward(dq, saved["turn_q"]), rotary_backward(dk, saved["turn_k"])
    dq, dk, dv = (merge_heads(part) for part in (dq, dk, dv))
    dmemory_v, g["v"] = linear_backward(dv, saved["v"])
    dmemory_k, g["k"] = linear_backward(dk, saved["k"])
    dx, g["q"] = linear_backward(dq, saved["q"])
    return dx, dmemory_k + dmemory_v, dbias, g  # memory was used twice: add


# ------------------------------------------------------ decoding: the newest positions only, and nothing saved


def keys_values(p, memory, *, n_heads, rotary=None):
    """memory (B, S, E)   ->   k, v (B, G, S, K), what a cache holds"""
    k, v = (split_heads(linear(p[name], memory)[0], n_heads) for name in ("k", "v"))
    return k if rotary is None else turn(k, **rotary)[0], v


def attend(p, x, k, v, *, n_heads, mask=None, causal=False, rotary=None):
    """`multi_head_attention` of x (B, T, D) to keys and values that are there already   ->   y (B, T, D)"""
    q = split_heads(linear(p["q"], x)[0], n_heads)
    q = q if rotary is None else turn(q, **rotary)[0]
    return linear(p["out"], merge_heads(attention(q, k, v, mask=mask, causal=causal)[0]))[0]
