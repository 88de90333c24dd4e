"""Long short-term memory (Hochreiter & Schmidhuber 1997) with a forget gate (Gers, Schmidhuber & Cummins 2000).

    forward     a = W x_t + b + U h' + d        cut into i, f, n, o, in this order; h', c' are the state before step t
                i = σ(a_i)      f = σ(a_f)      n = tanh(a_n)      o = σ(a_o)
                c = f c' + i n                  what is kept of the past, and what is new
                h = o tanh(c)                   y_t = h

    backward    from the last step to the first, with dh and dc, what the loss feels of the state after step t:

                dh += dy_t                                      y_t = h
                do = dh tanh(c)     dc += dh o (1 - tanh²(c))   h = o tanh(c)
                df = dc c'      di = dc n      dn = dc i        c = f c' + i n
                da_i = di i (1 - i)    da_f = df f (1 - f)    da_n = dn (1 - n²)    da_o = do o (1 - o)
                dh' = Uᵀ da     dc' = dc f                      what the loss feels of the state before step t

                (without a token, dh and dc are handed on as they are, and da_t = 0)

                dx_t = Wᵀ da_t     dW = Σ_t da_t x_tᵀ      dU = Σ_t da_t h'_tᵀ      db = dd = Σ_t da_t

The way from c to c' is a product with f alone: where the gate is open, a gradient passes many steps undiminished. Every
step uses the same weights, so what is felt of them is a sum over the steps. No step of W x and of the sums waits for
another: each is one product of matrices, before the steps or after them.
"""

import numpy as np

from ..convention import backward_of, op
from .linear import linear, linear_backward
from .silu import sigmoid
from .steps import gradient_or_zeros, hidden_gradient, hidden_map, only_tokens, state_or_zeros, steps, tokens_there


@op(
    x="B T D",
    input={"weight": "4H D", "bias": "[4H]"},
    hidden={"weight": "4H H", "bias": "[4H]"},
    h="[B H]",
    c="[B H]",
    mask="[bool B T]",
)
def lstm(p, x, h=None, c=None, *, mask=None, reverse=False, truncate=None):
    """h_t, c_t = step(x_t, h_{t-1}, c_{t-1}), over whole sequences

    p: input (4H, D), hidden (4H, H), linear maps with a bias or without, their rows the gates i, f, n, o
    x (B, T, D)   h, c (B, H), the state before the first step, zeros where absent   ->   y (B, T, H), h, c (B, H)

    mask (B, T) Boolean, True = a token is there: elsewhere the state stays as it was, and y is 0
    reverse: from the last step to the first   truncate: gradients go back at most so many steps (steps.py)

    ValueError for sequences of length 0, for one without a token, and for a `truncate` below 1.
    """
    live, H = tokens_there("lstm", x, mask), p["hidden"]["weight"].shape[1]
    order = steps("lstm", x.shape[1], reverse, truncate)
    given = h is not None, c is not None
    h, c = state_or_zeros(h, x, H), state_or_zeros(c, x, H)
    from_input, saved_input = linear(p["input"], only_tokens(x, live))  # (B,T,4H)
    before = np.empty((*x.shape[:2], H), from_input.dtype, like=x)
    y, kept = np.empty_like(before), []
    for t, _ in order:
        before[:, t] = h
        a = from_input[:, t] + hidden_map(p["hidden"], h)  # (B,4H)
        i, f, n, o = np.split(a, 4, -1)
        i, f, n, o = sigmoid(i), sigmoid(f), np.tanh(n), sigmoid(o)
        c_new = f * c + i * n
        tanh_c = np.tanh(c_new)
        kept.append((c, i, f, n, o, tanh_c))
        y[:, t] = np.where(live[:, t], o * tanh_c, 0)
        h, c = np.where(live[:, t], o * tanh_c, h), np.where(live[:, t], c_new, c)
    return (y, h, c), (p, saved_input, before, kept, live, order, given)


@backward_of(lstm)
def lstm_backward(dy, dh, dc, saved):
    """dx, dh, dc (None where there was no such state), g"""
    p, saved_input, before, kept, live, order, given = saved
    B, T, H = before.shape
    dy = gradient_or_zeros(dy, (B, T, H), before)
    dh, dc = gradient_or_zeros(dh, (B, H), before), gradient_or_zeros(dc, (B, H), before)
    da = np.empty((B, T, 4 * H), before.dtype, like=before)
    for (t, cut), (c, i, f, n, o, tanh_c) in zip(reversed(order), reversed(kept)):
        dh_t = dy[:, t] + dh  # y_t = h
        dc_t = dc + dh_t * o * (1 - tanh_c * tanh_c)  # h = o tanh(c)
        do = dh_t * tanh_c
        di, df, dn = dc_t * n, dc_t * c, dc_t * i  # c_new = f c + i n
        gates = di * i * (1 - i), df * f * (1 - f), dn * (1 - n * n), do * o * (1 - o)
        da[:, t] = np.where(live[:, t], np.concatenate(gates, -1), 0)
        dh = np.where(live[:, t], da[:, t] @ p["hidden"]["weight"], dh)  # a = ... + U h
        dc = np.where(live[:, t], dc_t * f, dc)
        if cut:
            dh, dc = np.zeros_like(dh), np.zeros_like(dc)
    g = {"hidden": hidden_gradient(p["hidden"], da, before)}
    dx, g["input"] = linear_backward(da, saved_input)  # a = W x + ...
    return dx, dh if given[0] else None, dc if given[1] else None, g
