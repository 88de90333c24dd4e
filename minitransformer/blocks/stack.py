"""Layer upon layer: the output of each is the input of the next.

forward     x ← layer_i(p_i, x)         for i = 0, 1, ...
backward    dx, g_i ← layer_i'(dx)      for i = ..., 1, 0
"""

from ..convention import fold, registered


@registered("combinator")
class stack:
    """stack(layer): x through layer after layer, each with its own parameters (a list) and its own randomness."""

    def __init__(self, layer):
        self.layer = layer

    def __call__(self, p, x, *, key=None, **static):
        saved = []
        for i, p_layer in enumerate(p):
            x, saved_layer = self.layer(p_layer, x, key=fold(key, i), **static)
            saved.append(saved_layer)
        return x, saved

    def backward(self, dx, saved):
        g = []
        for saved_layer in reversed(saved):
            dx, g_layer = self.layer.backward(dx, saved_layer)
            g.append(g_layer)
        return dx, g[::-1]
