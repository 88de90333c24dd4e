"""A highway layer (Srivastava, Greff & Schmidhuber 2015, "Highway Networks", equation 3).

forward     t = σ(W_T x + b_T)                      the gate: how much is transformed
            y = t f(W x + b) + (1 - t) x            and how much is carried as it is

backward    the forward read from the bottom up; of a product, each factor feels dy times the other, and σ' = t (1 - t)

b_T begins below 0, so that at first most is carried: depth costs nothing until it is of use.
"""

from ..convention import backward_of, block
from ..ops import linear, linear_backward
from ..ops.silu import sigmoid


@block
def highway(p, x, *, activation, key=None):
    """p: transform, gate (D, D), linear maps   activation: f, an operation of one array   x (..., D)   ->   y (..., D)

    key: a stack hands one to every layer; nothing is drawn here
    """
    saved = {"by": activation}
    h, saved["transform"] = linear(p["transform"], x)
    h, saved["activation"] = activation(h)
    t, saved["gate"] = linear(p["gate"], x)
    t = sigmoid(t)
    saved["mix"] = x, h, t
    return t * h + (1 - t) * x, saved


@backward_of(highway)
def highway_backward(dy, saved):
    """dx, g"""
    g, (x, h, t) = {}, saved["mix"]
    dt = dy * (h - x)  # y = t h + (1 - t) x
    dx_gate, g["gate"] = linear_backward(dt * t * (1 - t), saved["gate"])  # t = σ(...)
    dh = saved["by"].backward(dy * t, saved["activation"])
    dx, g["transform"] = linear_backward(dh, saved["transform"])
    return dx + dx_gate + dy * (1 - t), g  # x was used three times: add
