"""The checks that several rooms share; each is made by a function, for the inputs of the room.

A gradient check holds a backward against its forward, a parity check a forward against one that is known to be right,
and a property is what must hold whatever the numbers are.
"""

import numpy as np

from minitransformer.gradcheck import check, differences, worst
from minitransformer.gradcheck.check import Misfit, Run

from .exhibit import Check

BAR = 1e-7  # of a gradient check, in float64
PARITY = 1e-9
ROUNDING = 1e-12
FELT = 1e-6  # far above rounding, far below what is really felt


def gradient_check(name, make, only=""):
    """The project's own: differences of Σ y dy with a random dy. `only`: of the gradients whose name begins like this.

    make(thing, rng) -> Case
    """

    def measure(thing, rng):
        try:
            found = [one for one in check(make(thing, rng), np.float64, rng, BAR) if one.name.startswith(only)]
        except Misfit:  # the pair does not even fit together, or is not repeatable
            return np.inf
        refused = any(one.problem not in ("", "wrong") for one in found)  # vacuous: it proves nothing
        return np.nan if refused else worst(found)

    return Check(name, measure, at_most=BAR, kind="gradient check")


class PopularRun(Run):
    """A run whose loss is some function of y that is easy to write, and not Σ y dy with a random dy."""

    def __init__(self, case, rng, loss, dloss):
        super().__init__(case, np.float64, rng)
        self.loss_of = loss
        self.dy = tuple(map(dloss, self.forward()[0]))

    def loss(self):
        return sum(np.sum(self.loss_of(y)) for y in self.forward()[0])


def popular_gradient_check(name, make, loss, dloss):
    """The largest absolute error, as most such tests have it: where every gradient is zero, nothing is relative."""

    def measure(thing, rng):
        run = PopularRun(make(thing, rng), rng, loss, dloss)
        analytic = run.gradients()
        numeric = differences(run, rng)
        return max(abs(d - along(analytic[name], u)) for name, rows in numeric.items() for u, d in rows)

    return Check(name, measure, at_most=BAR, kind="gradient check")


def along(gradient, u):
    """The derivative along u, an index or a direction."""
    return gradient[u] if isinstance(u, tuple) else np.sum(gradient * u)


def parity(name, call, reference, inputs, at_most=PARITY):
    """How far call(subject, *inputs(rng)) is from reference(*inputs(rng))."""

    def measure(subject, rng):
        args = inputs(rng)
        return distance(call(subject, *args), reference(*args))

    return Check(name, measure, at_most=at_most, kind="parity")


def distance(a, b):
    return np.max(np.abs(np.asarray(a) - np.asarray(b)))


def changed(x, rng, t):
    """x (B, T, D), with something else at position t."""
    x = x.copy()
    x[:, t] = rng.normal(size=x[:, t].shape)
    return x


def later_must_not_matter(call, inputs):
    """call(subject, *rest, x) -> y (B, T, ...); inputs(subject, rng) -> *rest, x"""

    def measure(subject, rng):
        *rest, x = inputs(subject, rng)
        return distance(call(subject, *rest, changed(x, rng, -1))[:, :-1], call(subject, *rest, x)[:, :-1])

    return Check("change the last token: no earlier output moves", measure, at_most=ROUNDING)


def early_must_matter(call, inputs):
    def measure(subject, rng):
        *rest, x = inputs(subject, rng)
        return distance(call(subject, *rest, changed(x, rng, 0))[:, -1], call(subject, *rest, x)[:, -1])

    return Check("change the first token: the last output moves", measure, at_least=FELT)


def appending_keeps_the_prefix(call, inputs):
    def measure(subject, rng):
        *rest, x = inputs(subject, rng)
        return distance(call(subject, *rest, x)[:, :-2], call(subject, *rest, x[:, :-2]))

    return Check("append two tokens: no output before moves", measure, at_most=ROUNDING)


def order_must_not_matter(call, inputs):
    def measure(subject, rng):
        *rest, x = inputs(subject, rng)
        backwards = np.concatenate([x[:, -2::-1], x[:, -1:]], 1)
        return distance(call(subject, *rest, x)[:, -1], call(subject, *rest, backwards)[:, -1])

    return Check("reverse the earlier tokens: the last output stays", measure, at_most=ROUNDING)
