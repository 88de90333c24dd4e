"""Numba's simulator of a device, with what it lacks: warps, and a lock.

Its threads are Python's. `cuda` here is whatever the block that runs just now sees, and beside it

    shfl_xor_sync       lane i of a warp reads what lane i ^ mask has. Here all threads of a block put down what they have
                        and wait for each other, so every thread of the block must come by, as ours do
    shared.array        is filled with NaN: a device leaves there whatever was there before. It is made under a lock,
                        without which two threads that ask at once are each given an array of their own
"""

import sys
import threading

import numpy as np
from numba import cuda as module
from numba.cuda.simulator.cudadrv.devicearray import FakeCUDAArray
from numba.cuda.simulator.kernel import _get_kernel_context

sys.setswitchinterval(5e-4)  # whoever waits for a block's threads asks without end: they come to their turn sooner
lock = threading.Lock()


class Shared:
    def array(self, shape, dtype):
        place = sys._getframe(1)
        key, block = (place.f_code, place.f_lineno), current_block()
        with lock:
            if key not in block:
                block[key] = poisoned(np.empty(shape, dtype))
            return block[key]


def current_block():
    """What belongs to the block that this thread is of: an empty dict when the block begins."""
    manager = threading.current_thread()._manager
    with lock:
        return manager.__dict__.setdefault("shared_arrays", {})


def poisoned(array):
    """The same array, full of NaN; of numbers that no kernel writes, where there is no NaN."""
    array.view(np.uint8).fill(0xFF) if array.size else None
    return array


class Cuda:
    """`numba.cuda` as a simulated thread sees it; outside of a kernel, as everybody does."""

    shared = Shared()
    jit = staticmethod(module.jit)

    def __getattr__(self, name):
        return getattr(_get_kernel_context() or module, name)

    @staticmethod
    def as_device_array(arg):
        return FakeCUDAArray(arg) if isinstance(arg, np.ndarray) and arg.ndim else arg

    def shfl_xor_sync(self, members, x, mask):
        block, mine = current_block(), self.threadIdx.x
        with lock:
            given = block.setdefault("given", {})
        given[mine] = x
        self.syncthreads()
        found = given[mine ^ mask]
        self.syncthreads()  # before anybody puts down the next
        return found


cuda = Cuda()
