"""GRU as a kernel: at each step one product of matrices (repeated.py), and one pass over the gates, as in lstm.py.

forward     u = h' Uᵀ           then the gates and h in one pass; the gates stay where a = W x stood
backward    one pass for du     then dh' = du U + dh z
"""

import numpy as np

from ... import ops
from .compiled import compiled
from .functions import sigmoid, tanh
from .repeated import Repeated
from .steps import Run, bias_of, map_gradient, rows, state, states


def gru(p, x, h=None, *, mask=None, reverse=False, truncate=None):
    run, given = Run("gru", x, mask, reverse, truncate), h is not None
    (T, B, _), H = run.x.shape, p["hidden"]["weight"].shape[1]
    h = states(h, T, B, H, x.dtype)
    gates = (rows(run.x) @ p["input"]["weight"].T).reshape(T, B, 3 * H)
    b, d = bias_of(p["input"]), bias_of(p["hidden"])
    u_n, u = np.empty((T, B, H), x.dtype), np.empty((B, 3 * H), x.dtype)
    product = Repeated(p["hidden"]["weight"].T, B, T)
    for t in range(T):
        product(h[t], u)
        forward(gates[t], u, b, d, run.live[t], h[t], h[t + 1], u_n[t])
    return (run.said(h[1:]), h[T].copy()), (p, run, h, gates, u_n, given)


def gru_backward(dy, dh, saved):
    p, run, h, gates, u_n, given = saved
    dy, dh = run.felt(dy, u_n), state(dh, h[0])
    du, da_n = np.empty_like(gates), np.empty_like(u_n)
    dh_t, through = np.empty_like(dh), np.empty_like(dh)
    product = Repeated(p["hidden"]["weight"], len(dh), len(dy))
    for t in range(len(du) - 1, -1, -1):
        backward(dy[t], run.live[t], gates[t], u_n[t], h[t], dh, dh_t, da_n[t], du[t])
        run.hand_on(dh, product(du[t], through), t)
        if run.cuts[t]:
            dh[:] = 0
    run.keep_tokens(du, da_n)
    g = {"hidden": map_gradient(p["hidden"], du, h[:-1])}
    du[..., 2 * dh.shape[1] :] = da_n  # now it is da
    g["input"] = map_gradient(p["input"], du, run.x)
    dx = run.out_of((rows(du) @ p["input"]["weight"]).reshape(run.x.shape))
    return dx, dh if given else None, g


@compiled
def forward(a, u, bias, bias_of_state, live, h, h_next, u_n):
    one = a.dtype.type(1)
    B, H = h.shape
    for b in range(B):
        there = live[b]
        for j in range(2 * H):
            a[b, j] = sigmoid(a[b, j] + bias[j] + (u[b, j] + bias_of_state[j]))
        for j in range(H):
            u_n[b, j] = u[b, 2 * H + j] + bias_of_state[2 * H + j]
        for j in range(H):
            a[b, 2 * H + j] = a[b, 2 * H + j] + bias[2 * H + j]
        for j in range(H):
            h_next[b, j] = tanh(a[b, 2 * H + j] + a[b, j] * u_n[b, j])  # n, for now
        for j in range(H):
            a[b, 2 * H + j] = h_next[b, j]
        for j in range(H):
            z = a[b, H + j]
            h_next[b, j] = (one - z) * h_next[b, j] + z * h[b, j] if there else h[b, j]


@compiled
def backward(dy, live, gates, u_n, h, dh, dh_t, da_n, du):
    one = dy.dtype.type(1)
    B, H = dh.shape
    for b in range(B):
        there = live[b]
        for j in range(H):
            dh_t[b, j] = dy[b, j] + dh[b, j]  # y = h
        for j in range(H):  # h = (1 - z) n + z h'
            dh[b, j] = dh_t[b, j] * gates[b, H + j] if there else dh[b, j]
        for j in range(H):
            z = gates[b, H + j]
            du[b, H + j] = dh_t[b, j] * (h[b, j] - gates[b, 2 * H + j]) * z * (one - z)
        for j in range(H):  # n = tanh(a + r u)
            n = gates[b, 2 * H + j]
            da_n[b, j] = dh_t[b, j] * (one - gates[b, H + j]) * (one - n * n)
        for j in range(H):
            du[b, 2 * H + j] = da_n[b, j] * gates[b, j]
        for j in range(H):
            r = gates[b, j]
            du[b, j] = da_n[b, j] * u_n[b, j] * r * (one - r)


ops.gru.implement("cpu", gru, gru_backward)
