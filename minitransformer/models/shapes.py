"""The shapes of a model's parameters, without the parameters: what a file is held to before memory is spent on it."""

import math
from typing import NamedTuple

import numpy as np


def shapes_of(model, dtype=np.float32, there=math.inf):
    """A tree of the shape of the model's parameters that takes hardly any memory.

    there: how many numbers a file has for them. ValueError for a model of more than ten times as many, before it is
    gone through: nobody would read what is missing.
    """
    return model.init(NoNumbers(there), dtype)


class NoNumbers:
    """In place of a generator where nobody looks at the numbers: all of them are one, in no memory."""

    def __init__(self, there):
        self.there, self.left = there, 10 * there

    def normal(self, mean, deviation, shape):
        self.left -= math.prod(shape)
        if self.left < 0:
            raise ValueError(f"it is of more than ten times the {self.there:,} numbers that are there")
        return Shape(shape)

    uniform = normal


class Shape(NamedTuple):
    shape: tuple

    def astype(self, dtype):
        return np.broadcast_to(np.zeros((), dtype), self.shape)
