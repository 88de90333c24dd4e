"""The length of a whole gradient, as if all its leaves were one vector:  √(Σ_leaves Σ g²)."""

import numpy as np

from ..convention import op
from ..trees import leaves


@op(gradient=False)
def global_norm(g):
    """g, a tree of arrays   ->   a float

    Summed in float64, in the order of the names: the same bits whatever order the tree was built in.
    """
    return float(np.sqrt(sum(float(np.sum(np.square(leaf, dtype=np.float64))) for _, leaf in leaves(g))))
