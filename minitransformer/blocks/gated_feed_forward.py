"""The gated feed-forward network (Shazeer 2020, "GLU Variants Improve Transformer", equation 6): SwiGLU with SiLU.

forward     y = W_down (activation(W_gate x) ⊙ W_up x)

backward    the forward read from the bottom up; of a product, each factor feels dy times the other
"""

from ..convention import backward_of, block
from ..ops import linear, linear_backward


@block
def gated_feed_forward(p, x, *, activation):
    """p: gate, up (F, D), down (D, F), linear maps   activation: an operation of one array   x (..., D)   ->   y"""
    saved = {"by": activation}
    gate, saved["gate"] = linear(p["gate"], x)  # (...,F)
    gate, saved["activation"] = activation(gate)
    h, saved["up"] = linear(p["up"], x)  # (...,F)
    saved["factors"] = gate, h
    y, saved["down"] = linear(p["down"], gate * h)  # (...,D)
    return y, saved


@backward_of(gated_feed_forward)
def gated_feed_forward_backward(dy, saved):
    g = {}
    gate, h = saved["factors"]
    dproduct, g["down"] = linear_backward(dy, saved["down"])
    dx_up, g["up"] = linear_backward(dproduct * gate, saved["up"])
    dgate = saved["by"].backward(dproduct * h, saved["activation"])
    dx_gate, g["gate"] = linear_backward(dgate, saved["gate"])
    return dx_gate + dx_up, g  # x was used twice: add
