"""Arrays on the device, whoever made them: CuPy's, Numba's, and in the simulator NumPy's own."""

import os

import numpy as np

SIMULATED = os.environ.get("NUMBA_ENABLE_CUDASIM", "0") not in ("", "0")


def check_place(name, array):
    """TypeError for an array that a kernel on the device could not read."""
    if not hasattr(array, "__cuda_array_interface__") and not (SIMULATED and isinstance(array, np.ndarray)):
        raise TypeError(
            f"attention: {name} is a {type(array).__module__}.{type(array).__qualname__}, which is not on the GPU: "
            "bring it there with cupy.asarray or numba.cuda.to_device, or choose the backend 'cpu'"
        )


def empty(shape, like, dtype=None):
    """Room on the device that `like` is on, in memory of the same kind. Nothing has been written there."""
    dtype = like.dtype if dtype is None else dtype
    if hasattr(like, "copy_to_host"):  # Numba's
        from numba import cuda

        return cuda.device_array(shape, dtype)
    return np.empty_like(like, dtype=dtype, shape=shape)  # CuPy's too: they answer NumPy's functions


def zeros(shape, like, dtype=None):
    room = empty(shape, like, dtype)
    if hasattr(room, "copy_to_device"):
        room.copy_to_device(np.zeros(shape, room.dtype))
    else:
        room[...] = 0
    return room


def in_order(name, array):
    """The array itself if its last axis lies closest in memory, and the first farthest; else a copy that does."""
    if hasattr(array, "is_c_contiguous"):  # Numba's, which cannot be copied into another order
        if not array.is_c_contiguous():
            raise ValueError(f"attention: {name} does not lie in C order, into which only CuPy's arrays can be copied")
        return array
    return array if array.flags.c_contiguous else array.copy(order="C")
