"""Recurrent layer upon recurrent layer: at each step, a layer reads what the one below says (Graves 2013, section 2).

    forward     x ← dropout(layer_i(p_i, x))            for i = 0, 1, ...       no dropout after the last
    backward    dx, dstate_i, g_i ← layer_i'(dropout'(dx))      for i = ..., 1, 0

Dropout acts on what goes up, never on the state that goes on in time, which it would wear away (Zaremba et al. 2014).
"""

import numpy as np

from ..convention import fold, registered
from ..ops import dropout, dropout_backward, gru, lstm, rnn
from .bidirectional import check_states, draws, of

CELLS = {cell.name: cell for cell in (rnn, gru, lstm)}


def cell_of(name):
    """The recurrent operation of this name. ValueError where there is none."""
    if name not in CELLS:
        raise ValueError(f"unknown cell {name!r}; there are: {', '.join(CELLS)}")
    return CELLS[name]


@registered("combinator")
class recurrence:
    """recurrence(layer): a recurrent operation, or `bidirectional` of one, in layers.

    p: a list of the layers' parameters   x (B, T, D)   states (L, *what a layer's are), or absent
    ->   y as of the last layer, last states (L, ...)

    L the number of layers   dropout_rate: of what a layer is handed by the one below
    A mask and other settings go to every layer, a key of its own to each that draws. ValueError where there is no
    layer, or there are not L states.
    """

    def __init__(self, layer):
        self.layer = layer

    def __call__(self, p, x, *states, dropout_rate=0.0, key=None, **static):
        if not p:
            raise ValueError("recurrence: there is no layer")
        check_states("recurrence", states, len(p))
        saved, last = [], []
        for i, p_layer in enumerate(p):
            saved_layer = {}
            if i:
                x, saved_layer["dropout"] = dropout(x, rate=dropout_rate, key=fold(key, i))
            own = {"key": fold(fold(key, 0), i)} if draws(self.layer) else {}
            (x, *last_layer), saved_layer["layer"] = self.layer(
                p_layer, x, *(of(part, i) for part in states), **own, **static
            )
            saved.append(saved_layer)
            last.append(last_layer)
        return (x, *map(np.stack, zip(*last))), saved

    def backward(self, dy, *dlast_and_saved):
        *dlast, saved = dlast_and_saved
        dx, dstates, g = dy, [], []
        for i in reversed(range(len(saved))):
            dx, *dstates_layer, g_layer = self.layer.backward(dx, *(of(part, i) for part in dlast), saved[i]["layer"])
            if i:
                dx = dropout_backward(dx, saved[i]["dropout"])
            dstates.append(dstates_layer)
            g.append(g_layer)
        dstates = (None if parts[0] is None else np.stack(parts) for parts in zip(*dstates[::-1]))
        return dx, *dstates, g[::-1]
