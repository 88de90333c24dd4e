"""Softmax cross-entropy on the device: a block to a row of logits; the softmax is never stored.

A row is a whole vocabulary. It is read twice forward, for the largest logit and for the sums that need it, and once
backward. The block's largest and its sums come by reduce.py.

forward     kept are max, log Σ exp(z - max), and the loss of the row; one block adds up the rows

backward    dz = (exp((z - max) - log Σ) - t) dloss / N          from the logits once more

The loss stays on the device. Whoever wants the number waits for it, and best after the backward was asked for as well:
the host needs as long to ask for a small model's backward as the device for doing it.
"""

import numpy as np

from ... import ops
from ...ops.cross_entropy import check_smoothing, checked_targets
from .arrays import check_place, empty, rows, to_device
from .device import THREADS, WARPS, cuda, kernel, launch
from .functions import exp, log
from .reduce import block_max, block_sum


def cross_entropy(logits, targets, *, ignore_index=-100, label_smoothing=0.0):
    check_smoothing(label_smoothing)
    check_place(logits=logits)
    ids, counted, n = checked_targets(targets, logits.shape[-1], ignore_index)
    ids, counted = (to_device(part.ravel()) for part in (ids.astype(np.int64), counted))
    z, real = rows(logits), logits.dtype.type
    statistics = empty((len(z), 3), logits)
    launch(forward, len(z), THREADS, z, ids, counted, real(label_smoothing), statistics)
    loss = empty(1, logits)
    launch(mean, 1, THREADS, statistics, real(n), loss)
    return loss.reshape(()), (logits, ids, counted, n, label_smoothing, statistics)


def cross_entropy_backward(dloss, saved):
    logits, ids, counted, n, label_smoothing, statistics = saved
    dlogits, z, real = empty(logits.shape, logits), rows(logits), logits.dtype.type
    share, uniform = real(float(dloss) / n), real(label_smoothing / max(z.shape[1], 1))
    factors = real(1 - label_smoothing), uniform, share
    launch(backward, len(z), THREADS, z, ids, counted, *factors, statistics, rows(dlogits))
    return dlogits


@kernel
def forward(z, ids, counted, smoothing, statistics):
    real, V = z.dtype.type, z.shape[1]
    of_warps = cuda.shared.array(WARPS, z.dtype)
    n, thread = cuda.blockIdx.x, cuda.threadIdx.x
    most = real(-np.inf)
    for i in range(thread, V, THREADS):
        most = max(most, z[n, i])  # which may pass over a NaN; the sums below do not
    most = block_max(most, of_warps)
    total, sum_z = real(0), real(0)
    for i in range(thread, V, THREADS):
        total += exp(z[n, i] - most)
        sum_z += z[n, i] - most
    log_total = log(block_sum(total, of_warps))
    mean = block_sum(sum_z, of_warps) / real(V)
    if thread == 0:
        loss = real(0)
        if counted[n]:
            loss = (real(1) - smoothing) * (log_total - (z[n, ids[n]] - most))
            if smoothing != real(0):  # 0 times the mean of a row with -∞ in it would be no number
                loss += smoothing * (log_total - mean)
        statistics[n, 0], statistics[n, 1], statistics[n, 2] = most, log_total, loss


@kernel
def mean(statistics, n, loss):
    """A single block: thread i adds up the rows i, i + THREADS, ..."""
    of_warps = cuda.shared.array(WARPS, loss.dtype)
    total = loss.dtype.type(0)
    for i in range(cuda.threadIdx.x, statistics.shape[0], THREADS):
        total += statistics[i, 2]
    total = block_sum(total, of_warps)
    if cuda.threadIdx.x == 0:
        loss[0] = total / n


@kernel
def backward(z, ids, counted, of_target, uniform, share, statistics, dz):
    real, V = z.dtype.type, z.shape[1]
    n = cuda.blockIdx.x
    most, log_total = statistics[n, 0], statistics[n, 1]
    for i in range(cuda.threadIdx.x, V, THREADS):
        if counted[n]:
            target = uniform + of_target if i == ids[n] else uniform
            dz[n, i] = (exp((z[n, i] - most) - log_total) - target) * share
        else:
            dz[n, i] = real(0)


ops.cross_entropy.implement("cuda", cross_entropy, cross_entropy_backward)
