"""Recurrent weights of which a random part is missing (Wan et al. 2013, "DropConnect"; Merity et al. 2018, section 2).

forward     U' = dropout(U)             drawn once for all steps: a way from unit to unit is there at each, or at none
            y  = cell(p with U', x)     the cell does not know of it

backward    dU' from the cell           dU = dropout'(dU')

It is put in front of a cell, and turns parameters into parameters: a cell that is fast stays so. What goes on in time
is not touched, so nothing of the memory is worn away step by step, as it would be by dropout of the state.
"""

from ..convention import registered
from ..ops import dropout, dropout_backward


def drop_hidden(p, rate, key):
    """The tree of a cell's parameters   ->   the same with a part of p["hidden"]["weight"] missing"""
    weight, saved = dropout(p["hidden"]["weight"], rate=rate, key=key)
    return {**p, "hidden": {**p["hidden"], "weight": weight}}, saved


def drop_hidden_backward(g, saved):
    """What the dropped parameters feel   ->   g, what the parameters therefore feel"""
    return {**g, "hidden": {**g["hidden"], "weight": dropout_backward(g["hidden"]["weight"], saved)}}


@registered("combinator")
class weight_dropped:
    """weight_dropped(cell): the recurrent operation on parameters of which a part is missing.

    p, x and states as the cell has them   ->   y and last states as the cell has them

    weight_rate: how probably a recurrent weight is missing   key: None for evaluation
    Other settings go to the cell.
    """

    draws = True  # it takes a key

    def __init__(self, cell):
        self.cell = cell

    def __call__(self, p, x, *states, weight_rate, key=None, **static):
        saved = {}
        dropped, saved["hidden"] = drop_hidden(p, weight_rate, key)
        y, saved["cell"] = self.cell(dropped, x, *states, **static)
        return y, saved

    def backward(self, *dy_and_saved):
        *dy, saved = dy_and_saved
        *dx, g = self.cell.backward(*dy, saved["cell"])
        return *dx, drop_hidden_backward(g, saved["hidden"])
