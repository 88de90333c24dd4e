"""Memory for time (Chen et al. 2016, "Training Deep Nets with Sublinear Memory Cost").

forward     keeps nothing but its arguments
backward    runs the forward again to get what its backward needs, bit for bit: randomness is in the arguments
"""

from ..convention import registered


@registered("combinator")
class recompute:
    """recompute(thing): the same thing, the same gradients, one more forward, and hardly anything saved."""

    def __init__(self, thing):
        self.thing = thing

    def __call__(self, *args, **static):
        return self.thing(*args, **static)[0], (args, static)

    def backward(self, *dy_and_saved):
        *dy, (args, static) = dy_and_saved
        _, saved = self.thing(*args, **static)
        return self.thing.backward(*dy, saved)
