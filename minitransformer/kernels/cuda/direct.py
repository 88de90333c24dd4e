"""A kernel that has run on arguments of some kind, launched on such again: nobody asks what they are.

Numba looks at each array of another library anew at every launch, twice, and a kernel has half a dozen of them: a fifth
of a millisecond goes by before the device hears of it, longer than most kernels take. What is handed to the driver in
the end is short, and the same here:

    an array    two zeros, how many elements, the bytes of one, where they begin, its shape, its strides in bytes
    a number    itself, as the kernel was compiled for it

Whatever cannot be launched so (an older Numba, another kind of argument) is launched as Numba does it.
"""

import ctypes

NUMBERS = {"float32": ctypes.c_float, "float64": ctypes.c_double, "bool": bool}  # integers are named as in C
THREE = (1, 1, 1)  # how many axes a grid and a block have


class Ready:
    """A compiled kernel, and what makes words for the driver of each of its arguments"""

    def __init__(self, kernel, args):
        from cuda.core import LaunchConfig, launch
        from numba.cuda.cudadrv import driver

        types = tuple(kernel.typeof_pyval(arg) for arg in args)
        compiled = kernel.overloads[types]
        if getattr(compiled, "cooperative", False) or getattr(compiled, "launch_config_sensitive", False):
            raise NotImplementedError("a launch that is not like all others")
        self.words = [
            of_array if is_array(arg) else of_number(str(kind)) for arg, kind in zip(args, types, strict=True)
        ]
        self.code, self.stream = compiled._codelibrary, driver._to_core_stream(0)
        self.config, self.launch = LaunchConfig, launch
        self.config(grid=THREE, block=THREE)  # what does not fit is to show here

    def __call__(self, grid, block, args):
        words = []
        for word, arg in zip(self.words, args, strict=True):
            if word is of_array:
                words += of_array(arg)
            else:
                words.append(word(arg))
        config = self.config(grid=in_three(grid), block=in_three(block))
        self.launch(self.stream, config, self.code.get_cufunc().kernel, *words)  # of the device of this thread


def start(kernel, grid, block, args):
    """Launch a kernel: by Numba, which compiles it where that has to be, the first time for arguments of a kind."""
    known = kernel.__dict__.setdefault("ready", {})
    kinds = tuple(map(kind_of, args))
    if kinds not in known:
        kernel[grid, block](*args)
        try:
            known[kinds] = Ready(kernel, args)
        except Exception:  # of a Numba that is another inside: it goes on as it does
            known[kinds] = None
    elif known[kinds] is None:
        kernel[grid, block](*args)
    else:
        known[kinds](grid, block, args)


def is_array(arg):
    return hasattr(type(arg), "__cuda_array_interface__")


def kind_of(arg):
    """What a kernel is compiled for: of an array its numbers, its axes and how they lie; of a number its type"""
    if not is_array(arg):
        return type(arg)
    flags = arg.flags
    return arg.dtype, arg.ndim, flags.c_contiguous, flags.f_contiguous


def of_array(array):
    return 0, 0, array.size, array.itemsize, array.data.ptr, *array.shape, *array.strides


def of_number(kind):
    return NUMBERS.get(kind) or getattr(ctypes, f"c_{kind}")


def in_three(sizes):
    sizes = sizes if isinstance(sizes, tuple) else (sizes,)
    return tuple(map(int, sizes)) + THREE[len(sizes) :]
