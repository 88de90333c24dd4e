"""Rotary positions (Su et al. 2021, "RoFormer", section 3.2.2): queries and keys are turned as their positions say.

Its K columns are K/2 points of a plane. Point i, the columns a and b, turns at its own frequency f_i: at position t

    forward     y_a = x_a cos(t f_i) - x_b sin(t f_i)        y_b = x_b cos(t f_i) + x_a sin(t f_i)

    backward    the same, turned back: dx_a = dy_a cos + dy_b sin        dx_b = dy_b cos - dy_a sin

A query at t and a key at s, both turned, have the product of the query and the key turned by s - t: attention feels
distances, and no position by itself.

Which two columns are a point is published in two ways, and weights made for one are no good with the other:

    neighbours      a = 2i, b = 2i + 1          Su et al.; LLaMA as Meta published it
    halves          a = i,  b = i + K/2         GPT-NeoX; LLaMA's folders on the Hugging Face hub
"""

import numpy as np

from ..convention import backward_of, op
from .positions import positions_of

PAIRINGS = ("halves", "neighbours")


def points(x, pairing):
    """x (..., K)   ->   views of its columns a and b (..., K/2)"""
    half = x.shape[-1] // 2
    return (x[..., :half], x[..., half:]) if pairing == "halves" else (x[..., ::2], x[..., 1::2])


def turned(x, cos, sin, pairing):
    (a, b), y = points(x, pairing), np.empty_like(x)
    y_a, y_b = points(y, pairing)
    y_a[...], y_b[...] = a * cos - b * sin, b * cos + a * sin
    return y


@op(x="B H T K", positions="[int ...]")
def rotary(x, *, frequencies, positions=None, pairing="halves"):
    """Every point of x turned by the angle positions · frequencies

    x (B, H, T, K)   frequencies (K/2), radians a position   positions (T) or (B, T), by default 0 ... T - 1   ->   y
    pairing: "halves" or "neighbours"
    ValueError for an odd K, other frequencies than K/2, and another pairing
    """
    K = x.shape[-1]
    if K % 2 or np.shape(frequencies) != (K // 2,):
        raise ValueError(f"{np.shape(frequencies)} frequencies do not turn the {K} columns of a head, two by two")
    if pairing not in PAIRINGS:
        raise ValueError(f"pairing is {' or '.join(PAIRINGS)}, not {pairing!r}")
    positions = positions_of(x[:, 0], positions)
    angles = positions[..., None] * np.asarray(frequencies, np.float64)  # (T,K/2) or (B,T,K/2)
    if angles.ndim == 3:
        angles = angles[:, None]  # every head alike
    cos, sin = (np.asarray(part.astype(x.dtype), like=x) for part in (np.cos(angles), np.sin(angles)))
    return turned(x, cos, sin, pairing), (cos, sin, pairing)


@backward_of(rotary)
def rotary_backward(dy, saved):
    """dx = dy turned back"""
    cos, sin, pairing = saved
    return turned(dy, cos, -sin, pairing)
