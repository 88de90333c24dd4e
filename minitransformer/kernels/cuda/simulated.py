"""`numba.cuda` for kernels that are simulated: threads take turns (attention/simulator.py), and warps can shuffle.

Numba puts what a simulated thread sees of `cuda` into the module of the kernel while it runs, and takes it out again as
a function of a kernel returns; another thread that is still in a function of that module is left without. So modules
here have this `cuda`, which asks anew at every use.
"""

import threading

import numpy as np
from numba import cuda as module
from numba.cuda.simulator.cudadrv.devicearray import FakeCUDAArray
from numba.cuda.simulator.kernel import _get_kernel_context

from .attention import simulator

WARP = 4  # lanes of a warp: so few that a block of eight threads has two of them


class Cuda:
    """`numba.cuda` as the kernel that runs sees it; outside of a kernel, as everybody does."""

    jit = staticmethod(module.jit)

    def __getattr__(self, name):
        return getattr(_get_kernel_context() or module, name)

    @staticmethod
    def as_device_array(arg):
        """What a kernel takes without a copy, so that it cannot write to what may only be read."""
        return FakeCUDAArray(arg) if isinstance(arg, np.ndarray) and arg.ndim else arg

    @staticmethod
    def shfl_xor_sync(members, x, mask):
        """Lane i reads what lane i ^ mask has: the lanes of a warp wait for each other, and for no other warp."""
        thread = threading.current_thread()
        return thread.meet(warp_of(thread), x)[thread.thread_id ^ mask]


def warp_of(thread):
    """Where the lanes of its warp meet, as long as its block runs."""
    block, number = thread._manager, thread.thread_id // WARP
    warps = block.__dict__.setdefault("small_warps", {})
    if number not in warps:
        lanes = [other for other in block.threads if other.thread_id // WARP == number]
        warps[number] = simulator.Meeting(lanes)
    return warps[number]


seed = simulator.seed  # with seed(7): threads and blocks come in another order
cuda = Cuda()
