"""What can be learnt about CUDA here, step by step: run as a module, it prints a fact as a line of JSON, then the next.

It runs in a process of its own. A broken driver may end a process, or never come back; the facts that were printed
before that are known all the same, and which one was to come next is too.
"""

import ctypes
import json
import os
import sys
import traceback

DRIVER = "nvcuda.dll" if sys.platform == "win32" else "libcuda.so.1"
MAJOR, MINOR, SHARED_OPT_IN = 75, 76, 97  # attributes of a device, as cuda.h numbers them (CUdevice_attribute)


def main():
    for name, look in (("driver", driver), ("toolkit", toolkit), ("cupy", cupy), ("kernel", kernel)):
        tell({"next": name})
        try:
            tell({name: look()})
        except Exception as error:
            tell({name: {"error": describe(error)}})


def tell(fact):
    print(json.dumps(fact), flush=True)


def describe(error):
    return " ".join("".join(traceback.format_exception_only(error)).split())


def driver():
    """The driver by itself, whatever libraries are installed: its version, and the devices that it drives."""
    try:
        library = ctypes.CDLL(DRIVER)
    except OSError as error:
        return {"absent": str(error)}
    number = ctypes.c_int()
    library.cuDriverGetVersion(ctypes.byref(number))  # 13000 is 13.0
    facts = {"version": [number.value // 1000, number.value % 1000 // 10]}
    if status := library.cuInit(0):
        return facts | {"error": name_of(library, status)}
    if status := library.cuDeviceGetCount(ctypes.byref(number)):
        return facts | {"error": name_of(library, status)}
    return facts | {"devices": [device(library, i) for i in range(number.value)]}


def name_of(library, status):
    """CUDA_ERROR_NO_DEVICE and the like."""
    name = ctypes.c_char_p()
    library.cuGetErrorName(status, ctypes.byref(name))
    return name.value.decode() if name.value else f"error {status}"


def device(library, ordinal):
    handle, name, memory = ctypes.c_int(), ctypes.create_string_buffer(256), ctypes.c_size_t()
    library.cuDeviceGet(ctypes.byref(handle), ordinal)
    library.cuDeviceGetName(name, len(name), handle)
    library.cuDeviceTotalMem_v2(ctypes.byref(memory), handle)

    def attribute(which):
        number = ctypes.c_int()
        library.cuDeviceGetAttribute(ctypes.byref(number), which, handle)
        return number.value

    return {
        "name": name.value.decode(errors="replace"),
        "capability": [attribute(MAJOR), attribute(MINOR)],
        "memory": memory.value,
        "shared": attribute(SHARED_OPT_IN),
    }


def toolkit():
    """The compiler of kernels: numba-cuda, and the toolkit that it takes (found by its own search)."""
    from importlib.metadata import PackageNotFoundError, version

    try:
        facts = {"numba-cuda": version("numba-cuda")}
    except PackageNotFoundError:
        return {"absent": "numba-cuda"}
    facts["simulator"] = os.environ.get("NUMBA_ENABLE_CUDASIM", "0") not in ("", "0")
    from cuda.bindings import nvrtc

    status, major, minor = nvrtc.nvrtcVersion()
    return facts | {"version": [int(major), int(minor)]}


def cupy():
    from importlib.util import find_spec

    if find_spec("cupy") is None:
        return {"absent": "cupy"}
    import cupy

    facts = {"version": cupy.__version__}
    ones = cupy.ones((2, 3), cupy.float32)
    return facts | {"product": float((ones @ ones.T).sum())}  # 12: its own part of a toolkit multiplies


def kernel():
    """A kernel of one line, compiled, run, and looked at."""
    from numba import cuda

    @cuda.jit
    def answer(x):
        x[0] = 42

    x = cuda.device_array(1, "float32")
    answer[1, 1](x)
    return {"result": float(x.copy_to_host()[0])}


if __name__ == "__main__":
    main()
