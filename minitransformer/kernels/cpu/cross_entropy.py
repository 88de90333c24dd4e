"""Softmax cross-entropy as a kernel: two passes over the logits forward, one backward; the softmax is never stored.

forward     a row's maximum, then Σ exp(z - max): kept are max, log Σ, and the mean of z - max, three numbers a row

backward    dz = (exp((z - max) - log Σ) - t) dloss / N          from the logits once more
"""

import numpy as np

from ... import ops
from ...ops.cross_entropy import check_smoothing, checked_targets
from .arrays import rows
from .compiled import compiled
from .functions import LANES, exp_negative, largest


def cross_entropy(logits, targets, *, ignore_index=-100, label_smoothing=0.0):
    check_smoothing(label_smoothing)
    ids, counted, n = checked_targets(targets, logits.shape[-1], ignore_index)
    ids = ids.astype(np.intp, copy=False)  # one kernel for whole numbers of all types
    z, statistics = rows(logits), np.empty((targets.size, 3), logits.dtype)
    forward(z, statistics)
    total = add_up(z, ids.ravel(), counted.ravel(), label_smoothing, statistics)
    return logits.dtype.type(total / n), (logits, ids, counted, n, label_smoothing, statistics)


def cross_entropy_backward(dloss, saved):
    logits, ids, counted, n, label_smoothing, statistics = saved
    dlogits = np.empty(logits.shape, logits.dtype)
    share = float(dloss) / n
    backward(share, rows(logits), ids.ravel(), counted.ravel(), label_smoothing, statistics, rows(dlogits))
    return dlogits


@compiled(sums=True)
def forward(z, statistics):
    one = z.dtype.type
    N, V = z.shape
    lanes = np.empty(LANES, z.dtype)
    for n in range(N):
        most = largest(z[n], lanes)
        total, sum_z = one(0), one(0)
        for i in range(V):
            total += exp_negative(z[n, i] - most)
            sum_z += z[n, i] - most
        statistics[n, 0], statistics[n, 1], statistics[n, 2] = most, np.log(total), sum_z / one(V)


@compiled
def add_up(z, ids, counted, smoothing, statistics):
    """The loss of all rows. Where sums may be taken in any order, `most` would be added to log Σ, a small number."""
    loss = 0.0  # in float64: it is one number for many rows
    for n in range(len(z)):
        if counted[n]:
            most, log_total, mean = statistics[n, 0], statistics[n, 1], statistics[n, 2]
            loss += (1 - smoothing) * (log_total - (z[n, ids[n]] - most))
            if smoothing:  # 0 times the mean of a row with -∞ in it would be no number
                loss += smoothing * (log_total - mean)
    return loss


@compiled
def backward(share, z, ids, counted, smoothing, statistics, dz):
    one = z.dtype.type
    N, V = z.shape
    scale, uniform = one(share), one(smoothing / V)
    for n in range(N):
        if counted[n]:
            most, log_total = statistics[n, 0], statistics[n, 1]
            for i in range(V):
                dz[n, i] = (exp_negative((z[n, i] - most) - log_total) - uniform) * scale
            dz[n, ids[n]] -= one(1 - smoothing) * scale
        else:
            dz[n] = 0


ops.cross_entropy.implement("cpu", cross_entropy, cross_entropy_backward)
