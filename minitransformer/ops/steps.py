"""What recurrent operations share: which tokens are there, the order of the steps, and where gradients end.

A step at which a sequence has no token leaves its state as it was, and says 0.

With truncate = n, a run is cut into pieces of n steps, the first of which begins where the run begins. The state passes
every cut, a gradient none, so it flows back at most n steps (Williams & Peng 1990; Mikolov et al. 2010).
"""

import numpy as np

from .linear import rows


def tokens_there(name, x, mask):
    """(B, T, 1), True = a token is there. ValueError for sequences of length 0, and for one without a token."""
    if x.shape[1] == 0:
        raise ValueError(f"{name}: x has shape {x.shape}: sequences of length 0 have no last state")
    if mask is None:
        return np.ones((*x.shape[:2], 1), bool)
    if not mask.any(1).all():
        raise ValueError(f"{name}: the mask leaves sequence {np.argmin(mask.any(1))} without a token")
    return mask[..., None]


def steps(name, T, reverse, truncate):
    """[(t, cut), ...] in the order of the run; cut: no gradient goes back from step t to the one before it.

    ValueError for a `truncate` that is no whole number of steps.
    """
    if truncate is not None and not (isinstance(truncate, int) and truncate >= 1):
        raise ValueError(f"{name}: truncate must be a whole number of steps, at least 1, or None, not {truncate!r}")
    order = range(T - 1, -1, -1) if reverse else range(T)
    return [(t, bool(step and truncate) and step % truncate == 0) for step, t in enumerate(order)]


def only_tokens(x, live):
    """x (B, T, D) with zeros where no token is, whatever stood there."""
    return x if live.all() else np.where(live, x, 0).astype(x.dtype, copy=False)


def state_or_zeros(state, x, H):
    return np.zeros((len(x), H), x.dtype, like=x) if state is None else state


def hidden_map(p, h):
    """U h + d"""
    u = h @ p["weight"].T
    return u if p.get("bias") is None else u + p["bias"]


def gradient_or_zeros(d, shape, like):
    return np.zeros(shape, like.dtype, like=like) if d is None else d


def hidden_gradient(p, da, before):
    """The gradient of a linear map of the states before each step: one product over all sequences and steps."""
    g = {"weight": rows(da).T @ rows(before)}
    if p.get("bias") is not None:
        g["bias"] = rows(da).sum(0)
    return g
