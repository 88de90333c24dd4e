"""Layer upon layer: the output of each is the input of the next.

    forward     x ← layer_i(p_i, x, shared)             for i = 0, 1, ...
    backward    dx, dshared_i, g_i ← layer_i'(dx)       for i = ..., 1, 0        dshared = Σ_i dshared_i

What is shared goes to every layer alike: the encoder's output into every cross-attention, a bias on every score.
"""

from ..convention import fold, registered


@registered("combinator")
class stack:
    """stack(layer): x through layer after layer, each with its own parameters (a list) and its own randomness."""

    def __init__(self, layer):
        self.layer = layer

    def __call__(self, p, x, *shared, key=None, **static):
        saved = []
        for i, p_layer in enumerate(p):
            x, saved_layer = self.layer(p_layer, x, *shared, key=fold(key, i), **static)
            saved.append(saved_layer)
        return x, saved

    def backward(self, dx, saved):
        g, dshared = [], []
        for saved_layer in reversed(saved):
            dx, *dshared_layer, g_layer = self.layer.backward(dx, saved_layer)
            dshared.append(dshared_layer)
            g.append(g_layer)
        return dx, *(add_up(parts) for parts in zip(*dshared)), g[::-1]  # every layer used what is shared: add


def add_up(parts):
    """The sum, in the order given; None where there was nothing to feel."""
    return None if parts[0] is None else sum(parts[1:], parts[0])
