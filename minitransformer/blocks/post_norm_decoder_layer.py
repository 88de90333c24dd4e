"""The decoder's layer as first published, the norm after each residual addition (Vaswani et al. 2017, section 3.1).

forward     x ← LN₁(x + dropout(SelfAttention(x)))              causal: what comes later is not there yet
            x ← LN₂(x + dropout(CrossAttention(x, memory)))     memory, the encoder's output, answers
            y = LN₃(x + dropout(FeedForward(x)))

backward    from the bottom up; each addition hands on twice what comes out of its norm
"""

from ..convention import backward_of, block, fold
from ..ops import dropout, dropout_backward, layer_norm, layer_norm_backward
from .feed_forward import feed_forward, feed_forward_backward
from .multi_head_attention import attend, keys_values, multi_head_attention, multi_head_attention_backward


@block
def post_norm_decoder_layer(
    p,
    x,
    memory,
    *,
    n_heads,
    activation,
    mask=None,
    memory_mask=None,
    eps=1e-5,
    dropout_rate=0.0,
    attention_dropout_rate=0.0,
    key=None,
):
    """p: attention, norm1, cross_attention, norm2, feed_forward, norm3

    x (B, T, D)   memory (B, S, D)   ->   y (B, T, D)

    mask (B or 1, H or 1, T or 1, T) beside the causal one, memory_mask (B or 1, H or 1, T or 1, S): True = may attend
    dropout_rate: of what each branch says   attention_dropout_rate: of the attentions' weights
    """
    saved, drop = {}, {"n_heads": n_heads, "dropout_rate": attention_dropout_rate}
    h, saved["attention"] = multi_head_attention(p["attention"], x, x, mask=mask, causal=True, key=fold(key, 0), **drop)
    h, saved["dropout1"] = dropout(h, rate=dropout_rate, key=fold(key, 1))
    x, saved["norm1"] = layer_norm(p["norm1"], x + h, eps=eps)
    h, saved["cross_attention"] = multi_head_attention(
        p["cross_attention"], x, memory, mask=memory_mask, key=fold(key, 2), **drop
    )
    h, saved["dropout2"] = dropout(h, rate=dropout_rate, key=fold(key, 3))
    x, saved["norm2"] = layer_norm(p["norm2"], x + h, eps=eps)
    h, saved["feed_forward"] = feed_forward(p["feed_forward"], x, activation=activation)
    h, saved["dropout3"] = dropout(h, rate=dropout_rate, key=fold(key, 4))
    y, saved["norm3"] = layer_norm(p["norm3"], x + h, eps=eps)
    return y, saved


@backward_of(post_norm_decoder_layer)
def post_norm_decoder_layer_backward(dy, saved):
    """dx, dmemory, g"""
    g = {}
    dsum, g["norm3"] = layer_norm_backward(dy, saved["norm3"])
    dh = dropout_backward(dsum, saved["dropout3"])
    dh, g["feed_forward"] = feed_forward_backward(dh, saved["feed_forward"])
    dsum, g["norm2"] = layer_norm_backward(dsum + dh, saved["norm2"])  # x + h
    dh = dropout_backward(dsum, saved["dropout2"])
    dh, dmemory, _, g["cross_attention"] = multi_head_attention_backward(dh, saved["cross_attention"])
    dsum, g["norm1"] = layer_norm_backward(dsum + dh, saved["norm1"])  # x + h
    dh = dropout_backward(dsum, saved["dropout1"])
    dh, danswer, _, g["attention"] = multi_head_attention_backward(dh, saved["attention"])
    return dsum + dh + danswer, dmemory, g  # x was added, asked and answered: add


def post_norm_decoder_layer_step(p, x, cache, *, n_heads, activation, mask=None, eps=1e-5):
    """`post_norm_decoder_layer` for the newest positions; `cache` (a CrossCache) holds what they look back on."""
    k, v = cache.extend(*keys_values(p["attention"], x, n_heads=n_heads))
    x = layer_norm(p["norm1"], x + attend(p["attention"], x, k, v, n_heads=n_heads, mask=mask, causal=True), eps=eps)[0]
    k, v, memory_mask = cache.memory
    x = layer_norm(p["norm2"], x + attend(p["cross_attention"], x, k, v, n_heads=n_heads, mask=memory_mask), eps=eps)[0]
    return layer_norm(p["norm3"], x + feed_forward(p["feed_forward"], x, activation=activation)[0], eps=eps)[0]
