"""The embedding's gradient as a kernel: rows added one after another, in the order in which their ids stand.

NumPy's `add.at` looks up every element for itself; here a whole row is added at once, which vectorises.
"""

import numpy as np

from ... import ops
from ...ops.embedding import check_ids
from .arrays import rows
from .compiled import compiled


def embedding(p, ids):
    check_ids(ids, len(p["weight"]))
    return p["weight"][ids], (ids, p["weight"])


def embedding_backward(dy, saved):
    ids, weight = saved
    dweight = np.zeros_like(weight)
    scatter_add(rows(dy), ids.astype(np.intp, copy=False).ravel(), dweight)
    return {"weight": dweight}


@compiled
def scatter_add(dy, ids, dweight):
    for n in range(len(ids)):
        row = dweight[ids[n]]
        for i in range(dy.shape[1]):
            row[i] += dy[n, i]


ops.embedding.implement("cpu", embedding, embedding_backward)
