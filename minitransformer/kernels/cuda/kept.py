"""Compiled kernels on disk, for the next process: to compile one takes seconds, to load it milliseconds.

Numba keeps them too, but looks at the file of a kernel alone to see whether what it kept still holds, though functions
of other files are compiled into it; and two processes that compile variants of one kernel at once may write one's code
under the other's name. So here, as for the processor (cpu/compiled.py), the folder is named after the source of all
kernels, and in it there is a file to each kernel, named after all that makes it what it is:

    its name, line, code    of the function, and of every function that it has from around it
    what it is made for     the numbers that it has from around it, and the types of its arguments
    by what, and for what   the versions of Numba, numba-cuda, Python and the toolkit, and the kind of device

It is used through what Numba calls a cache: `load_overload` before a kernel is compiled, `save_overload` after.
Whatever fails in either, the kernel is compiled as if there were none. MINITRANSFORMER_KEEP=0 keeps and loads nothing.
"""

import hashlib
import os
import pickle
import platform
from contextlib import suppress
from functools import cache
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

from ...files import write_atomically
from ..folders import cache_folder, source_hash

PACKAGE = __package__
SOURCE = source_hash(Path(__file__).parent)  # as it is now, when it is imported


@cache
def folder():
    """Where kernels are kept; None where nothing is to be kept, or nothing can be written."""
    if os.environ.get("MINITRANSFORMER_KEEP") == "0":
        return None
    found = cache_folder(f"cuda-kernels-{SOURCE}")
    return found and Path(found)


def keep(kernel):
    """From now on this kernel is loaded where it was kept, and kept where it was compiled. Never an error."""
    if hasattr(kernel, "may_be_kept"):
        return
    with suppress(Exception):  # of another version of Numba, with another inside, or of what is no kernel
        kernel.may_be_kept = False
        if folder() is not None and kernel.py_func.__module__.startswith(PACKAGE):
            kernel._cache = Kept(kernel.py_func)
            kernel.may_be_kept = True


class Kept:
    """What Numba asks for a compiled kernel, and gives it to"""

    def __init__(self, function):
        self.function = function
        self.cache_path = str(folder())

    def path(self, signature, target):
        name = f"{self.function.__qualname__.replace('<locals>.', '')}-{digest(self.function, signature, target)}"
        return folder() / f"{name}.kernel"

    def load_overload(self, signature, target):
        try:
            from numba.core.target_extension import target_override
            from numba.cuda.dispatcher import _Kernel

            target.refresh()
            found = self.path(signature, target.codegen())
            if not found.exists():
                return None
            with target_override("cuda"):
                kernel = _Kernel._rebuild(**pickle.loads(found.read_bytes()))
                kernel.bind()  # to the device: what that refuses is compiled anew
            return kernel
        except Exception:
            return None

    def save_overload(self, signature, kernel):
        try:
            if not getattr(kernel, "launch_config_sensitive", False):  # it would be another for another grid
                write_atomically(self.path(signature, kernel.codegen), pickle.dumps(kernel._reduce_states()))
        except Exception:
            return

    def enable(self):
        pass

    def disable(self):
        pass

    def flush(self):
        pass


def digest(function, signature, codegen):
    """Of all that makes a kernel what it is, but for the source, after which the folder is named"""
    made_by = [platform.python_version(), *(version_of(name) for name in ("numba", "numba-cuda"))]
    told = repr((identity(function), [str(part) for part in signature], codegen.magic_tuple(), made_by))
    return hashlib.sha256(told.encode()).hexdigest()[:24]


def identity(thing):
    """What tells a function, or a number that it has from around it, from every other"""
    function = getattr(thing, "py_func", thing)
    if hasattr(thing, "tobytes"):
        return str(thing.dtype), thing.shape, thing.tobytes()
    if not hasattr(function, "__code__"):
        return repr(thing)
    code, around = function.__code__, [identity(cell.cell_contents) for cell in function.__closure__ or ()]
    constants = [constant for constant in code.co_consts if not hasattr(constant, "co_code")]
    place = function.__module__, function.__qualname__, code.co_firstlineno
    return *place, code.co_code, repr(constants), repr(function.__defaults__), around


def version_of(package):
    try:
        return version(package)
    except PackageNotFoundError:
        return None
