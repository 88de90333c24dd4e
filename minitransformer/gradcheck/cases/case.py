"""A case, the table of all cases, and how their sizes and arrays are drawn."""

from typing import Any, NamedTuple

import numpy as np

from ...convention import THINGS
from ...trees import tree_map

CASES = {}  # name of a thing -> function of a Draw that yields its cases


class Case(NamedTuple):
    """One call of one pair of functions."""

    forward: Any
    backward: Any
    args: dict  # the positional arguments, by name, in order; an absent optional array is None
    static: dict  # the settings
    zero: tuple = ()  # names of the gradients that are zero by mathematics
    effort: tuple = (8, 3)  # a large array is checked at so many elements and along so many directions


def case(thing, *, zero=(), effort=(8, 3), static=None, **args):
    forward = thing.forward if hasattr(thing, "forward") else thing
    return Case(forward, thing.backward, args, static or {}, zero, effort)


def cases_of(thing):
    def decorate(function):
        CASES[thing.__name__] = function
        return function

    return decorate


def draw_cases(name, draw):
    """[Case, ...] of the thing of this name. LookupError where it has none."""
    if name not in CASES:
        raise LookupError(f"{name} has no case: nothing says what its inputs look like (gradcheck/cases/)")
    return list(CASES[name](draw))


def checkable():
    """The names of everything that must have a gradient check."""
    return [name for name, thing in THINGS.items() if getattr(thing, "gradient", True)]


class Draw:
    """Sizes and arrays, drawn from a NumPy generator. Tests hand in another way to draw sizes."""

    def __init__(self, rng, sizes=None):
        self.rng = rng
        self.draw_sizes = sizes or self.distinct

    def distinct(self, n, least):
        return self.rng.permutation(np.arange(least, least + n + 2))[:n].tolist()

    def sizes(self, n, least=1):
        """n small lengths, no two the same, none below `least`."""
        return self.draw_sizes(n, least)

    def __call__(self, *shape):
        """Normal numbers, in memory that is not contiguous (a transposed view is as good an input as any)."""
        return self.rng.normal(size=shape[::-1]).T

    def away_from_zero(self, *shape):
        x = self(*shape)
        return x + np.copysign(0.25, x)

    def ids(self, below, *shape):
        """Integers; at least two of them are equal where there are two."""
        ids = self.rng.integers(0, below, shape)
        if ids.size > 1:
            ids.flat[-1] = ids.flat[0]
        return ids

    def mask(self, *shape):
        """True = may attend; the first row may attend to nothing, the others at least to the first key."""
        mask = self.rng.random(shape) < 0.6
        mask[..., 0] = True
        mask[..., 0, :] = False
        return mask

    def padding(self, B, T):
        """(B, 1, 1, T), True = a token is there: row i lacks its first i % T positions."""
        return (np.arange(T) >= (np.arange(B) % T)[:, None])[:, None, None]

    def key(self):
        return np.random.SeedSequence(int(self.rng.integers(2**32)))

    def perturbed(self, p):
        """Parameters away from where they start: no γ of one, no bias of zero."""
        return tree_map(lambda a: a + 0.3 * self.rng.normal(size=a.shape), p)

    def linear(self, out, inp):
        return {"weight": self(out, inp) / np.sqrt(inp), "bias": self(out)}

    def norm(self, width):
        return {"weight": 1 + 0.3 * self(width), "bias": self(width)}

    def attention(self, width, n_heads=1, n_kv_heads=1, memory_width=None):
        kv = width // n_heads * n_kv_heads
        inp = memory_width or width
        return {
            "q": self.linear(width, width),
            "k": self.linear(kv, inp),
            "v": self.linear(kv, inp),
            "out": self.linear(width, width),
        }

    def feed_forward(self, width, inner):
        return {"up": self.linear(inner, width), "down": self.linear(width, inner)}

    def gated_feed_forward(self, width, inner):
        return {"gate": self.linear(inner, width)} | self.feed_forward(width, inner)

    def tokens(self, B, T):
        """(B, T), True = a token is there: the first row has all of them, every other one at least one, anywhere."""
        mask = self.rng.random((B, T)) < 0.6
        mask[np.arange(B), self.rng.integers(T, size=B)] = True
        mask[:1] = True
        return mask

    def cell(self, gates, width, inner):
        """The two linear maps of a recurrent cell with so many gates."""
        return {"input": self.linear(gates * inner, width), "hidden": self.linear(gates * inner, inner)}

    def layer(self, width, inner):
        return {
            "norm1": self.norm(width),
            "attention": self.attention(width),
            "norm2": self.norm(width),
            "feed_forward": self.feed_forward(width, inner),
        }

    def decoder_layer(self, width, inner):
        return self.layer(width, inner) | {"cross_attention": self.attention(width), "norm3": self.norm(width)}
