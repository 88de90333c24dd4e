"""A recurrent operation in both directions (Schuster & Paliwal 1997): each position knows what stands on either side.

forward     y = [cell(p_forward, x), cell(p_backward, x) from the end]      side by side, (B, T, 2H)
backward    the two halves of dy, each back through its own run; x was read twice: add
"""

import numpy as np

from ..convention import fold, registered


@registered("combinator")
class bidirectional:
    """bidirectional(cell): two runs over one sequence, each with its own parameters.

    p: forward, backward, each the cell's parameters   x (B, T, D)   states (2, B, H), of either direction, or absent
    ->   y (B, T, 2H), last states (2, B, H)

    A mask and other settings go to both, and of a key, each gets one of its own. ValueError where a state is not one of
    two.
    """

    def __init__(self, cell):
        self.cell = cell
        self.draws = draws(cell)

    def __call__(self, p, x, *states, key=None, **static):
        check_states("bidirectional", states, 2)
        saved, (states0, states1) = {}, ([of(part, i) for part in states] for i in range(2))
        keys = [{} if key is None else {"key": fold(key, i)} for i in range(2)]
        (y0, *last0), saved["forward"] = self.cell(p["forward"], x, *states0, **keys[0], **static)
        (y1, *last1), saved["backward"] = self.cell(p["backward"], x, *states1, reverse=True, **keys[1], **static)
        return (np.concatenate([y0, y1], -1), *map(np.stack, zip(last0, last1))), saved

    def backward(self, dy, *dlast_and_saved):
        *dlast, saved = dlast_and_saved
        dy0, dy1 = (None, None) if dy is None else np.split(dy, 2, -1)
        dx0, *dstates0, g0 = self.cell.backward(dy0, *(of(part, 0) for part in dlast), saved["forward"])
        dx1, *dstates1, g1 = self.cell.backward(dy1, *(of(part, 1) for part in dlast), saved["backward"])
        dstates = (None if pair[0] is None else np.stack(pair) for pair in zip(dstates0, dstates1))
        return dx0 + dx1, *dstates, {"forward": g0, "backward": g1}  # x was read twice: add


def draws(cell):
    """Whether a cell takes a key: an operation does not, what is made of one may."""
    return getattr(cell, "draws", False)


def of(states, i):
    """The i-th of these states, or of what is felt of them; None where there are none."""
    return None if states is None else states[i]


def check_states(name, states, n):
    for part in states:
        if part is not None and len(part) != n:
            raise ValueError(f"{name}: states have shape {part.shape}, expected {n} of them")
