"""Layer upon layer: the output of each is the input of the next.

    forward     x ← layer_i(p_i, x, shared)             for i = 0, 1, ...
    backward    dx, dshared_i, g_i ← layer_i'(dx)       for i = ..., 1, 0        dshared = Σ_i dshared_i

What is shared goes to every layer alike: the encoder's output into every cross-attention, a bias on every score.

The lowest layers may be frozen, with everything below them: they run, but nothing of them is kept, and the backward
ends above them.
"""

from ..convention import fold, registered


@registered("combinator")
class stack:
    """stack(layer): x through layer after layer, each with its own parameters (a list) and its own randomness.

    frozen: so many of the lowest are not trained, nor is x: dx is None, and in g an empty tree stands for each of them
    """

    def __init__(self, layer, frozen=0):
        self.layer, self.frozen = layer, frozen

    def __call__(self, p, x, *shared, key=None, **static):
        if self.frozen and shared:
            raise ValueError("what is shared by all layers feels the frozen ones too: with it, none can be frozen")
        if shared and not p:
            raise ValueError("what is shared by all layers is felt by none: with it, there must be a layer")
        saved = []
        for i, p_layer in enumerate(p):
            x, saved_layer = self.layer(p_layer, x, *shared, key=fold(key, i), **static)
            saved.append(None if i < self.frozen else saved_layer)
        return x, saved

    def backward(self, dx, saved):
        g, dshared = [], []
        for saved_layer in reversed(saved[self.frozen :]):
            dx, *dshared_layer, g_layer = self.layer.backward(dx, saved_layer)
            dshared.append(dshared_layer)
            g.append(g_layer)
        dx, frozen = None if self.frozen else dx, [{} for _ in range(self.frozen)]
        return dx, *(add_up(parts) for parts in zip(*dshared)), frozen + g[::-1]  # every layer used what is shared: add


def add_up(parts):
    """The sum, in the order given; None where there was nothing to feel."""
    return None if parts[0] is None else sum(parts[1:], parts[0])
