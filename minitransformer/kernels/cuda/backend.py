"""Numba kernels for a CUDA device, under the names and signatures of the operations. Importing this brings them all.

Matrix products are cuBLAS's; what has no kernel here is written in NumPy's functions, which CuPy's arrays answer too.
(The folder itself stays cheap to import, for whoever wants to know what rungs attention has.)
"""

from . import (  # noqa: F401  each enters its kernels
    adamw,
    attend,
    cross_entropy,
    dropout,
    embedding,
    gelu,
    gelu_tanh,
    global_norm,
    layer_norm,
    linear,
    rms_norm,
    silu,
)
from .device import check_device

__all__ = ["check_device"]
