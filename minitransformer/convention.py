"""The one convention of the house, and the registry of everything that follows it.

    y, saved     = thing(p, x, ..., *, static...)      the forward pass
    dx, ..., g   = thing_backward(dy, saved)           what the loss feels of x, ..., and of the parameters p

What is felt of x is the gradient dx = ∂loss/∂x: by how much the loss changes as each element of x does.

`p`, `saved` and `g` are three trees of one shape: p["norm1"] are parameters, saved["norm1"] is what their forward
kept for its backward, g["norm1"] are their gradients. Parameters come first in, their gradients last out; every
floating positional argument gets a gradient, in the order of the arguments; everything after the star is a setting.

An operation (`@op`) is mathematics: a forward and a backward in NumPy, and perhaps kernels that do the same faster.
A block (`@block`) is a forward and a backward made of other things. Both are registered, forward and backward
together, so that whatever must hold for every thing runs over `THINGS`.
"""

import functools
from importlib import import_module
from typing import Any, NamedTuple

import numpy as np

from .door import Shapes

THINGS = {}  # the table of contents: every operation, block, combinator, loss and model by name
BACKENDS = {  # and the module that brings its kernels
    "reference": None,
    "cpu": "minitransformer.kernels.cpu",
    "cuda": "minitransformer.kernels.cuda.backend",
}
KERNEL_DTYPES = (np.float32, np.float64)  # what kernels are made for; extended precision is the reference's
_backend = "reference"  # one for the whole process, read at every forward


def use_backend(name):
    """Choose the implementation of every operation that has one under this name; the others stay plain NumPy.

    The kernels are imported when they are first chosen. ValueError for a name that is none; whatever a backend's own
    `check_device` raises where it cannot run here.
    """
    global _backend
    if BACKENDS[known_backend(name)] is not None:
        kernels = import_module(BACKENDS[name])
        getattr(kernels, "check_device", lambda: None)()
    _backend = name


def current_backend():
    return _backend


def known_backend(name):
    if name not in BACKENDS:
        raise ValueError(f"unknown backend {name!r}; there are: {', '.join(BACKENDS)}")
    return name


class Saved(NamedTuple):
    """What one call of an operation kept, and who made it: its backward must be of the same implementation."""

    op: str
    backend: str
    shape: Any  # of y, and so of dy; a tuple of shapes where the operation has several outputs
    dtype: Any  # of y, and so of dy
    values: Any


class Block:
    """A forward and its backward, made of other things."""

    kind = "block"

    def __init__(self, forward):
        functools.update_wrapper(self, forward)
        self.name = forward.__name__
        register(self)

    def __call__(self, *args, **static):
        return self.__wrapped__(*args, **static)

    def pair(self, backward):
        self.backward = backward

    def __repr__(self):
        return f"<{self.kind} {self.name}>"


class Op(Block):
    """A forward and its backward in NumPy, and for each backend the kernels that do the same.

    shapes      what fits, by argument or parameter name: `x="... D"`, `bias="[E]"` (see `Shapes`); checked at the
                door of every implementation
    gradient    False for an operation that nothing is differentiated through: an optimizer's update, a norm
    extended    False where a function in it exists only up to float64 (the error function)
    """

    kind = "operation"

    def __init__(self, forward, *, gradient=True, extended=True, shapes=None):
        self.implementations = {}  # backend -> (forward, backward)
        self.gradient, self.extended = gradient, extended
        self.door = Shapes(forward, shapes or {})
        super().__init__(forward)
        if not gradient:
            self.implementations["reference"] = (self.__wrapped__, None)

    def __call__(self, *args, **static):
        dtype = self.door(args, static)
        static = {name: plain(value) for name, value in static.items()}
        backend = _backend if _backend in self.implementations and dtype in (None, *KERNEL_DTYPES) else "reference"
        forward, _ = self.implementations[backend]
        if not self.gradient:
            return forward(*args, **static)
        y, values = forward(*args, **static)
        return y, Saved(self.name, backend, shape_of(y), dtype_of(y), values)

    def pair(self, backward):
        self.implement("reference", self.__wrapped__, backward)

        @functools.wraps(backward)
        def dispatch(*dy_and_saved):
            *dy, saved = dy_and_saved
            if not isinstance(saved, Saved) or saved.op != self.name:
                what = f"what {saved.op} saved" if isinstance(saved, Saved) else f"a {type(saved).__name__}"
                raise ValueError(f"{backward.__name__} was given {what}, not what {self.name} saved")
            shapes = saved.shape if saved.shape and isinstance(saved.shape[0], tuple) else (saved.shape,)
            for part, shape in zip(dy, shapes, strict=True):
                if part is None:  # nothing was felt there
                    continue
                if shape_of(part) != shape:
                    raise ValueError(f"{backward.__name__}: dy has shape {shape_of(part)}, but y had {shape}")
                if hasattr(part, "__array_function__") and part.dtype != saved.dtype:
                    raise TypeError(f"{backward.__name__}: dy is {part.dtype}, but y was {saved.dtype}")
            return self.implementations[saved.backend][1](*dy, saved.values)

        self.backward = dispatch

    def implement(self, backend, forward, backward):
        """A forward and its backward travel together: what one saves, only the other can read."""
        self.implementations[backend] = (forward, backward)


def op(forward=None, *, gradient=True, extended=True, **shapes):
    """Register an operation: `@op(x="... D", weight="E D")` over its forward."""
    make = functools.partial(Op, gradient=gradient, extended=extended, shapes=shapes)
    return make if forward is None else make(forward)


block = Block


def backward_of(thing):
    """Register the function below as the backward of `thing`; its name stays callable, through the registry."""

    def decorate(backward):
        thing.pair(backward)
        return thing.backward

    return decorate


def register(thing, kind=None):
    """Enter a thing in the table of contents. `@registered("model")` does the same over a class."""
    name = thing.__name__
    if name in THINGS and THINGS[name].__module__ != thing.__module__:
        raise ValueError(f"{name} is registered twice: in {THINGS[name].__module__} and in {thing.__module__}")
    if kind is not None:
        thing.kind = kind
    THINGS[name] = thing
    return thing


def registered(kind):
    """For classes whose instances are things: a combinator (`stack`), a loss over a model, a model."""
    return functools.partial(register, kind=kind)


def plain(setting):
    """A setting is a Python number: NumPy's own float64 would widen a float32 step."""
    return setting.item() if isinstance(setting, np.generic) else setting


def shape_of(y):
    return tuple(shape_of(part) for part in y) if isinstance(y, tuple) else getattr(y, "shape", ())


def dtype_of(y):
    return dtype_of(y[0]) if isinstance(y, tuple) else getattr(y, "dtype", None)


def felt(dy, saved, like):
    """dy, or zeros of its shape where it is None: nothing was felt of what an operation said. Arrays as `like` is."""
    return np.zeros(saved.shape, saved.dtype, like=like) if dy is None else dy


# ---------------------------------------------------------------------------------------------------- randomness


def fold(key, i):
    """The i-th key made from this one; None (evaluation: nothing is drawn) stays None.

    A key is a `np.random.SeedSequence` from which nothing is ever spawned, and whose numbers are drawn once.
    ValueError for i of more than 32 bits, which would be read as two numbers.
    """
    if not 0 <= i < 2**32:
        raise ValueError(f"a key is folded with a number from 0 to 2**32 - 1, not {i}")
    return None if key is None else np.random.SeedSequence(key.entropy, spawn_key=(*key.spawn_key, i))


def generator(key):
    """A fresh generator whose n-th number depends on the key and on n alone."""
    return np.random.Generator(np.random.Philox(key))
