"""What the kernels of recurrent operations share: sequences as they are run, step after step, each a piece of memory.

The steps of a batch (B, T, D) lie as (T, B, D) in the order of the run, so that each product reads and writes rows that
stand side by side.
"""

import numpy as np

from ...ops.linear import rows
from ...ops.steps import only_tokens, steps, tokens_there
from .compiled import compiled


class Run:
    """The steps of one call: in which order, where there are tokens, where gradients are cut."""

    def __init__(self, name, x, mask, reverse, truncate):
        self.way = slice(None, None, -1 if reverse else None)
        live = tokens_there(name, x, mask)
        self.x = self.into(only_tokens(x, live))  # (T,B,D)
        self.live = self.into(live[..., 0])  # (T,B)
        self.masked = mask is not None
        self.cuts = [cut for _, cut in steps(name, x.shape[1], reverse, truncate)]

    def into(self, x):
        """(B, T, ...) as the run has it, in memory of its own"""
        return np.array(x.swapaxes(0, 1)[self.way], order="C")

    def out_of(self, x):
        """and back"""
        return np.array(x[self.way].swapaxes(0, 1), order="C")

    def said(self, h):
        """y (B, T, H) from the states after each step (T, B, H): 0 where no token is"""
        y = self.out_of(h)
        if self.masked:
            y[~self.out_of(self.live)] = 0
        return y

    def felt(self, dy, like):
        """dy as the run has it (T, B, H), zeros where it is None and where no token is"""
        dy = np.zeros(like.shape, like.dtype) if dy is None else self.into(dy)
        self.keep_tokens(dy)
        return dy

    def keep_tokens(self, *parts):
        """Zeros where no token is, in (T, B, ...)."""
        for part in parts:
            if self.masked:
                part[~self.live] = 0

    def hand_on(self, dh, through, t):
        """Add what goes back through U at step t to what passes by it, where there was a token."""
        np.add(dh, through, out=dh, where=self.live[t][:, None] if self.masked else True)


@compiled
def hand_on(dh, through, live):
    """The same in a kernel."""
    B, H = dh.shape
    for b in range(B):
        if live[b]:
            for j in range(H):
                dh[b, j] += through[b, j]


def state(given, like):
    """Fresh memory for a state (B, H), or for what is felt of one: zeros where it is None."""
    return np.zeros(like.shape, like.dtype) if given is None else np.array(given, order="C")


def states(given, T, B, H, dtype):
    """(T + 1, B, H), the first of which is the given one: room for the state before each step, and for the last."""
    room = np.empty((T + 1, B, H), dtype)
    room[0] = 0 if given is None else given
    return room


def bias_of(p):
    """The bias of a linear map, or zeros."""
    weight = p["weight"]
    return np.zeros(len(weight), weight.dtype) if p.get("bias") is None else np.ascontiguousarray(p["bias"])


def map_gradient(p, dy, x):
    """The gradient of a linear map whose outputs and inputs, over all steps, are these: one product."""
    g = {"weight": rows(dy).T @ rows(x)}
    if p.get("bias") is not None:
        g["bias"] = rows(dy).sum(0)
    return g
