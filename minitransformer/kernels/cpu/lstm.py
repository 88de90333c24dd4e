"""LSTM as a kernel: at each step one product of matrices (repeated.py), and one pass over the gates while it is near.

forward     u = h' Uᵀ           then the gates, c and h in one pass; the gates stay where a = W x + b + d stood
backward    one pass for da     then dh' = da U

A row of the batch is passed over in short loops, each with few arrays: a loop over all of them at once would not be
vectorised, since LLVM gives up on telling so many apart. The row is in the nearest cache meanwhile. Every loop begins
at 0, also where it is about a later gate: Numba counts a negative index from the end, and where a loop begins elsewhere
the code for one number at a time is run.
"""

import numpy as np

from ... import ops
from .compiled import compiled
from .functions import sigmoid, tanh
from .repeated import Repeated, multiply
from .steps import Run, bias_of, hand_on, map_gradient, rows, state, states


def lstm(p, x, h=None, c=None, *, mask=None, reverse=False, truncate=None):
    run = Run("lstm", x, mask, reverse, truncate)
    (T, B, _), H = run.x.shape, p["hidden"]["weight"].shape[1]
    given = h is not None, c is not None
    h, c = states(h, T, B, H, x.dtype), states(c, T, B, H, x.dtype)
    gates = (rows(run.x) @ p["input"]["weight"].T).reshape(T, B, 4 * H)
    bias = bias_of(p["input"]) + bias_of(p["hidden"])
    tanh_c, u = np.empty((T, B, H), x.dtype), np.empty((B, 4 * H), x.dtype)
    product = Repeated(p["hidden"]["weight"].T, B, T)
    if product.panels is not None:
        forward_steps(gates, product.panels, u, bias, run.live, c, h, tanh_c)
    else:
        for t in range(T):
            product(h[t], u)
            forward(gates[t], u, bias, run.live[t], c[t], h[t], c[t + 1], h[t + 1], tanh_c[t])
    return (run.said(h[1:]), h[T].copy(), c[T].copy()), (p, run, h, c, gates, tanh_c, given)


def lstm_backward(dy, dh, dc, saved):
    p, run, h, c, gates, tanh_c, given = saved
    dy, dh, dc = run.felt(dy, tanh_c), state(dh, h[0]), state(dc, h[0])
    da, dh_t, through = np.empty_like(gates), np.empty_like(dh), np.empty_like(dh)
    product = Repeated(p["hidden"]["weight"], len(dh), len(dy))
    if product.panels is not None:
        backward_steps(dy, run.live, gates, c, tanh_c, dh, dc, dh_t, da, product.panels, through, np.array(run.cuts))
    else:
        for t in range(len(da) - 1, -1, -1):
            backward(dy[t], run.live[t], gates[t], c[t], tanh_c[t], dh, dc, dh_t, da[t])
            run.hand_on(dh, product(da[t], through), t)
            if run.cuts[t]:
                dh[:], dc[:] = 0, 0
    run.keep_tokens(da)
    g = {"input": map_gradient(p["input"], da, run.x), "hidden": map_gradient(p["hidden"], da, h[:-1])}
    dx = run.out_of((rows(da) @ p["input"]["weight"]).reshape(run.x.shape))
    return dx, dh if given[0] else None, dc if given[1] else None, g


@compiled
def forward(a, u, bias, live, c, h, c_next, h_next, tanh_c):
    B, H = c.shape
    for b in range(B):
        there = live[b]
        for j in range(2 * H):
            a[b, j] = sigmoid(a[b, j] + u[b, j] + bias[j])
        for j in range(H):
            a[b, 2 * H + j] = tanh(a[b, 2 * H + j] + u[b, 2 * H + j] + bias[2 * H + j])
        for j in range(H):
            a[b, 3 * H + j] = sigmoid(a[b, 3 * H + j] + u[b, 3 * H + j] + bias[3 * H + j])
        for j in range(H):
            c_new = a[b, H + j] * c[b, j] + a[b, j] * a[b, 2 * H + j]
            c_next[b, j] = c_new if there else c[b, j]
        for j in range(H):
            tanh_c[b, j] = tanh(c_next[b, j])
        for j in range(H):
            h_next[b, j] = a[b, 3 * H + j] * tanh_c[b, j] if there else h[b, j]


@compiled
def backward(dy, live, gates, c, tanh_c, dh, dc, dh_t, da):
    one, zero = dy.dtype.type(1), dy.dtype.type(0)
    B, H = dh.shape
    for b in range(B):
        there = live[b]
        for j in range(H):
            dh_t[b, j] = dy[b, j] + dh[b, j]  # y = h
            dh[b, j] = zero if there else dh[b, j]
        for j in range(H):  # h = o tanh(c)
            o = gates[b, 3 * H + j]
            da[b, 3 * H + j] = dh_t[b, j] * tanh_c[b, j] * o * (one - o)
        for j in range(H):
            slope = gates[b, 3 * H + j] * (one - tanh_c[b, j] * tanh_c[b, j])
            dc[b, j] = dc[b, j] + dh_t[b, j] * slope if there else dc[b, j]
        for j in range(H):  # c = f c' + i n
            i = gates[b, j]
            da[b, j] = dc[b, j] * gates[b, 2 * H + j] * i * (one - i)
        for j in range(H):
            f = gates[b, H + j]
            da[b, H + j] = dc[b, j] * c[b, j] * f * (one - f)
        for j in range(H):
            n = gates[b, 2 * H + j]
            da[b, 2 * H + j] = dc[b, j] * gates[b, j] * (one - n * n)
        for j in range(H):
            dc[b, j] = dc[b, j] * gates[b, H + j] if there else dc[b, j]


@compiled
def forward_steps(gates, panels, u, bias, live, c, h, tanh_c):
    """All steps in one call, where the product is of tiles: Python's lock is not asked for between two of them."""
    for t in range(len(gates)):
        multiply(h[t], panels, u)
        forward(gates[t], u, bias, live[t], c[t], h[t], c[t + 1], h[t + 1], tanh_c[t])


@compiled
def backward_steps(dy, live, gates, c, tanh_c, dh, dc, dh_t, da, panels, through, cuts):
    for t in range(len(gates) - 1, -1, -1):
        backward(dy[t], live[t], gates[t], c[t], tanh_c[t], dh, dc, dh_t, da[t])
        multiply(da[t], panels, through)
        hand_on(dh, through, live[t])
        if cuts[t]:
            dh[:] = 0
            dc[:] = 0


ops.lstm.implement("cpu", lstm, lstm_backward)
