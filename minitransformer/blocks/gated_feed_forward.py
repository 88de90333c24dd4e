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
    up, saved["up"] = linear(p["up"], x)  # (...,F)
    saved["factors"] = gate, up
    y, saved["down"] = linear(p["down"], gate * up)  # (...,D)
    return y, saved


@backward_of(gated_feed_forward)
def gated_feed_forward_backward(dy, saved):
    """dx, g"""
    g = {}
    gate, up = saved["factors"]
    dh, g["down"] = linear_backward(dy, saved["down"])  # h = gate ⊙ up
    dx_up, g["up"] = linear_backward(dh * gate, saved["up"])
    dgate = saved["by"].backward(dh * up, saved["activation"])
    dx_gate, g["gate"] = linear_backward(dgate, saved["gate"])
    return dx_gate + dx_up, g  # x was used twice: add
