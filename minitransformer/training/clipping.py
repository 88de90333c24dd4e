"""Gradient clipping by the global norm (Pascanu, Mikolov & Bengio 2013, algorithm 1).

The whole gradient is shortened where it is longer than allowed, so that its direction stays. It comes after the
pieces of a batch are added up: clipping each of them would turn the sum.
"""

from ..ops import global_norm
from ..trees import tree_map


def clip_by_global_norm(g, max_norm):
    """g, or g shortened to length max_norm; and the length that it had."""
    factor, norm = clipping_factor(g, max_norm)
    return (g if factor == 1 else tree_map(lambda leaf: leaf * factor, g)), norm


def clipping_factor(g, max_norm):
    """What g must be multiplied by, at most 1, and its length: for who can multiply while doing something else."""
    norm = global_norm(g)
    return (1.0 if norm <= max_norm else max_norm / norm), norm
