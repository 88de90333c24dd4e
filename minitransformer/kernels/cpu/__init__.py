"""Numba kernels for the CPU, under the names and signatures of the operations. Importing this brings them all."""

from . import (
    adamw,
    attention,
    cross_entropy,
    dropout,
    embedding,
    gelu,
    gelu_tanh,
    global_norm,
    layer_norm,
    linear,
    linear_cross_entropy,
    rms_norm,
    silu,
)
from .compiled import CACHE_FOLDER, announce_compilation
