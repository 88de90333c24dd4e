"""The simple recurrent network as a kernel: at each step one product (repeated.py), and one pass over the state.

forward     u = h' Uᵀ           h = activation(a + u), a = W x of all steps from one product
backward    one pass for da     then dh' = da U
"""

import numpy as np

from ... import ops
from ...ops.rnn import check_activation
from .compiled import compiled
from .functions import tanh
from .repeated import Repeated
from .steps import Run, bias_of, map_gradient, rows, state, states


def rnn(p, x, h=None, *, activation=ops.tanh, mask=None, reverse=False, truncate=None):
    check_activation(activation)
    run, given = Run("rnn", x, mask, reverse, truncate), h is not None
    (T, B, _), H = run.x.shape, p["hidden"]["weight"].shape[1]
    h = states(h, T, B, H, x.dtype)
    a = (rows(run.x) @ p["input"]["weight"].T).reshape(T, B, H)
    bias, u = bias_of(p["input"]) + bias_of(p["hidden"]), np.empty((B, H), x.dtype)
    forward = forward_tanh if activation is ops.tanh else forward_relu
    product = Repeated(p["hidden"]["weight"].T, B, T)
    for t in range(T):
        product(h[t], u)
        forward(a[t], u, bias, run.live[t], h[t], h[t + 1])
    return (run.said(h[1:]), h[T].copy()), (p, run, h, given, activation)


def rnn_backward(dy, dh, saved):
    p, run, h, given, activation = saved
    dy, dh = run.felt(dy, h[1:]), state(dh, h[0])
    da, through = np.empty_like(dy), np.empty_like(dh)
    backward = backward_tanh if activation is ops.tanh else backward_relu
    product = Repeated(p["hidden"]["weight"], len(dh), len(dy))
    for t in range(len(da) - 1, -1, -1):
        backward(dy[t], run.live[t], h[t + 1], dh, da[t])
        run.hand_on(dh, product(da[t], through), t)
        if run.cuts[t]:
            dh[:] = 0
    g = {"input": map_gradient(p["input"], da, run.x), "hidden": map_gradient(p["hidden"], da, h[:-1])}
    dx = run.out_of((rows(da) @ p["input"]["weight"]).reshape(run.x.shape))
    return dx, dh if given else None, g


@compiled
def forward_tanh(a, u, bias, live, h, h_next):
    B, H = h.shape
    for b in range(B):
        there = live[b]
        for j in range(H):
            h_next[b, j] = tanh(a[b, j] + u[b, j] + bias[j]) if there else h[b, j]


@compiled
def forward_relu(a, u, bias, live, h, h_next):
    zero = a.dtype.type(0)
    B, H = h.shape
    for b in range(B):
        there = live[b]
        for j in range(H):
            v = a[b, j] + u[b, j] + bias[j]
            h_next[b, j] = (zero if v < zero else v) if there else h[b, j]


@compiled
def backward_tanh(dy, live, h, dh, da):
    one, zero = dy.dtype.type(1), dy.dtype.type(0)
    B, H = dh.shape
    for b in range(B):
        there = live[b]
        for j in range(H):
            da[b, j] = (dy[b, j] + dh[b, j]) * (one - h[b, j] * h[b, j]) if there else zero
            dh[b, j] = zero if there else dh[b, j]


@compiled
def backward_relu(dy, live, h, dh, da):
    zero = dy.dtype.type(0)
    B, H = dh.shape
    for b in range(B):
        there = live[b]
        for j in range(H):
            da[b, j] = dy[b, j] + dh[b, j] if there and h[b, j] > zero else zero
            dh[b, j] = zero if there else dh[b, j]


ops.rnn.implement("cpu", rnn, rnn_backward)
