"""Functions of one number, in its own precision.

On the device they are the toolkit's, by way of `math`. In the simulator Python's would do: but those of `math` give
float64 whatever they are given, and raise an error where a device gives ∞ or NaN.
"""

import math
from math import erfc, exp, log, sqrt

import numpy as np

from .device import SIMULATED, inlined


def twin(function):
    """A NumPy function for the simulator: float32 stays float32, and nothing is raised."""

    def quiet(x):
        with np.errstate(all="ignore"):
            return type(x)(function(x))

    return quiet


if SIMULATED:
    exp, log, sqrt, erfc = (twin(function) for function in (np.exp, np.log, np.sqrt, math.erfc))


@inlined
def sigmoid(x, real):
    """1 / (1 + exp(-x)), of -|x| where x is negative: nothing overflows, and nothing is lost where it is small"""
    e = exp(-abs(x))
    return (real(1) if x >= real(0) else e) / (real(1) + e)
