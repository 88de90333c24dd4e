"""Python, the processor, NumPy with its BLAS, Numba with its kernels: what everything runs on."""

import os
import platform
import sys

from ..installing import install
from ..threads import available_cores
from .finding import Finding

LEAST_PYTHON = (3, 11)
VECTORS = (("avx512f", 512), ("avx2", 256), ("avx", 256))  # a feature of a processor, and how many bits it reckons with


def python():
    found = f"{platform.python_version()}, {platform.system()} {platform.machine()}, {sys.executable}"
    if sys.version_info < LEAST_PYTHON:
        needed = ".".join(map(str, LEAST_PYTHON))
        return Finding("Python", "wrong", found, f"Python {needed} or newer is needed")
    return Finding("Python", "good", found)


def cores():
    usable, there = available_cores(), os.cpu_count() or 1
    return Finding("cores", "good", f"{usable}" if usable == there else f"{usable} of {there} may be used")


def numpy():
    import numpy as np

    return Finding("NumPy", "good", np.__version__)


def blas():
    """The library that multiplies NumPy's matrices."""
    import numpy  # noqa: F401  which loads it
    from threadpoolctl import threadpool_info

    found = [
        f"{library['internal_api']} {library.get('version') or ''}".strip()
        + f"{for_processor(library)}, {library['num_threads']} thread{'s' * (library['num_threads'] != 1)}"
        for library in threadpool_info()
        if library["user_api"] == "blas"
    ]
    if not found:
        return Finding("BLAS", "note", "none that could be recognised: matrix products may be slow", install())
    return Finding("BLAS", "good", "; ".join(found))


def for_processor(library):
    return f" for {library['architecture']}" if library.get("architecture") else ""


def numba():
    import llvmlite
    import numba

    return Finding("Numba", "good", f"{numba.__version__}, llvmlite {llvmlite.__version__}")


def threading_layer():
    """Numba's own threads, of which the kernels need none: they leave threads to the pieces of a batch."""
    import numba

    there = [layer for layer, module in LAYERS.items() if importable(f"numba.np.ufunc.{module}")]
    chosen = numba.config.THREADING_LAYER
    found = f"{', '.join(there) or 'none'} (chosen: {chosen}; kernels of this project run on one thread each)"
    return Finding("Numba's threads", "good" if there else "note", found)


LAYERS = {"tbb": "tbbpool", "omp": "omppool", "workqueue": "workqueue"}


def importable(module):
    from importlib import import_module

    try:
        import_module(module)
    except Exception:  # a library that it is linked with may be missing, or be another than it expects
        return False
    return True


def vectors():
    import llvmlite.binding as llvm

    features = llvm.get_host_cpu_features()
    width = next((bits for feature, bits in VECTORS if features.get(feature)), 128)
    return Finding("vectors", "good", f"{width} bits, {width // 32} float32 at once ({llvm.get_host_cpu_name()})")


def kernel_cache():
    from ..kernels.cpu.compiled import CACHE_FOLDER, cache_folder

    folder = CACHE_FOLDER and cache_folder()
    if folder is None:
        advice = "set NUMBA_CACHE_DIR to a folder that can be written"
        return Finding("compiled kernels", "note", "no folder can be written: compiled anew in every process", advice)
    return Finding("compiled kernels", "good", f"kept in {folder}")
