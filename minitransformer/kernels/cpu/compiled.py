"""How kernels are compiled: by Numba, once for a processor, and kept on disk.

A kernel runs without Python's lock and on one thread. It is the batch that is spread over threads (threads.py):
kernels that brought threads of their own would fight with BLAS's for the same cores, and lose ten times what they win.
One does, where BLAS has nothing to do (board.py).

Numba looks at the file of a kernel alone to see whether what it kept still holds, though functions of other files are
compiled into it. So the folder is named after the source of all kernels: whatever changes, nothing stale is loaded.
Where nothing can be written, kernels are compiled anew in every process.
"""

from pathlib import Path

import llvmlite.binding as llvm
import numba
from numba.core import event

from .. import folders

SUMS = {"reassoc", "contract", "nsz"}  # what a sum needs to be vectorised, and a product to join it; NaN and ∞ stay


def source_hash():
    return folders.source_hash(Path(__file__).parent)


def cache_folder():
    """Where compiled kernels are kept: NUMBA_CACHE_DIR, or the user's cache. None where nothing can be written."""
    return folders.cache_folder(f"kernels-{source_hash()}")


CACHE_FOLDER = cache_folder()


def use_whole_registers():
    """Let vectors be as wide as the processor's registers.

    LLVM takes half of AVX-512's width by itself, for the sake of early processors that slowed down for the whole. The
    matrix products beside the kernels use the whole anyway. NUMBA_CPU_FEATURES, where it is set, has the last word.
    """
    features = llvm.get_host_cpu_features()
    if numba.config.CPU_FEATURES is None and features.get("avx512f"):
        numba.config.CPU_FEATURES = f"{features.flatten()},-prefer-256-bit"


use_whole_registers()


def compiled(function=None, *, sums=False):
    """Compile a kernel when it is first called. `sums`: its sums may be taken in another order, so as to vectorise."""
    if function is None:
        return lambda function: compiled(function, sums=sums)
    how = {"nogil": True, "error_model": "numpy", "fastmath": SUMS if sums else {"contract"}}
    before, numba.config.CACHE_DIR = numba.config.CACHE_DIR, CACHE_FOLDER or ""
    try:
        kernel = numba.njit(function, cache=CACHE_FOLDER is not None, **how)
    finally:
        numba.config.CACHE_DIR = before
    return kernel


class Announcer(event.Listener):
    def __init__(self, announce):
        self.announce = announce

    def on_start(self, event):
        if self.announce is not None:
            where = f"kept in {CACHE_FOLDER}" if CACHE_FOLDER else "not kept, for no cache folder can be written"
            self.announce(f"compiling kernels for this processor, {where} ...")
        self.announce = None

    def on_end(self, event):
        pass


def announce_compilation(announce):
    """Call `announce(line)` when a kernel is compiled for the first time in this process; loading one says nothing."""
    event.register("numba:compile", Announcer(announce))
