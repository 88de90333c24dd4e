"""Numba kernels for a CUDA device, under the names and signatures of the operations. Importing this brings them all.

Matrix products are CuPy's; what has no kernel here is written in NumPy's functions, which CuPy's arrays answer too.
"""

from . import (
    adamw,
    attend,
    cross_entropy,
    dropout,
    embedding,
    gelu,
    gelu_tanh,
    global_norm,
    layer_norm,
    rms_norm,
    silu,
)
from .arrays import to_device, to_host
from .device import SIMULATED, DeviceError, check_device
