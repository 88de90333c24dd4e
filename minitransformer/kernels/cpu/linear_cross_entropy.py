"""The head and its cross-entropy, some of the vocabulary at a time: the logits of all of it never exist.

As in attention, a softmax is taken over pieces: rows meet a piece of the vocabulary, and a maximum and a sum go along.
The backward computes the logits again: four products instead of three, and no array as large as all logits. Of a
vocabulary that is one piece, the logits are kept.

forward     for each piece of the vocabulary:
                z = x Wᵀ        m' = max(m, max z)        l = l exp(m - m') + Σ exp(z - m')        and the target's z
            loss = mean of log l - (z_target - m)

backward    for each piece:
                z = x Wᵀ again        dz = (exp((z - m) - log l) - t) dloss / N
                dx += dz W        dW = dzᵀ x
"""

import numpy as np

from ... import ops
from ...ops.cross_entropy import check_smoothing, checked_targets
from .arrays import rows
from .compiled import compiled
from .functions import LANES, exp_negative, largest

PIECE = 2048  # ids of the vocabulary


def pieces(V):
    return [slice(begin, min(begin + PIECE, V)) for begin in range(0, V, PIECE)]


def linear_cross_entropy(p, x, targets, *, ignore_index=-100, label_smoothing=0.0):
    check_smoothing(label_smoothing)
    weight, x_rows, V = p["weight"], rows(x), len(p["weight"])
    ids, counted, n = checked_targets(targets, V, ignore_index)
    ids = ids.ravel().astype(np.intp, copy=False)
    m, l, target, rest = np.zeros((4, ids.size), x.dtype)  # of a row: max z, Σ exp(z - m), z_target, Σ (z - m)
    m[:] = -np.inf
    z = None
    for piece in pieces(V):
        z = x_rows @ weight[piece].T
        absorb(z, piece.start, ids, m, l, target, rest)
    log_l, counted = np.log(l), counted.ravel()
    losses = log_l - (target - m)
    if label_smoothing:  # 0 times the mean of a row with -∞ in it would be no number
        losses = (1 - label_smoothing) * losses + label_smoothing * (log_l - rest / V)
    total = losses[counted].sum(dtype=np.float64)  # one number for many rows
    kept = z if V <= PIECE else None
    return x.dtype.type(total / n), (x, weight, ids, counted, n, label_smoothing, m, log_l, kept)


def linear_cross_entropy_backward(dloss, saved):
    x, weight, ids, counted, n, label_smoothing, m, log_l, kept = saved
    x_rows = rows(x)
    dx, dweight = np.zeros(x_rows.shape, x.dtype), np.empty(weight.shape, x.dtype)
    for piece in pieces(len(weight)):
        z = x_rows @ weight[piece].T if kept is None else kept.copy()
        differentiate(
            z, piece.start, ids, counted, m, log_l, label_smoothing / len(weight), 1 - label_smoothing, float(dloss) / n
        )
        dx += z @ weight[piece]  # z = x Wᵀ
        np.matmul(z.T, x_rows, out=dweight[piece])
    return dx.reshape(x.shape), {"weight": dweight}


@compiled(sums=True)
def absorb(z, begin, ids, m, l, target, rest):
    """Take a piece of the logits (N, ids from `begin` on) into m, l, target and rest, all (N)"""
    real = z.dtype.type
    N, V = z.shape
    lanes = np.empty(LANES, z.dtype)
    for n in range(N):
        most = largest(z[n], lanes)
        if most > m[n]:
            l[n] *= exp_negative(m[n] - most)  # 0 for the first piece, where m is -∞
            if begin and m[n] > real(-np.inf):
                rest[n] += (m[n] - most) * real(begin)
            m[n] = most
        shift = m[n] if m[n] > real(-np.inf) else real(0)  # where all so far are -∞ or NaN: exp gives 0 and NaN
        total, total_rest = real(0), real(0)
        for i in range(V):
            total += exp_negative(z[n, i] - shift)
            total_rest += z[n, i] - shift
        l[n] += total
        rest[n] += total_rest
        if begin <= ids[n] < begin + V:
            target[n] = z[n, ids[n] - begin]


@compiled
def differentiate(z, begin, ids, counted, m, log_l, uniform, whole, share):
    """A piece of the logits becomes their gradient."""
    real = z.dtype.type
    N, V = z.shape
    scale, uniform = real(share), real(uniform)
    for n in range(N):
        if counted[n]:
            shift, log_total = m[n], log_l[n]
            for i in range(V):
                z[n, i] = (exp_negative((z[n, i] - shift) - log_total) - uniform) * scale
            if begin <= ids[n] < begin + V:
                z[n, ids[n] - begin] -= real(whole) * scale
        else:
            z[n] = 0


ops.linear_cross_entropy.implement("cpu", linear_cross_entropy, linear_cross_entropy_backward)
