"""The layer with the norm inside the residual branch (Radford et al. 2019; Xiong et al. 2020, figure 1b).

forward     x ← x + dropout(Attention(LN₁(x)))
            y = x + dropout(FeedForward(LN₂(x)))

backward    each residual addition hands dy on twice: unchanged to the stream, and into its branch
"""

from ..convention import backward_of, block, fold
from ..ops import dropout, dropout_backward, layer_norm, layer_norm_backward
from .feed_forward import feed_forward, feed_forward_backward
from .multi_head_attention import attend, keys_values, multi_head_attention, multi_head_attention_backward


@block
def pre_norm_layer(
    p,
    x,
    *,
    n_heads,
    activation,
    mask=None,
    causal=False,
    eps=1e-5,
    dropout_rate=0.0,
    attention_dropout_rate=0.0,
    key=None,
):
    """p: norm1, attention, norm2, feed_forward   x (B, T, D)   ->   y (B, T, D)

    mask, causal: as in `attention`
    dropout_rate: of what each branch says   attention_dropout_rate: of the attention's weights
    """
    saved, rate = {}, attention_dropout_rate
    h, saved["norm1"] = layer_norm(p["norm1"], x, eps=eps)
    h, saved["attention"] = multi_head_attention(
        p["attention"], h, h, n_heads=n_heads, mask=mask, causal=causal, dropout_rate=rate, key=fold(key, 0)
    )
    h, saved["dropout1"] = dropout(h, rate=dropout_rate, key=fold(key, 1))
    x = x + h
    h, saved["norm2"] = layer_norm(p["norm2"], x, eps=eps)
    h, saved["feed_forward"] = feed_forward(p["feed_forward"], h, activation=activation)
    h, saved["dropout2"] = dropout(h, rate=dropout_rate, key=fold(key, 2))
    return x + h, saved


@backward_of(pre_norm_layer)
def pre_norm_layer_backward(dy, saved):
    """dx, g"""
    g = {}
    dh = dropout_backward(dy, saved["dropout2"])
    dh, g["feed_forward"] = feed_forward_backward(dh, saved["feed_forward"])
    dh, g["norm2"] = layer_norm_backward(dh, saved["norm2"])
    dx = dy + dh  # y = x + h
    dh = dropout_backward(dx, saved["dropout1"])
    dh, dmemory, _, g["attention"] = multi_head_attention_backward(dh, saved["attention"])
    dh, g["norm1"] = layer_norm_backward(dh + dmemory, saved["norm1"])  # LN₁(x) asked and answered: add
    return dx + dh, g  # x ← x + h


def pre_norm_layer_step(p, x, cache, *, n_heads, activation, mask=None, eps=1e-5):
    """`pre_norm_layer` for the newest positions; what they look back on is in the cache, which grows by them."""
    h = layer_norm(p["norm1"], x, eps=eps)[0]
    k, v = cache.extend(*keys_values(p["attention"], h, n_heads=n_heads))
    x = x + attend(p["attention"], h, k, v, n_heads=n_heads, mask=mask, causal=True)
    return x + feed_forward(p["feed_forward"], layer_norm(p["norm2"], x, eps=eps)[0], activation=activation)[0]
