"""Arrays on the device, and how kernels see them: contiguous, as rows or as one row.

They are CuPy's. NumPy's own functions take those and leave them on the device, so that whatever is written in NumPy
(residual additions, matrix products, operations without a kernel) runs there without a line of its own.

Floating arrays stay where they are: a parameter that lies in the host's memory would cross over at every use, so it is
refused. Ids and masks are small, come from the host anyway, and are brought over when they are needed.
"""

import math
from functools import cache

import numpy as np

from .device import SIMULATED, in_words


@cache
def library():
    """The library of arrays on the device: CuPy, or in the simulator NumPy."""
    if SIMULATED:
        return np
    import cupy

    return cupy


def to_device(tree):
    """The same tree with its arrays on the device; what is there already stays. MemoryError where they do not fit."""
    with in_words():
        return over(tree, library().asarray)


def to_host(tree):
    """The same tree with its arrays in the host's memory, once everything that was asked of the device is done."""
    return over(tree, np.asarray if SIMULATED else library().asnumpy)


def over(tree, place):
    if isinstance(tree, dict):
        return {name: over(part, place) for name, part in tree.items()}
    if isinstance(tree, (list, tuple)):
        return type(tree)(over(part, place) for part in tree)
    return place(tree) if hasattr(tree, "dtype") and not isinstance(tree, np.generic) else tree


def check_place(**arrays):
    """TypeError, which names it, for an array that lies on no device, and ValueError where it lies on another one."""
    for name, array in arrays.items():
        if array is None:
            continue
        if not on_device(array):
            raise TypeError(
                f"{name} is a {type(array).__module__}.{type(array).__name__}, not an array of CuPy's on the device, "
                "where kernels for CUDA compute: minitransformer.placing.to_device brings a tree of arrays there"
            )
        there = getattr(array.data, "device_id", None)
        if there is not None and there != current_device():
            raise ValueError(
                f"{name} lies on GPU {there}, but kernels are launched on GPU {current_device()}, the current one: "
                f"bring it there, or make the other the current one (cupy.cuda.Device({there}).use())"
            )


def current_device():
    return 0 if SIMULATED else library().cuda.runtime.getDevice()


def check_leaves(**lists):
    """The same for lists of arrays; of each kind one is looked at."""
    for name, leaves in lists.items():
        for leaf in {type(leaf): leaf for leaf in leaves}.values():
            check_place(**{name: leaf})


def on_device(array):
    """Whether kernels can read it, and NumPy's functions take it and leave it there; a number goes with a launch."""
    return kind_on_device(type(array))


@cache
def kind_on_device(kind):
    if issubclass(kind, np.generic) or (SIMULATED and issubclass(kind, np.ndarray)):
        return True
    return hasattr(kind, "__cuda_array_interface__") and hasattr(kind, "__array_function__")


def empty(shape, like, dtype=None):
    """A fresh array beside `like`, contiguous, with nothing in it; in the simulator, with NaN in it."""
    made = (np if isinstance(like, np.ndarray) else library()).ndarray(shape, dtype or like.dtype)
    if SIMULATED:
        made.reshape(-1).view(np.uint8)[...] = 0xFF  # where there is no NaN: a number that no kernel writes
    return made


def rows(x):
    """x (..., D)   ->   (N, D)"""
    if len(x.shape) == 2:
        return contiguous(x)
    return contiguous(x).reshape(math.prod(x.shape[:-1]), x.shape[-1])


def flat(x):
    """x (...)   ->   (N)"""
    return contiguous(x).reshape(-1)


def aligned(x):
    """contiguous(x); a copy of it where it does not begin at a multiple of the 16 bytes that kernels move at once"""
    x = contiguous(x)
    begin = x.data.ptr if hasattr(x.data, "ptr") else x.ctypes.data
    return x if begin % 16 == 0 else x.copy()


def contiguous(x):
    """x itself, or a copy of it in C order; `like` says that it is to be made by the library that x is of"""
    x = library().asarray(x) if isinstance(x, np.generic) else x
    return x if x.flags.c_contiguous else np.ascontiguousarray(x, like=x)
