"""The decoder's layer with each norm inside its residual branch (Xiong et al. 2020, figure 1b).

forward     x ← x + dropout(SelfAttention(LN₁(x)))              causal: what comes later is not there yet
            x ← x + dropout(CrossAttention(LN₂(x), memory))     memory, the encoder's output, answers
            y = x + dropout(FeedForward(LN₃(x)))

backward    from the bottom up; each addition hands dy on twice: unchanged to the stream, and into its branch
"""

from ..convention import backward_of, block, fold
from ..ops import dropout, dropout_backward, layer_norm, layer_norm_backward
from .feed_forward import feed_forward, feed_forward_backward
from .multi_head_attention import attend, keys_values, multi_head_attention, multi_head_attention_backward


@block
def pre_norm_decoder_layer(
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
    """p: norm1, attention, norm2, cross_attention, norm3, feed_forward

    x (B, T, D)   memory (B, S, D)   ->   y (B, T, D)

    mask (B or 1, H or 1, T or 1, T) beside the causal one, memory_mask (B or 1, H or 1, T or 1, S): True = may attend
    dropout_rate: of what each branch says   attention_dropout_rate: of the attentions' weights
    """
    saved, drop = {}, {"n_heads": n_heads, "dropout_rate": attention_dropout_rate}
    h, saved["norm1"] = layer_norm(p["norm1"], x, eps=eps)
    h, saved["attention"] = multi_head_attention(p["attention"], h, h, mask=mask, causal=True, key=fold(key, 0), **drop)
    h, saved["dropout1"] = dropout(h, rate=dropout_rate, key=fold(key, 1))
    x = x + h
    h, saved["norm2"] = layer_norm(p["norm2"], x, eps=eps)
    h, saved["cross_attention"] = multi_head_attention(
        p["cross_attention"], h, memory, mask=memory_mask, key=fold(key, 2), **drop
    )
    h, saved["dropout2"] = dropout(h, rate=dropout_rate, key=fold(key, 3))
    x = x + h
    h, saved["norm3"] = layer_norm(p["norm3"], x, eps=eps)
    h, saved["feed_forward"] = feed_forward(p["feed_forward"], h, activation=activation)
    h, saved["dropout3"] = dropout(h, rate=dropout_rate, key=fold(key, 4))
    return x + h, saved


@backward_of(pre_norm_decoder_layer)
def pre_norm_decoder_layer_backward(dy, saved):
    """dx, dmemory, g"""
    g = {}
    dh = dropout_backward(dy, saved["dropout3"])
    dh, g["feed_forward"] = feed_forward_backward(dh, saved["feed_forward"])
    dh, g["norm3"] = layer_norm_backward(dh, saved["norm3"])
    dx = dy + dh  # y = x + h
    dh = dropout_backward(dx, saved["dropout2"])
    dh, dmemory, _, g["cross_attention"] = multi_head_attention_backward(dh, saved["cross_attention"])
    dh, g["norm2"] = layer_norm_backward(dh, saved["norm2"])
    dx = dx + dh  # x ← x + h
    dh = dropout_backward(dx, saved["dropout1"])
    dh, danswer, _, g["attention"] = multi_head_attention_backward(dh, saved["attention"])
    dh, g["norm1"] = layer_norm_backward(dh + danswer, saved["norm1"])  # LN₁(x) asked and answered: add
    return dx + dh, dmemory, g  # x ← x + h


def pre_norm_decoder_layer_step(p, x, cache, *, n_heads, activation, mask=None, eps=1e-5):
    """`pre_norm_decoder_layer` for the newest positions; `cache` (a CrossCache) holds what they look back on."""
    h = layer_norm(p["norm1"], x, eps=eps)[0]
    k, v = cache.extend(*keys_values(p["attention"], h, n_heads=n_heads))
    x = x + attend(p["attention"], h, k, v, n_heads=n_heads, mask=mask, causal=True)
    k, v, memory_mask = cache.memory
    h = layer_norm(p["norm2"], x, eps=eps)[0]
    x = x + attend(p["cross_attention"], h, k, v, n_heads=n_heads, mask=memory_mask)
    return x + feed_forward(p["feed_forward"], layer_norm(p["norm3"], x, eps=eps)[0], activation=activation)[0]
