"""What the driver's errors mean, and what to do about them. It imports no library: also where CUDA is not there at all.

A driver names its errors CUDA_ERROR_...; some libraries say the same in words of their own.
"""

import re

DOCTOR = "`minitransformer doctor` tells what fits"


class DeviceError(OSError):
    """The device, or the driver, would not; the message says what to do."""


MEANINGS = (  # what a message says, what that means, and as which error it is raised: the first that fits
    (
        ("UNSUPPORTED_PTX_VERSION", "PTX was compiled with an unsupported toolchain", "[222]"),
        "the toolkit is newer than the driver, which cannot read the PTX that it writes: "
        "install a toolkit that is no newer than the driver, or a newer driver",
        DeviceError,
    ),
    (
        ("CUDA_ERROR_NO_DEVICE", "no CUDA-capable device", "cudaErrorNoDevice"),
        "the driver sees no GPU: is there one, may this user use it (in a container: --gpus all), "
        "and does CUDA_VISIBLE_DEVICES hide it?",
        DeviceError,
    ),
    (
        ("driver library cannot be found", "libcuda.so", "nvcuda.dll"),
        "there is no CUDA driver: install NVIDIA's driver for the GPU",
        DeviceError,
    ),
    (
        ("INSUFFICIENT_DRIVER", "driver version is insufficient", "cudaErrorInsufficientDriver"),
        "the driver is older than the toolkit: install a toolkit that is no newer than the driver, or a newer driver",
        DeviceError,
    ),
    (
        ("SYSTEM_DRIVER_MISMATCH", "COMPAT_NOT_SUPPORTED"),
        "the driver's two halves are of different versions: restart the machine, or install the driver anew",
        DeviceError,
    ),
    (
        ("NO_BINARY_FOR_GPU", "INVALID_PTX", "UNSUPPORTED_EXEC_AFFINITY", "is not supported by this toolkit"),
        "the toolkit does not know this GPU: a newer toolkit (and its driver), or an older one for an old GPU",
        DeviceError,
    ),
    (
        ("OUT_OF_MEMORY", "out of memory", "cudaErrorMemoryAllocation"),
        "the device's memory is full: a smaller --batch (with --accumulate for the same steps), a shorter --context, "
        "or end what else runs on it",
        MemoryError,
    ),
    (
        ("LAUNCH_OUT_OF_RESOURCES", "too much shared data", "uses too much shared"),
        "the kernel asks for more registers or shared memory than a block of this device has: "
        "a narrower head, or another rung of attention",
        DeviceError,
    ),
    (
        ("ILLEGAL_ADDRESS", "MISALIGNED_ADDRESS", "LAUNCH_FAILED"),
        "a kernel went wrong on the device: nothing later in this process can be trusted; this is a mistake of ours",
        DeviceError,
    ),
    (
        ("module 'numpy' has no attribute",),
        "NumPy {numpy} is too new for numba-cuda {numba-cuda}, which asks it for what it no longer has: "
        "pip install 'numpy<2.5'",
        DeviceError,
    ),
    (
        ("libnvvm", "NVVM", "nvrtc", "libdevice", "NvvmSupportError", "nvJitLink"),
        "a part of the CUDA toolkit is missing: install it",
        DeviceError,
    ),
)


def explain(message):
    """What this message means and what to do about it, and the kind of error that it is; None, None if not known."""
    message = str(message).lower()
    for signs, meaning, kind in MEANINGS:
        if any(sign.lower() in message for sign in signs):
            return with_versions(meaning), kind
    return None, None


def with_versions(meaning):
    """Every {package} in it becomes the version of that package."""
    from importlib.metadata import PackageNotFoundError, version

    for package in re.findall(r"{([\w-]+)}", meaning):
        try:
            meaning = meaning.replace(f"{{{package}}}", version(package))
        except PackageNotFoundError:
            meaning = meaning.replace(f" {{{package}}}", "")
    return meaning
