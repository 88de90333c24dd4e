"""How kernels for a GPU are compiled and launched, and whether they can be here.

A launch is a grid of blocks of threads. The threads of a block run on one multiprocessor: they share its memory and can
wait for each other. 32 of them, a warp, run in step and can read each other's registers. Blocks know nothing of each
other and come in any order. Every kernel of this folder (attention has shapes of its own) has blocks of THREADS
threads, and nearly all have one of two shapes (sums down columns go by strips: column_sums.py):

    elements    so many blocks that the device is full; a thread does elements i, i + THREADS · blocks, ...
    rows        a block to each row, whose threads share its elements among them

Both ways neighbouring threads touch neighbouring numbers at the same time, and a warp's 32 reads become few accesses of
128 bytes (they are coalesced). Memory sets the pace of all these kernels: what counts is that every number is fetched
once.

With NUMBA_ENABLE_CUDASIM=1 Numba plays the device, each thread a thread of Python's, and NumPy's arrays stand for those
on the device. Blocks and warps are tiny then, so that tiny arrays cross all their borders.
"""

from contextlib import contextmanager
from functools import cache

from numba.cuda import config

from ..cuda_errors import DOCTOR, DeviceError, explain

SIMULATED = bool(config.ENABLE_CUDASIM)

if SIMULATED:
    from . import simulated

    cuda = simulated.cuda
else:
    from numba import cuda

    from . import direct

    config.CUDA_ARRAY_INTERFACE_SYNC = False  # kernels and CuPy use one stream, which keeps them in order by itself
    config.CUDA_LOW_OCCUPANCY_WARNINGS = False  # a small array has a small grid

WARP, WARPS = (simulated.WARP, 2) if SIMULATED else (32, 8)  # lanes of a warp, warps of a block
THREADS = WARP * WARPS
MOST_BLOCKS = 2 if SIMULATED else 2048  # of elements: more than any device runs at once, so that none of it is idle

kernel = cuda.jit
inlined = cuda.jit(device=True, inline="always")  # a function of kernels, which becomes a part of each that calls it


def launch(kernel, grid, block, *args):
    """Run a kernel on a grid of blocks of threads; on none where there is nothing to do. It may still run on return.

    DeviceError for what the driver refuses, MemoryError where the device's memory is full.
    """
    if 0 in grid if isinstance(grid, tuple) else not grid:
        return
    try:
        start(kernel, grid, block, args)
    except Exception as error:
        raise_in_words(error)


def start(kernel, grid, block, args):
    if SIMULATED:
        kernel[grid, block](*map(cuda.as_device_array, args))
    else:
        direct.start(kernel, grid, block, args)


@contextmanager
def launches_go_to(other):
    """Meanwhile, launches go to other(kernel, grid, block, args) instead; given is what they went to before."""
    global start
    before, start = start, other
    try:
        yield before
    finally:
        start = before


def elements(n):
    """How many blocks go over n elements."""
    return min(-(-n // THREADS), MOST_BLOCKS)


@contextmanager
def in_words():
    """What a library says of its driver, in words that tell what to do; an error that is not known stays as it is."""
    try:
        yield
    except Exception as error:
        raise_in_words(error)


def raise_in_words(error):
    """Within an `except`, whose error this is"""
    if isinstance(error, (TypeError, ValueError, DeviceError)):
        raise
    meaning, kind = explain(f"{type(error).__name__}: {error}")
    if meaning is None:
        raise
    raise kind(f"{meaning} ({type(error).__name__}; {DOCTOR})") from error


@cache
def capability():
    """(major, minor): which instructions the device has. None in the simulator, and where there is no device"""
    if SIMULATED or not cuda.is_available():
        return None
    return tuple(cuda.get_current_device().compute_capability)


def check_device():
    """Whether kernels can run here, found by running one. ImportError or DeviceError, which say what is missing."""
    if SIMULATED:
        return
    if not cuda.is_available():
        error = getattr(cuda, "cuda_error", lambda: None)() or "Numba finds no toolkit to compile kernels with"
        reason = explain(error)[0] or " ".join(str(error).split())
        raise DeviceError(f"the backend cuda cannot be used here: {reason} ({DOCTOR})")
    try:
        import cupy
    except ImportError as error:
        raise ImportError(f"the backend cuda needs CuPy for its arrays: {error} ({DOCTOR})") from None
    with in_words():
        found = cupy.zeros(1, cupy.float32)
        launch(say_so, 1, THREADS, found)
        answer = float(found[0])
    if answer != 42:
        raise DeviceError(f"a kernel of one line gave {answer} instead of 42 ({DOCTOR})")


@kernel
def say_so(x):
    x[0] = 42
