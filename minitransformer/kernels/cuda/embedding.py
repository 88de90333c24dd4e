"""The embedding's gradient on the device: which rows meet in one place is only known when ids are read.

    dW[i] = Σ dy_n over every place n where ids_n = i

The obvious kernel gives each place a block, and adds with atomic additions (`scatter_add_atomic`): right, and in its
last bits different every time, because blocks come in any order and (a + b) + c is not a + (b + c) in floating point.
A run that was trained twice would be two runs.

Here ids are sorted first (stably, so that equal ids stay in their order), where they lie: mostly with the host. Where a
run of equal ids begins, one block adds up its whole run, place after place, and writes the row once: no two blocks
write to one row. Threads share the columns, so every row of dy is read as one piece. The price is that a frequent token
is one block's work.
"""

import numpy as np

from ... import ops
from ...ops.embedding import check_ids
from ...ops.positions import positions_of
from .arrays import check_place, rows, to_device
from .device import THREADS, cuda, kernel, launch


def embedding(p, ids):
    check_place(**p)
    check_ids(ids, len(p["weight"]))
    return p["weight"][to_device(ids)], (ids, p["weight"])


def embedding_backward(dy, saved):
    ids, weight = saved
    check_place(dy=dy)
    return {"weight": summed_by_id(rows(dy), ids.ravel(), weight)}


def learned_positions(p, x, *, positions=None):
    check_place(x=x, **p)
    positions = positions_of(x, positions)
    check_ids(positions, len(p["weight"]), "positions", "the context")
    return x + p["weight"][to_device(positions)], (positions, p["weight"])


def learned_positions_backward(dy, saved):
    positions, weight = saved
    check_place(dy=dy)
    felt = dy.sum(0) if positions.ndim == 1 else dy  # one row served every sequence of the batch: add
    return dy, {"weight": summed_by_id(rows(felt), positions.ravel(), weight)}


def summed_by_id(dy, ids, weight):
    """dW (V, D) of dy (N, D), whose rows belong to ids (N)"""
    dweight = np.zeros_like(weight, order="C")
    order = np.argsort(ids, kind="stable")
    order, ids = (to_device(part.astype(np.int64)) for part in (order, ids[order]))
    launch(sum_runs, len(ids), THREADS, dy, order, ids, dweight)
    return dweight


@kernel
def sum_runs(dy, order, ids, dweight):
    """A block to each sorted place n. It has something to do where a run of equal ids begins."""
    n, D = cuda.blockIdx.x, dy.shape[1]
    if n > 0 and ids[n - 1] == ids[n]:
        return
    end = n + 1
    while end < ids.size and ids[end] == ids[n]:
        end += 1
    for i in range(cuda.threadIdx.x, D, THREADS):
        total = dy[order[n], i]
        for m in range(n + 1, end):
            total += dy[order[m], i]
        dweight[ids[n], i] = total


@kernel
def scatter_add_atomic(dy, ids, dweight):
    """The same, up to rounding: a block to each place, in whatever order they come. For comparison; nothing uses it."""
    n, D = cuda.blockIdx.x, dy.shape[1]
    for i in range(cuda.threadIdx.x, D, THREADS):
        cuda.atomic.add(dweight, (ids[n], i), dy[n, i])


ops.embedding.implement("cuda", embedding, embedding_backward)
ops.learned_positions.implement("cuda", learned_positions, learned_positions_backward)
