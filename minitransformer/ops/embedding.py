"""The embedding: row i of a table for every id i.

    forward     y_n = W[ids_n]

    backward    row i stood wherever ids_n = i, so it feels the sum:   dW[i] = Σ_{n: ids_n = i} dy_n

`dW[ids] += dy` would keep only one of several equal ids; `np.add.at` adds them all.
"""

import numpy as np

from ..convention import backward_of, op


def check_ids(ids, size, what="ids", limit="the vocabulary"):
    """ValueError where an id is outside 0 ... size - 1."""
    if ids.size and (ids.min() < 0 or ids.max() >= size):
        raise ValueError(f"{what} range from {ids.min()} to {ids.max()}, outside {limit} of {size}")


@op(ids="int ...", weight="V D")
def embedding(p, ids):
    """y = W[ids]

    p["weight"] (V, D)   ids (...) integers in 0 ... V - 1   ->   y (..., D)
    """
    check_ids(ids, len(p["weight"]))
    return p["weight"][ids], (ids, p["weight"])


@backward_of(embedding)
def embedding_backward(dy, saved):
    """dW[i] = Σ dy over every place where i stood"""
    ids, weight = saved
    dweight = np.zeros_like(weight)
    np.add.at(dweight, ids, dy)  # y = W[ids]
    return {"weight": dweight}
