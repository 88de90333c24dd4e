"""The optimizer: the one thing in training that changes in place, the parameters and its own moments.

It walks the gradients by name and asks for nothing else, so that a parameter without a gradient (a frozen one) stays.
One that thaws begins with its own first step: its moments are zero then, and are divided by what makes up for that.
"""

import numpy as np

from ..ops import adamw_many
from ..trees import fill, leaves


def matrices(path, w):
    """Weight decay acts on matrices; not on biases, nor on the γ and β of a norm, which have one axis."""
    return w.ndim >= 2


def everywhere(path):
    """The same learning rate for every parameter."""
    return 1.0


class AdamW:
    """Adam with decoupled weight decay; the update itself is in ops/adamw.py.

    decays(path, w) -> bool says which parameters the decay acts on; rate_factor(path) -> float, what the learning rate
    is multiplied by there, and with it the decay, which is a part of the step.
    """

    def __init__(self, *, betas=(0.9, 0.999), eps=1e-8, weight_decay=0.01, decays=matrices, rate_factor=everywhere):
        self.betas, self.eps, self.weight_decay = betas, eps, weight_decay
        self.decays, self.rate_factor = decays, rate_factor
        self.t = 0  # steps so far
        self.m, self.v = {}, {}  # the moments by path, zero before a parameter's first step
        self.steps = {}  # of each parameter, by path: one that was frozen has made fewer

    def step(self, p, g, learning_rate, factor=1.0):
        """Move every parameter in p that has a gradient in g, in place; factor: what g is multiplied by (clipping)."""
        self.t += 1
        gradients, parameters = dict(leaves(g)), dict(leaves(p))
        alike = {}  # paths of as many steps: in most trainings all of them
        for path in gradients:
            for moments in (self.m, self.v):
                if path not in moments:
                    moments[path] = np.zeros_like(parameters[path])
            self.steps[path] = self.steps.get(path, 0) + 1
            alike.setdefault(self.steps[path], []).append(path)
        for t, paths in alike.items():
            w, g, m, v = ([tree[path] for path in paths] for tree in (parameters, gradients, self.m, self.v))
            adamw_many(
                w,
                g,
                m,
                v,
                t=t,
                learning_rate=[float(learning_rate) * self.rate_factor(path) for path in paths],
                beta1=self.betas[0],
                beta2=self.betas[1],
                eps=self.eps,
                weight_decay=[self.weight_decay if self.decays(path, parameters[path]) else 0.0 for path in paths],
                factor=factor,
                out=(w, m, v),
            )

    def arrays(self):
        """What a checkpoint keeps, beside the number of steps: the moments, `m.PATH` and `v.PATH`, and `t.PATH` of
        those parameters that have made fewer steps.
        """
        moments = {f"{name}.{path}": moment for name in "mv" for path, moment in getattr(self, name).items()}
        return moments | {f"t.{path}": np.array(t) for path, t in self.steps.items() if t != self.t}

    def restore(self, t, arrays, p):
        """Go on after t steps from what `arrays` gave. ValueError where that does not fit the parameters."""
        self.t = t
        trained = {path: w for path, w in leaves(p) if {f"m.{path}", f"v.{path}"} & arrays.keys()}
        if t and not trained:
            raise ValueError("there are no moments in it")
        counts = {f"t.{path}": np.array(t) for path in trained if f"t.{path}" in arrays}
        moments = {f"{name}.{path}": w for name in "mv" for path, w in trained.items()}
        found = dict(leaves(fill(moments | counts, arrays)))
        self.m, self.v = ({path: found[f"{name}.{path}"] for path in trained} for name in "mv")
        self.steps = {path: int(found.get(f"t.{path}", t)) for path in trained}
