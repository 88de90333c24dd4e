"""Root mean square normalisation (Zhang & Sennrich 2019, "Root Mean Square Layer Normalization", equation 4).

    forward     r = 1/√(mean(x²) + ε)        x̂ = x r        y = γ x̂        mean over the D values of each row

    backward    dγ = Σ dy x̂   over the rows;   with dx̂ = dy γ, x acts directly and through r:

                ∂r/∂x_i = -½ r³ (2/D) x_i = -r² x̂_i / D
                dx_i    = r dx̂_i + Σ_j dx̂_j x_j ∂r/∂x_i = r (dx̂_i - x̂_i mean(dx̂ x̂))

Layer normalisation without the mean: one term fewer, in the forward and in the backward.
"""

import numpy as np

from ..convention import backward_of, op


@op(x="... D", weight="D")
def rms_norm(p, x, *, eps=1e-6):
    """y = γ x / √(mean(x²) + ε), the mean over the last axis

    p["weight"] = γ (D)   x (..., D)   ->   y (..., D)
    """
    rstd = 1 / np.sqrt((x * x).mean(-1, keepdims=True) + eps)  # (..., 1)
    xhat = x * rstd
    return p["weight"] * xhat, (xhat, rstd, p["weight"])


@backward_of(rms_norm)
def rms_norm_backward(dy, saved):
    """dx = r (dx̂ - x̂ mean(dx̂ x̂))        dγ = Σ dy x̂"""
    xhat, rstd, weight = saved
    g = {"weight": (dy * xhat).sum(tuple(range(dy.ndim - 1)))}  # y = γ x̂
    dxhat = dy * weight
    return rstd * (dxhat - xhat * (dxhat * xhat).mean(-1, keepdims=True)), g
