"""Their tensors and our parameters: one table for a model, read in both directions.

A row of the table is one of their tensors and the parameters that lie in it side by side, along the first axis; where
theirs is stored (in, out), transposed. So

    ours → theirs       concatenate, transpose
    theirs → ours       transpose, split
"""

from typing import NamedTuple

import numpy as np

from ..trees import fill, leaves
from .tensors import WHOLE_NUMBERS, shown


class Row(NamedTuple):
    theirs: str
    ours: tuple  # paths
    transposed: bool = False


def prefixed(stored, prefix):
    """The tensors with this before each name but a head's. ValueError where one is there with it and without."""
    found = {name if name.startswith((prefix, "lm_head.")) else prefix + name: each for name, each in stored.items()}
    if len(found) < len(stored):
        raise ValueError(f"a tensor is there twice, with {prefix} before its name and without")
    return found


def tensors_of(p, table):
    """{their name: array} of our parameters."""
    parameters = dict(leaves(p))
    return {row.theirs: their_tensor([parameters[path] for path in row.ours], row) for row in table}


def their_tensor(parts, row):
    whole = np.concatenate(parts) if len(parts) > 1 else parts[0]
    return np.ascontiguousarray(whole.T if row.transposed else whole)


def parameters_of(stored, table, shapes, dtype):
    """Our parameters, a tree of the shape of `shapes`, from {their name: Stored}.

    shapes: a tree of the model's parameters, whatever their values
    ValueError that lists everything that is missing, unknown or of another shape.
    """
    expected = dict(leaves(shapes))
    wrong = [f"missing: {row.theirs}" for row in table if row.theirs not in stored]
    wrong += [f"unknown: {shown(name)}" for name in sorted(stored.keys() - {row.theirs for row in table})]
    for row in table:
        if row.theirs in stored and stored[row.theirs].dtype in WHOLE_NUMBERS:
            wrong.append(f"{row.theirs} is of dtype {stored[row.theirs].dtype}, which is of whole numbers")
        shape = their_shape([expected[path].shape for path in row.ours], row)
        if row.theirs in stored and stored[row.theirs].shape != shape:
            wrong.append(f"{row.theirs} has shape {stored[row.theirs].shape}, expected {shape}")
    if wrong:
        raise ValueError("; ".join(wrong[:20]) + (f"; and {len(wrong) - 20} more" if len(wrong) > 20 else ""))
    named = {}
    for row in table:
        parts = stored[row.theirs].parts(len(row.ours), dtype, row.transposed)
        named |= zip(row.ours, parts, strict=True)
    return fill(shapes, named)


def their_shape(shapes, row):
    first, *rest = shapes[0]
    whole = (first * len(shapes), *rest)
    return whole[::-1] if row.transposed else whole
