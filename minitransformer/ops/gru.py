"""The gated recurrent unit (Cho et al. 2014, "Learning Phrase Representations using RNN Encoder-Decoder", section 2.3).

    forward     a = W x_t + b       u = U h' + d        each cut into r, z, n; h' is the state before step t
                r = σ(a_r + u_r)        z = σ(a_z + u_z)
                n = tanh(a_n + r u_n)                   what is new, of which r lets the past have a say
                h = (1 - z) n + z h'                    y_t = h

    backward    from the last step to the first, with dh, what the loss feels of the state after step t:

                dh += dy_t                                              y_t = h
                dz = dh (h' - n)        dn = dh (1 - z)                 h = (1 - z) n + z h'
                da_n = dn (1 - n²)      dr = da_n u_n                   n = tanh(a_n + r u_n)
                da_r = dr r (1 - r)     da_z = dz z (1 - z)
                du = da, but du_n = da_n r
                dh' = Uᵀ du + dh z                                      what the loss feels of the state before step t
                (without a token, dh is handed on as it is, and da_t = du_t = 0)

                dx_t = Wᵀ da_t      dW = Σ_t da_t x_tᵀ      db = Σ_t da_t
                                    dU = Σ_t du_t h'_tᵀ     dd = Σ_t du_t

The paper lets r act on h' before the product, U_n (r h'). Here it acts after it, r (U_n h' + d_n), as in cuDNN and
PyTorch, so that one product serves all three gates; so d_n is not just another part of b_n.
"""

import numpy as np

from ..convention import backward_of, op
from .linear import linear, linear_backward
from .silu import sigmoid
from .steps import gradient_or_zeros, hidden_gradient, hidden_map, only_tokens, state_or_zeros, steps, tokens_there


@op(
    x="B T D",
    input={"weight": "3H D", "bias": "[3H]"},
    hidden={"weight": "3H H", "bias": "[3H]"},
    h="[B H]",
    mask="[bool B T]",
)
def gru(p, x, h=None, *, mask=None, reverse=False, truncate=None):
    """h_t = step(x_t, h_{t-1}), over whole sequences

    p: input (3H, D), hidden (3H, H), linear maps with a bias or without, their rows the gates r, z, n
    x (B, T, D)   h (B, H), the state before the first step, zeros where absent   ->   y (B, T, H), h (B, H)

    mask (B, T) Boolean, True = a token is there: elsewhere the state stays as it was, and y is 0
    reverse: from the last step to the first   truncate: gradients go back at most so many steps (steps.py)

    ValueError for sequences of length 0, for one without a token, and for a `truncate` below 1.
    """
    live, H = tokens_there("gru", x, mask), p["hidden"]["weight"].shape[1]
    order, given = steps("gru", x.shape[1], reverse, truncate), h is not None
    h = state_or_zeros(h, x, H)
    from_input, saved_input = linear(p["input"], only_tokens(x, live))  # (B,T,3H)
    before = np.empty((*x.shape[:2], H), from_input.dtype, like=x)
    y, kept = np.empty_like(before), []
    for t, _ in order:
        before[:, t] = h
        a_r, a_z, a_n = np.split(from_input[:, t], 3, -1)  # (B,H)
        u_r, u_z, u_n = np.split(hidden_map(p["hidden"], h), 3, -1)
        r, z = sigmoid(a_r + u_r), sigmoid(a_z + u_z)
        n = np.tanh(a_n + r * u_n)
        h_new = (1 - z) * n + z * h
        kept.append((r, z, n, u_n))
        y[:, t] = np.where(live[:, t], h_new, 0)
        h = np.where(live[:, t], h_new, h)
    return (y, h), (p, saved_input, before, kept, live, order, given)


@backward_of(gru)
def gru_backward(dy, dh, saved):
    """dx, dh (None where there was no state), g"""
    p, saved_input, before, kept, live, order, given = saved
    B, T, H = before.shape
    dy, dh = gradient_or_zeros(dy, (B, T, H), before), gradient_or_zeros(dh, (B, H), before)
    da = np.empty((B, T, 3 * H), before.dtype, like=before)
    du = np.empty_like(da)
    for (t, cut), (r, z, n, u_n) in zip(reversed(order), reversed(kept)):
        dh_t = dy[:, t] + dh  # y_t = h
        dz, dn = dh_t * (before[:, t] - n), dh_t * (1 - z)  # h_new = (1 - z) n + z h
        da_n = dn * (1 - n * n)  # n = tanh(a_n + r u_n)
        dr = da_n * u_n
        da_r, da_z = dr * r * (1 - r), dz * z * (1 - z)
        da[:, t] = np.where(live[:, t], np.concatenate([da_r, da_z, da_n], -1), 0)
        du[:, t] = np.where(live[:, t], np.concatenate([da_r, da_z, da_n * r], -1), 0)
        dh = np.where(live[:, t], du[:, t] @ p["hidden"]["weight"] + dh_t * z, dh)  # u = U h + d
        if cut:
            dh = np.zeros_like(dh)
    g = {"hidden": hidden_gradient(p["hidden"], du, before)}
    dx, g["input"] = linear_backward(da, saved_input)  # a = W x + b
    return dx, dh if given else None, g
