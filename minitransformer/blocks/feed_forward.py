"""The position-wise feed-forward network (Vaswani et al. 2017, section 3.3).

forward     y = W_down activation(W_up x)

backward    the forward read from the bottom up
"""

from ..convention import backward_of, block
from ..ops import linear, linear_backward


@block
def feed_forward(p, x, *, activation):
    """p: up (F, D), down (D, F), linear maps   activation: an operation of one array   x (..., D)   ->   y (..., D)"""
    saved = {"by": activation}
    h, saved["up"] = linear(p["up"], x)  # (...,F)
    h, saved["activation"] = activation(h)
    y, saved["down"] = linear(p["down"], h)  # (...,D)
    return y, saved


@backward_of(feed_forward)
def feed_forward_backward(dy, saved):
    """dx, g"""
    g = {}
    dh, g["down"] = linear_backward(dy, saved["down"])
    dh = saved["by"].backward(dh, saved["activation"])
    dx, g["up"] = linear_backward(dh, saved["up"])
    return dx, g
