"""Gradient clipping by the global norm (Pascanu, Mikolov & Bengio 2013, algorithm 1).

The whole gradient is shortened where it is longer than allowed, so that its direction stays. It comes after the
pieces of a batch are added up: clipping each of them would turn the sum.
"""

from ..ops import global_norm
from ..trees import tree_map


def clip_by_global_norm(g, max_norm):
    """g, or g shortened to length max_norm; and the length that it had."""
    norm = global_norm(g)
    if norm <= max_norm:
        return g, norm
    scale = max_norm / norm
    return tree_map(lambda leaf: leaf * scale, g), norm
