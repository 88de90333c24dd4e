"""The arrays of a nested thing (parameters, gradients, what a forward saved): their bits, and their memory."""

import numpy as np


def arrays_in(thing):
    """[array, ...] reachable through dicts, lists and tuples, each as often as it is reached."""
    if isinstance(thing, np.ndarray):
        return [thing]
    if isinstance(thing, dict):
        thing = [thing[name] for name in sorted(thing)]
    return [array for part in thing for array in arrays_in(part)] if isinstance(thing, (list, tuple)) else []


def same_bits(a, b):
    """Whether the arrays of a and of b are equal one by one, in dtype, shape and value."""
    a, b = arrays_in(a), arrays_in(b)
    return len(a) == len(b) > 0 and all(x.dtype == y.dtype and np.array_equal(x, y) for x, y in zip(a, b))


def bytes_of(thing, *but_not):
    """The memory that a nested thing keeps alive, each buffer counted once, without what `but_not` keeps alive too."""
    others = {id(owner(array)) for array in arrays_in(but_not)}
    buffers = {id(owner(array)): owner(array) for array in arrays_in(thing)}
    return sum(buffer.nbytes for key, buffer in buffers.items() if key not in others)


def owner(array):
    """The array whose memory this one is a view of."""
    while isinstance(array.base, np.ndarray):
        array = array.base
    return array


def shares_memory(array, others):
    return any(np.shares_memory(array, other) for other in others)
