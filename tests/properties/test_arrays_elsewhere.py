"""Another library's arrays (a device's) answer NumPy's functions, and are never turned into NumPy's in silence.

So what is written in NumPy must make its arrays of those that came in: `np.zeros(shape, dtype, like=x)`, not
`np.zeros(shape, dtype)`, to which nothing from elsewhere can be written.
"""

import numpy as np
import pytest
from numpy.lib.mixins import NDArrayOperatorsMixin

from minitransformer.gradcheck import Draw, draw_cases
from minitransformer.gradcheck.cases import checkable
from minitransformer.trees import tree_map


class Elsewhere(NDArrayOperatorsMixin):
    """An array that only NumPy's own functions, asked by name, can do something with."""

    def __init__(self, array):
        self.array = array

    def __array__(self, *_, **__):
        raise TypeError("an array from elsewhere is turned into one of NumPy's")

    def __array_function__(self, function, _, args, settings):
        return elsewhere(function(*here(args), **here(settings)))

    def __array_ufunc__(self, function, method, *args, out=(), **settings):
        assert all(isinstance(array, Elsewhere) for array in out), "NumPy's array is to take what is elsewhere"
        settings |= {"out": out} if out else {}
        return elsewhere(getattr(function, method)(*here(args), **here(settings)))

    def __getattr__(self, name):  # shape, dtype, reshape, sum, ...
        if name.startswith("__"):
            raise AttributeError(name)
        found = getattr(self.array, name)
        return (lambda *a, **s: elsewhere(found(*here(a), **here(s)))) if callable(found) else elsewhere(found)

    def __getitem__(self, index):
        return elsewhere(self.array[here(index)])

    def __setitem__(self, index, value):
        self.array[here(index)] = here(value)

    def __len__(self):
        return len(self.array)


def elsewhere(value):
    if isinstance(value, (tuple, list)):
        return type(value)(map(elsewhere, value))
    return Elsewhere(np.asarray(value)) if isinstance(value, (np.ndarray, np.floating)) else value


def here(value):
    if isinstance(value, dict):
        return {name: here(part) for name, part in value.items()}
    if isinstance(value, (tuple, list)):
        return type(value)(map(here, value))
    return value.array if isinstance(value, Elsewhere) else value


def sent(value):
    """Floating arrays lie elsewhere; ids and masks come from here."""
    return Elsewhere(value) if isinstance(value, np.ndarray) and value.dtype.kind == "f" else value


def leaves_of(value):
    if isinstance(value, dict):
        value = list(value.values())
    return [leaf for part in value for leaf in leaves_of(part)] if isinstance(value, (tuple, list)) else [value]


@pytest.mark.parametrize("name", checkable())
def test_arrays_stay_where_they_are(name, rng):
    for case in draw_cases(name, Draw(rng)):
        y, saved = case.forward(*tree_map(sent, case.args).values(), **case.static)
        dy = [elsewhere(rng.normal(size=part.shape)) if part.shape else 1.0 for part in outputs(y)]
        g = case.backward(*dy, saved)
        assert not any(isinstance(leaf, np.ndarray) for leaf in leaves_of([y, g]))


def outputs(y):
    return y if isinstance(y, tuple) else (y,)
