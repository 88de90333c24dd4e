"""Finite differences against the backward pass of any thing of the convention.

    check(case, dtype, rng)     every gradient of one case, leaf by leaf (check.py)
    draw_cases(name, draw)      what the inputs of a registered thing look like (cases/)
    own_cases(text, rng)        somebody's own pair of functions (own.py)

A gradient check proves that the backward belongs to the forward. It never proves that the forward is right: the
museum of bugs in the docs is full of wrong forwards with exact gradients.
"""

from .cases import CASES, Case, Draw, draw_cases
from .check import EXTENDED, Gradient, bar, check, compare, differences, has_extended, worst

__all__ = [
    "CASES",
    "Case",
    "Draw",
    "EXTENDED",
    "Gradient",
    "bar",
    "check",
    "compare",
    "differences",
    "draw_cases",
    "has_extended",
    "worst",
]
