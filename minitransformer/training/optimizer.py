"""The optimizer: the one thing in training that changes in place, the parameters and its own moments.

It walks the gradients by name and asks for nothing else, so that a parameter without a gradient (a frozen one) stays.
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
        self.m, self.v = {}, {}  # the moments by path, zero before the first step

    def step(self, p, g, learning_rate, factor=1.0):
        """Move every parameter in p that has a gradient in g, in place; factor: what g is multiplied by (clipping)."""
        self.t += 1
        gradients, parameters = dict(leaves(g)), dict(leaves(p))
        w = [parameters[path] for path in gradients]
        for path in gradients:
            for moments in (self.m, self.v):
                if path not in moments:
                    moments[path] = np.zeros_like(parameters[path])
        m, v = ([moments[path] for path in gradients] for moments in (self.m, self.v))
        adamw_many(
            w,
            list(gradients.values()),
            m,
            v,
            t=self.t,
            learning_rate=[float(learning_rate) * self.rate_factor(path) for path in gradients],
            beta1=self.betas[0],
            beta2=self.betas[1],
            eps=self.eps,
            weight_decay=[self.weight_decay if self.decays(path, parameters[path]) else 0.0 for path in gradients],
            factor=factor,
            out=(w, m, v),
        )

    def arrays(self):
        """The moments by name, `m.PATH` and `v.PATH`: what a checkpoint keeps, beside the number of steps."""
        return {f"{name}.{path}": moment for name in "mv" for path, moment in getattr(self, name).items()}

    def restore(self, t, arrays, p):
        """Go on after t steps from what `arrays` gave. ValueError where that does not fit the parameters."""
        self.t = t
        moments = {f"{name}.{path}": w for name in "mv" for path, w in leaves(p)} if t else {}
        for name, moment in leaves(fill(moments, arrays)):
            getattr(self, name[0])[name[2:]] = moment
