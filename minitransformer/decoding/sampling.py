"""From logits to one id: greedy, temperature, top-k, top-p, min-p, and a penalty for what was there before.

0. repetition θ     the logits of ids that were there: z / θ where z > 0, and z θ where not, so that θ > 1 lowers both
1. temperature τ    p = softmax(logits / τ); as τ → 0 all of it goes to the largest logit, and τ = 0 is that limit
2. top-k            the k largest p stay, the rest is 0
3. top-p            of what stayed, scaled up to 1: the fewest of the largest p that together reach top_p
4. min-p            what is at least min_p times the largest p stays

The penalty is by Keskar et al. 2019 (CTRL, section 4.1), where z / θ stands alone: it would raise what is negative.
Top-p is by Holtzman et al. 2020, min-p by Nguyen et al. 2024.

A set is cut by a value, and whatever equals the smallest p that stays, stays: no tie is broken by the order of ids.
(τ = 0 alone takes the smallest id.) The token by which the sum reaches top_p is in: cut before it, and 0.3 would leave
nothing at all of (0.6, 0.4).
"""

import numpy as np

from ..ops.embedding import check_ids


def check_settings(*, temperature=1.0, top_k=None, top_p=None, min_p=None, repetition_penalty=1.0):
    """ValueError for a setting that makes no sense."""
    if not 0 <= temperature < np.inf:
        raise ValueError(f"the temperature must be 0 (greedy) or more, not {temperature}")
    if top_k is not None and top_k < 1:
        raise ValueError(f"top_k must be at least 1, not {top_k}")
    if top_p is not None and not 0 < top_p <= 1:
        raise ValueError(f"top_p must be above 0 and at most 1, not {top_p}")
    if min_p is not None and not 0 <= min_p <= 1:
        raise ValueError(f"min_p must be from 0 to 1, not {min_p}")
    if not 0 < repetition_penalty < np.inf:
        raise ValueError(f"the repetition penalty must be above 0 (1 is none), not {repetition_penalty}")


def probabilities(logits, ids=(), *, temperature=1.0, top_k=None, top_p=None, min_p=None, repetition_penalty=1.0):
    """logits (V), ids (n) that were there before   ->   p (V) float64, from which `choose` takes an id

    -∞ stands for a token that may not come. ValueError for NaN, ∞, or nothing that may come.
    """
    check_settings(
        temperature=temperature, top_k=top_k, top_p=top_p, min_p=min_p, repetition_penalty=repetition_penalty
    )
    logits = below_the_largest(penalized(logits, ids, repetition_penalty))
    if temperature == 0:
        return (np.arange(len(logits)) == logits.argmax()).astype(np.float64)
    with np.errstate(over="ignore"):  # a tiny temperature sends all but the largest to -∞, which is right
        p = np.exp(logits / temperature)
    if top_k is not None and top_k < len(p):
        p = np.where(p >= np.partition(p, -top_k)[-top_k], p, 0)
    if top_p is not None and top_p < 1:
        falling = np.sort(p)[::-1]
        sums = np.cumsum(falling)
        before = np.append(0, sums[:-1])  # what is gathered before each of them comes
        p = np.where(p >= falling[before < top_p * sums[-1]][-1], p, 0)
    if min_p is not None:
        p = np.where(p >= min_p, p, 0)  # not scaled yet, the largest is e^0 = 1
    return p / p.sum()


def penalized(logits, ids, penalty):
    """logits (V)   ->   the same in float64, those of the ids lowered, once however often they were there"""
    logits, ids = np.array(logits, np.float64), np.asarray(ids, np.int64)
    check_ids(ids, len(logits))
    seen = logits[ids]
    logits[ids] = np.where(seen > 0, seen / penalty, seen * penalty)
    return logits


def below_the_largest(logits):
    """logits (..., V)   ->   logits in float64 with the largest of each row at 0, which changes no probability

    ValueError for a row with NaN or ∞, and for one of nothing but -∞: nothing can be chosen there.
    """
    logits = np.asarray(logits, np.float64)
    largest = logits.max(-1, keepdims=True)  # NaN is the maximum of whatever has it
    if not np.all(np.isfinite(largest)):
        raise ValueError(f"no token can be chosen: the largest of the logits is {largest[~np.isfinite(largest)][0]}")
    return logits - largest


def log_probabilities(logits):
    """logits (..., V)   ->   log softmax, float64; errors as in `below_the_largest`"""
    logits = below_the_largest(logits)
    return logits - np.log(np.exp(logits).sum(-1, keepdims=True))


def key_of(seed):
    """The key that a seed stands for, an integer; another one every time for None."""
    if seed is not None and seed < 0:
        raise ValueError(f"the seed must be 0 or more, not {seed}")
    return np.random.SeedSequence(seed)


def choose(p, u):
    """The id that the uniform number u, 0 <= u < 1, falls on when [0, 1) is divided in the proportions p (V)."""
    borders = np.cumsum(p)
    return int(np.searchsorted(borders / borders[-1], u, side="right"))


def sample(logits, u, ids=(), **settings):
    """logits (V), u in [0, 1)   ->   an id, with the ids and settings of `probabilities`"""
    return choose(probabilities(logits, ids, **settings), u)
