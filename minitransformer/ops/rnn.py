"""The simple recurrent network (Elman 1990, "Finding Structure in Time"), with tanh or ReLU (Le, Jaitly & Hinton 2015).

    forward     a = W x_t + b + U h' + d        h' is the state before step t
                h = activation(a)               y_t = h

    backward    from the last step to the first, with dh, what the loss feels of the state after step t:

                dh += dy_t                      y_t = h
                da_t = dh activation'(a)        tanh' = 1 - h²,  relu' = [h > 0]: of both, the output says enough
                dh' = Uᵀ da_t                   what the loss feels of the state before step t
                (without a token, dh is handed on as it is, and da_t = 0)

                dx_t = Wᵀ da_t     dW = Σ_t da_t x_tᵀ      dU = Σ_t da_t h'_tᵀ      db = dd = Σ_t da_t

From k steps back comes a product of k matrices U, which vanishes or explodes with k. That is what LSTM is an answer to.
"""

import numpy as np

from ..convention import backward_of, op
from .linear import linear, linear_backward
from .relu import relu
from .steps import gradient_or_zeros, hidden_gradient, hidden_map, only_tokens, state_or_zeros, steps, tokens_there
from .tanh import tanh

SLOPES = {tanh: lambda h: 1 - h * h, relu: lambda h: h > 0}  # activation'(a), as a function of h = activation(a)


def check_activation(activation):
    if activation not in SLOPES:
        raise ValueError(f"rnn: the activation must be tanh or relu, not {activation!r}")


@op(
    x="B T D",
    input={"weight": "H D", "bias": "[H]"},
    hidden={"weight": "H H", "bias": "[H]"},
    h="[B H]",
    mask="[bool B T]",
)
def rnn(p, x, h=None, *, activation=tanh, mask=None, reverse=False, truncate=None):
    """h_t = activation(W x_t + b + U h_{t-1} + d), over whole sequences

    p: input (H, D), hidden (H, H), linear maps with a bias or without   activation: the operation tanh or relu
    x (B, T, D)   h (B, H), the state before the first step, zeros where absent   ->   y (B, T, H), h (B, H)

    mask (B, T) Boolean, True = a token is there: elsewhere the state stays as it was, and y is 0
    reverse: from the last step to the first   truncate: gradients go back at most so many steps (steps.py)

    ValueError for sequences of length 0, for one without a token, for a `truncate` below 1, for another activation.
    """
    check_activation(activation)
    live, H = tokens_there("rnn", x, mask), p["hidden"]["weight"].shape[1]
    order, given = steps("rnn", x.shape[1], reverse, truncate), h is not None
    h = state_or_zeros(h, x, H)
    from_input, saved_input = linear(p["input"], only_tokens(x, live))  # (B,T,H)
    before = np.empty((*x.shape[:2], H), from_input.dtype, like=x)
    y = np.empty_like(before)
    for t, _ in order:
        before[:, t] = h
        h_new, _ = activation(from_input[:, t] + hidden_map(p["hidden"], h))  # (B,H)
        y[:, t] = np.where(live[:, t], h_new, 0)
        h = np.where(live[:, t], h_new, h)
    return (y, h), (p, saved_input, before, y, live, order, given, activation)


@backward_of(rnn)
def rnn_backward(dy, dh, saved):
    """dx, dh (None where there was no state), g"""
    p, saved_input, before, y, live, order, given, activation = saved
    B, T, H = before.shape
    dy, dh = gradient_or_zeros(dy, (B, T, H), before), gradient_or_zeros(dh, (B, H), before)
    da = np.empty_like(before)
    for t, cut in reversed(order):
        dh_t = dy[:, t] + dh  # y_t = h
        da[:, t] = np.where(live[:, t], dh_t * SLOPES[activation](y[:, t]), 0)  # h = activation(a)
        dh = np.where(live[:, t], da[:, t] @ p["hidden"]["weight"], dh)  # a = ... + U h
        if cut:
            dh = np.zeros_like(dh)
    g = {"hidden": hidden_gradient(p["hidden"], da, before)}
    dx, g["input"] = linear_backward(da, saved_input)  # a = W x + ...
    return dx, dh if given else None, g
