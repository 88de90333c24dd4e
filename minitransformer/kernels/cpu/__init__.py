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
    gru,
    layer_norm,
    linear,
    linear_cross_entropy,
    lstm,
    rms_norm,
    rnn,
    silu,
)
from .compiled import CACHE_FOLDER, announce_compilation
