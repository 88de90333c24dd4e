"""Positions added to embeddings: a fixed table of waves, or a table that is learned.

Sinusoidal (Vaswani et al. 2017, section 3.5): column pair i of position t turns at its own frequency,

    P[t, 2i] = sin(t f_i)        P[t, 2i + 1] = cos(t f_i)        f_i = 10000^(-2i/D)

    forward     y = x + P[positions]
    backward    dx = dy                     the table is a constant

Learned (Gehring et al. 2017, section 3.1; GPT, BERT): the table is a parameter.

    forward     y = x + W[positions]
    backward    dx = dy        dW[t] = Σ dy over every place where t stood, in any sequence of the batch
"""

import numpy as np

from ..convention import backward_of, op
from .embedding import check_ids


def positions_of(x, positions):
    """The positions given for x (B, T, D), or 0 ... T - 1."""
    B, T, _ = x.shape
    if positions is None:
        return np.arange(T)
    if positions.shape not in ((T,), (B, T)):
        raise ValueError(f"positions have shape {positions.shape}, expected {(T,)} or {(B, T)}")
    return positions


def sinusoid_table(positions, d_model, dtype):
    """P[positions], of shape (*positions.shape, d_model)."""
    column = np.arange(d_model)
    frequency = 10000.0 ** (-2.0 * (column // 2) / d_model)  # both columns of a pair: 2 (c // 2), not 2 c
    angle = positions[..., None] * frequency
    return np.where(column % 2, np.cos(angle), np.sin(angle)).astype(dtype)


@op(x="B T D", positions="[int ...]")
def sinusoidal_positions(x, *, positions=None):
    """y = x + P[positions]        x (B, T, D)   positions (T) or (B, T), by default 0 ... T - 1   ->   y (B, T, D)"""
    return x + np.asarray(sinusoid_table(positions_of(x, positions), x.shape[-1], x.dtype), like=x), ()


@backward_of(sinusoidal_positions)
def sinusoidal_positions_backward(dy, saved):
    """dx = dy"""
    return dy


@op(weight="C D", x="B T D", positions="[int ...]")
def learned_positions(p, x, *, positions=None):
    """y = x + W[positions]

    p["weight"] (C, D), C the longest context   x (B, T, D)   positions (T) or (B, T), by default 0 ... T - 1
    ->   y (B, T, D)
    """
    positions = positions_of(x, positions)
    check_ids(positions, len(p["weight"]), "positions", "the context")
    return x + p["weight"][positions], (positions, p["weight"])


@backward_of(learned_positions)
def learned_positions_backward(dy, saved):
    """dx = dy        dW[t] = Σ dy over every place where t stood"""
    positions, weight = saved
    dweight = np.zeros_like(weight)
    rows = dy.sum(0) if positions.ndim == 1 else dy  # one row served every sequence of the batch: add
    np.add.at(dweight, positions, rows)  # y = x + W[positions]
    return dy, {"weight": dweight}
