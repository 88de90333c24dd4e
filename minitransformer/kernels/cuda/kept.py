"""Compiled kernels on disk, for the next process: to compile one takes seconds, to load it milliseconds.

Numba keeps them too, but looks at the file of a kernel alone to see whether what it kept still holds, though functions
of other files are compiled into it; and two processes that compile variants of one kernel at once may write one's code
under the other's name. So here, as for the processor (cpu/compiled.py), the folder is named after the source of all
kernels, and in it there is a file to each kernel, named after all that makes it what it is:

    its name, line, code    of the function, and of every function that it has from around it
    what it is made for     the numbers that it has from around it, and the kinds of its arguments
    by what, and for what   the versions of Numba, numba-cuda, Python and the toolkit, and the kind of device

The file is a line of JSON, with the kernel's name in the machine code and a checksum of it, and then the machine code
itself, as the driver loads it. Whatever fails here, the kernel is compiled as if there were none. With
MINITRANSFORMER_KEEP=0 nothing is kept, and nothing loaded.
"""

import hashlib
import json
import os
import platform
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


def load(kernel, kinds):
    """name, cubin: of a kernel for arguments of these kinds (direct.py), on this device. None where none is kept"""
    try:
        file = path(kernel, kinds)
        if file is None or not file.exists():
            return None
        about, cubin = file.read_bytes().split(b"\n", 1)
        about = json.loads(about)
        return (about["name"], cubin) if about["sha256"] == checksum(cubin) else None
    except Exception:
        return None


def save(kernel, kinds, name, cubin):
    try:
        file = path(kernel, kinds)
        if file is not None:
            about = json.dumps({"name": name, "sha256": checksum(cubin)})
            write_atomically(file, about.encode() + b"\n" + cubin)
    except Exception:  # a disk that is full, a Numba that is another inside
        return


def path(kernel, kinds):
    """The file of this kernel; None where it is not kept, as those of others are not."""
    function = kernel.py_func
    if folder() is None or not function.__module__.startswith(PACKAGE):
        return None
    name = f"{function.__qualname__.replace('<locals>.', '')}-{digest(kernel, kinds)}"
    return folder() / f"{name}.kernel"


def digest(kernel, kinds):
    """Of all that makes a kernel what it is, but for the source, after which the folder is named"""
    made_by = [platform.python_version(), *(version_of(name) for name in ("numba", "numba-cuda"))]
    made_for = kernel.targetctx.codegen().magic_tuple()  # the toolkit's version, and what the device can do
    return checksum(repr((identity(kernel), kinds, made_for, made_by)).encode())[:24]


def checksum(content):
    return hashlib.sha256(content).hexdigest()


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
