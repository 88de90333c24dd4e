"""The layer of LLaMA (Touvron et al. 2023, section 2.2): pre-norm, by root mean square, rotary positions, and a gate.

forward     x ← x + Attention(RMS₁(x))              queries and keys turned by their positions
            y = x + GatedFeedForward(RMS₂(x))

backward    each residual addition hands dy on twice: unchanged to the stream, and into its branch
"""

from ..convention import backward_of, block
from ..ops import rms_norm, rms_norm_backward, silu
from .gated_feed_forward import gated_feed_forward, gated_feed_forward_backward
from .multi_head_attention import attend, keys_values, multi_head_attention, multi_head_attention_backward


@block
def llama_layer(p, x, *, n_heads, n_kv_heads, rotary, mask=None, eps=1e-6, key=None):
    """p: norm1, attention, norm2, feed_forward   x (B, T, D)   ->   y (B, T, D)

    mask: as in `attention`, beside the causal one
    rotary: the settings of `ops.rotary`: frequencies, positions, pairing
    key: what `stack` hands to every layer; nothing is dropped here
    """
    saved, heads = {}, {"n_heads": n_heads, "n_kv_heads": n_kv_heads}
    h, saved["norm1"] = rms_norm(p["norm1"], x, eps=eps)
    h, saved["attention"] = multi_head_attention(p["attention"], h, h, **heads, mask=mask, causal=True, rotary=rotary)
    x = x + h
    h, saved["norm2"] = rms_norm(p["norm2"], x, eps=eps)
    h, saved["feed_forward"] = gated_feed_forward(p["feed_forward"], h, activation=silu)
    return x + h, saved


@backward_of(llama_layer)
def llama_layer_backward(dy, saved):
    """dx, g"""
    g = {}
    dh, g["feed_forward"] = gated_feed_forward_backward(dy, saved["feed_forward"])
    dh, g["norm2"] = rms_norm_backward(dh, saved["norm2"])
    dx = dy + dh  # y = x + h
    dh, dmemory, _, g["attention"] = multi_head_attention_backward(dx, saved["attention"])
    dh, g["norm1"] = rms_norm_backward(dh + dmemory, saved["norm1"])  # RMS₁(x) asked and answered: add
    return dx + dh, g  # x ← x + h


def llama_layer_step(p, x, cache, *, n_heads, n_kv_heads, rotary, mask=None, eps=1e-6):
    """`llama_layer` for the newest positions; what they look back on is in the cache, keys turned already."""
    h = rms_norm(p["norm1"], x, eps=eps)[0]
    k, v = cache.extend(*keys_values(p["attention"], h, n_heads=n_kv_heads, rotary=rotary))
    x = x + attend(p["attention"], h, k, v, n_heads=n_heads, mask=mask, causal=True, rotary=rotary)
    return x + gated_feed_forward(p["feed_forward"], rms_norm(p["norm2"], x, eps=eps)[0], activation=silu)[0]
