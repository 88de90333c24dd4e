"""The layer as first published, the norm after each residual addition (Vaswani et al. 2017, section 3.1; BERT).

forward     x ← LN₁(x + dropout(Attention(x)))
            y = LN₂(x + dropout(FeedForward(x)))

backward    the norm first; then the addition hands what comes out of it on twice
"""

from ..convention import backward_of, block, fold
from ..ops import dropout, dropout_backward, layer_norm, layer_norm_backward
from .feed_forward import feed_forward, feed_forward_backward
from .multi_head_attention import multi_head_attention, multi_head_attention_backward


@block
def post_norm_layer(
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
    """p: attention, norm1, feed_forward, norm2   x (B, T, D)   ->   y (B, T, D)

    mask, causal: as in `attention`
    dropout_rate: of what each branch says   attention_dropout_rate: of the attention's weights
    """
    saved, rate = {}, attention_dropout_rate
    h, saved["attention"] = multi_head_attention(
        p["attention"], x, x, n_heads=n_heads, mask=mask, causal=causal, dropout_rate=rate, key=fold(key, 0)
    )
    h, saved["dropout1"] = dropout(h, rate=dropout_rate, key=fold(key, 1))
    x, saved["norm1"] = layer_norm(p["norm1"], x + h, eps=eps)
    h, saved["feed_forward"] = feed_forward(p["feed_forward"], x, activation=activation)
    h, saved["dropout2"] = dropout(h, rate=dropout_rate, key=fold(key, 2))
    y, saved["norm2"] = layer_norm(p["norm2"], x + h, eps=eps)
    return y, saved


@backward_of(post_norm_layer)
def post_norm_layer_backward(dy, saved):
    """dx, g"""
    g = {}
    dsum, g["norm2"] = layer_norm_backward(dy, saved["norm2"])
    dh = dropout_backward(dsum, saved["dropout2"])
    dh, g["feed_forward"] = feed_forward_backward(dh, saved["feed_forward"])
    dx = dsum + dh  # x + h
    dsum, g["norm1"] = layer_norm_backward(dx, saved["norm1"])
    dh = dropout_backward(dsum, saved["dropout1"])
    dh, dmemory, _, g["attention"] = multi_head_attention_backward(dh, saved["attention"])
    return dsum + dh + dmemory, g  # x was added, asked and answered: add
