"""NT-ASGD: gradient descent whose late steps are averaged (Polyak & Juditsky 1992; Merity et al. 2018, algorithm 1).

    step            w ← w - η (g + λ w)
    from step T on  w̄ = mean of w after steps T, T + 1, ...          w̄ ← w̄ + (w - w̄) / n, the n-th of them

With a constant η the steps never come to rest: they go round and round what they look for, and their mean is nearer to
it. T is when that has begun: as soon as a loss that was measured is above the least of those measured more than
`patience` times before ("non-monotonically triggered": not at the first that is above its predecessor).

It walks the gradients by name and asks for nothing else, as AdamW does.
"""

import numpy as np

from ..trees import fill, leaves, tree_with_paths
from .optimizer import everywhere


class AveragedSGD:
    """rate_factor(path) -> float: what the learning rate is multiplied by there"""

    def __init__(self, *, patience=5, weight_decay=0.0, rate_factor=everywhere):
        self.patience, self.weight_decay, self.rate_factor = patience, weight_decay, rate_factor
        self.t = 0  # steps so far
        self.n = None  # how many of them are averaged; None: that has not begun
        self.mean = {}  # by path
        self.measured = []  # losses, until averaging begins

    def step(self, p, g, learning_rate, factor=1.0):
        """Move every parameter in p that has a gradient in g, in place; factor: what g is multiplied by (clipping)."""
        self.t += 1
        self.n = None if self.n is None else self.n + 1
        parameters = dict(leaves(p))
        for path, gradient in leaves(g):
            w, rate = parameters[path], float(learning_rate) * self.rate_factor(path)
            if self.n is not None and path not in self.mean:
                self.mean[path] = w.copy()  # what it was at every step before, if it was frozen until now
            w -= rate * (factor * gradient + self.weight_decay * w)
        for path, mean in self.mean.items():  # a parameter that is frozen again stays, and counts at every step
            mean += (parameters[path] - mean) / self.n

    def see(self, loss):
        """A loss was measured on what is held out. Returns whether averaging begins with the next step."""
        if self.n is not None:
            return False
        before = self.measured[: max(0, len(self.measured) - self.patience)]
        self.measured.append(float(loss))
        if before and loss > min(before):
            self.begin()
        return self.n is not None

    def begin(self):
        """Average from the next step on."""
        self.n = 0

    def averaged(self, p):
        """p with the means of what has been averaged, the other parameters as they are: what one evaluates."""
        return tree_with_paths(lambda path, w: self.mean.get(path, w), p) if self.n else p

    def arrays(self):
        """What a checkpoint keeps, beside the number of steps: the means, of how many, and what was measured."""
        counts = np.array([-1 if self.n is None else self.n, *self.measured])
        return {f"mean.{path}": mean for path, mean in self.mean.items()} | {"measured": counts}

    def restore(self, t, arrays, p):
        """Go on after t steps from what `arrays` gave. ValueError where that does not fit the parameters."""
        self.t, arrays = t, dict(arrays)
        n, *self.measured = arrays.pop("measured", np.array([-1.0])).tolist()
        self.n = None if n < 0 else int(n)
        expected = {path: w for path, w in leaves(p) if self.n and f"mean.{path}" in arrays}
        found = fill(expected, {name.removeprefix("mean."): mean for name, mean in arrays.items()})
        self.mean = {path: mean.copy() for path, mean in found.items()}
