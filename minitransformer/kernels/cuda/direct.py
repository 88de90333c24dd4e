"""A kernel that has run on arguments of some kind, launched on such again: nobody asks what they are.

Numba looks at each array of another library anew at every launch, twice, and a kernel has half a dozen of them: a
quarter of a millisecond goes by before the device hears of it, longer than most kernels take. What the driver is handed
in the end is short: the arguments one behind the other, as in a struct of C.

    an array    two null pointers, its size, the bytes of an element, where it begins, its shape, its strides in bytes
    a number    itself

So a compiled kernel is machine code, its name in it, and the layout of that struct, which the kinds of the arguments
tell; these are what is kept on disk for the next process (kept.py). Whatever cannot be launched so (by a Numba
that is another inside; other arguments) is launched as Numba does it.
"""

import ctypes
import os
from functools import cache, lru_cache
from itertools import chain
from struct import Struct
from threading import Lock
from typing import NamedTuple

import numpy as np
from numba import cuda
from numpy.lib.stride_tricks import as_strided

from . import kept

THREE = (1, 1, 1)  # how many axes a grid and a block have
ARRAY = "array"
MOST = 2**31 - 1  # along any of them
BUFFER, SIZE, END = 1, 2, 0  # CU_LAUNCH_PARAM_...: how cuLaunchKernel is told where the struct is, and its length


class Code(NamedTuple):
    """What a kernel became for one kind of device"""

    name: str  # of the kernel
    cubin: bytes


def start(kernel, grid, block, args):
    """Launch a kernel: by Numba, which compiles it, the first time for arguments of a kind that none is kept for."""
    kinds, words = zip(*map(seen, args)) if args else ((), ())
    known = kernel.__dict__.setdefault("ready", {})
    if kinds not in known and None not in kinds and (code := kept.load(kernel, kinds)):
        known[kinds] = Ready(Code(*code), kinds)
    ready = known.get(kinds)
    if ready is None or not ready(grid, block, words):
        kernel[grid, block, *stream_for_numba()](*args)  # which also says why, where the driver refuses
    if kinds not in known:
        known[kinds] = None if None in kinds else compiled(kernel, kinds, args)


def current_stream():
    """CuPy's, in which arrays are made and cuBLAS multiplies: a kernel in another might come too soon, or too late"""
    import cupy

    return cupy.cuda.get_current_stream().ptr


def stream_for_numba():
    """Behind grid and block: nothing where it is the one that Numba takes by itself"""
    stream = current_stream()
    return (cuda.external_stream(stream),) if stream else ()


def compiled(kernel, kinds, args):
    """What Numba has just made of it. None where that is not to be launched from here."""
    try:
        made = kernel.overloads[tuple(kernel.typeof_pyval(arg) for arg in args)]
        if made.cooperative or getattr(made, "launch_config_sensitive", False) or made.debug:
            return None
        code = Code(made.entry_name, bytes(made.library.get_cubin().code))
        ready = Ready(code, kinds)
    except Exception:  # of a Numba that is another inside
        return None
    kept.save(kernel, kinds, *code)
    return ready


class Ready:
    """A compiled kernel, for arguments of these kinds

    It is called with a grid, a block and the words of each argument, and says whether the driver took them.
    """

    def __init__(self, code, kinds):
        self.code, self.functions, self.modules = code, {}, []  # a function for each device, and what it is in
        self.layout = Struct("@" + "".join(map(layout, kinds)))
        self.struct, self.size = ctypes.create_string_buffer(self.layout.size), ctypes.c_size_t(self.layout.size)
        there = ctypes.addressof(self.struct), ctypes.addressof(self.size)
        self.where = (ctypes.c_void_p * 5)(BUFFER, there[0], SIZE, there[1], END)
        self.lock = Lock()  # there is one struct

    def __call__(self, grid, block, words):
        try:
            shape, function = in_three(grid) + in_three(block), self.on_this_device()
            if max(shape) > MOST or function is None:
                return False
            with self.lock:
                self.pack(words)
                return launcher()(function, *shape, 0, current_stream(), None, self.where) == 0
        except Exception:  # a number that is too large for its type
            return False

    def pack(self, words):
        self.layout.pack_into(self.struct, 0, *chain.from_iterable(words))

    def on_this_device(self):
        import cupy

        device = cupy.cuda.runtime.getDevice()
        if device not in self.functions:
            self.functions[device] = None  # for a device that this is no code for
            module = cupy.cuda.function.Module()
            module.load(self.code.cubin)
            self.functions[device] = module.get_function(self.code.name).ptr
            self.modules.append(module)
        return self.functions[device]


@cache
def launcher():
    """The driver's cuLaunchKernel"""
    launch = ctypes.CDLL("nvcuda.dll" if os.name == "nt" else "libcuda.so.1").cuLaunchKernel
    launch.argtypes = [ctypes.c_void_p, *[ctypes.c_uint] * 7, *[ctypes.c_void_p] * 3]
    return launch


def seen(arg):
    """What a kernel is compiled for, and the words. "f2C": an array of two axes of float32 in C order; "f": a number

    Letters are those of NumPy, and of the struct: both are C's. None for what is neither number nor array.
    """
    letter = number(type(arg))
    if letter != ARRAY:
        return letter, (arg,)
    kind, before, after = around(arg.dtype.char, arg.shape, arg.strides)
    return kind, (*before, arg.data.ptr, *after)


@lru_cache(10_000)
def around(letter, shape, strides):
    """The kind of such an array, and its words before the one that says where it begins, and after"""
    like = as_strided(np.empty(0, letter), shape, strides)  # which nobody reads
    order = "C" if like.flags.c_contiguous else "F" if like.flags.f_contiguous else "A"  # any
    return f"{letter}{like.ndim}{order}", (0, 0, like.size, like.itemsize), (*shape, *strides)


@cache
def number(kind):
    """The letter of a type of numbers, ARRAY of an array on the device, None of anything else"""
    if hasattr(kind, "__cuda_array_interface__"):
        return ARRAY
    letter = np.dtype(kind).char if kind in (bool, int, float) or issubclass(kind, np.number | np.bool) else None
    return letter if letter and letter in "?bBhHiIlLqQfd" else None


def layout(kind):
    return kind if len(kind) == 1 else "PPnnP" + 2 * int(kind[1:-1]) * "n"


def in_three(sizes):
    sizes = sizes if isinstance(sizes, tuple) else (sizes,)
    return sizes + THREE[len(sizes) :]
