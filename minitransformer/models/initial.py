"""Parameters as BERT and LLaMA begin: normal with standard deviation 0.02, biases 0, norms that change nothing."""

import numpy as np


def table(rng, n, width, dtype):
    return {"weight": rng.normal(0, 0.02, (n, width)).astype(dtype)}


def affine(rng, out, inp, dtype):
    return table(rng, out, inp, dtype) | {"bias": np.zeros(out, dtype)}


def norm(width, dtype):
    return {"weight": np.ones(width, dtype), "bias": np.zeros(width, dtype)}


def scale(width, dtype):
    return {"weight": np.ones(width, dtype)}
