"""From logits to one id: greedy, temperature, top-k, top-p; the last by Holtzman et al. 2020.

1. temperature τ    p = softmax(logits / τ); as τ → 0 all of it goes to the largest logit, and τ = 0 is that limit
2. top-k            the k largest p stay, the rest is 0
3. top-p            of what stayed, scaled up to 1: the fewest of the largest p that together reach top_p

A set is cut by a value, and whatever equals the smallest p that stays, stays: no tie is broken by the order of ids.
(τ = 0 alone takes the smallest id.) The token by which the sum reaches top_p is in: cut before it, and 0.3 would leave
nothing at all of (0.6, 0.4).
"""

import numpy as np


def check_settings(temperature, top_k, top_p):
    """ValueError for a setting that makes no sense."""
    if not 0 <= temperature < np.inf:
        raise ValueError(f"the temperature must be 0 (greedy) or more, not {temperature}")
    if top_k is not None and top_k < 1:
        raise ValueError(f"top_k must be at least 1, not {top_k}")
    if top_p is not None and not 0 < top_p <= 1:
        raise ValueError(f"top_p must be above 0 and at most 1, not {top_p}")


def probabilities(logits, *, temperature=1.0, top_k=None, top_p=None):
    """logits (V)   ->   p (V) float64, from which `choose` takes an id

    -∞ stands for a token that may not come. ValueError for NaN, ∞, or nothing that may come.
    """
    check_settings(temperature, top_k, top_p)
    logits = np.asarray(logits, np.float64)
    if not np.isfinite(logits.max()):  # NaN is the maximum of whatever has it
        raise ValueError(f"no token can be chosen: the largest of the logits is {logits.max()}")
    if temperature == 0:
        return (np.arange(len(logits)) == logits.argmax()).astype(np.float64)
    with np.errstate(over="ignore"):  # a tiny temperature sends all but the largest to -∞, which is right
        p = np.exp((logits - logits.max()) / temperature)
    if top_k is not None and top_k < len(p):
        p = np.where(p >= np.partition(p, -top_k)[-top_k], p, 0)
    if top_p is not None and top_p < 1:
        falling = np.sort(p)[::-1]
        sums = np.cumsum(falling)
        before = np.append(0, sums[:-1])  # what is gathered before each of them comes
        p = np.where(p >= falling[before < top_p * sums[-1]][-1], p, 0)
    return p / p.sum()


def choose(p, u):
    """The id that the uniform number u, 0 <= u < 1, falls on when [0, 1) is divided in the proportions p (V)."""
    borders = np.cumsum(p)
    return int(np.searchsorted(borders / borders[-1], u, side="right"))


def sample(logits, u, **settings):
    """logits (V), u in [0, 1)   ->   an id, with the settings of `probabilities`"""
    return choose(probabilities(logits, **settings), u)
