"""Layer normalisation (Ba, Kiros & Hinton 2016, "Layer Normalization", equation 4).

forward     μ = mean(x)        σ² = mean((x - μ)²)        x̂ = (x - μ) r   with   r = 1/√(σ² + ε)
            y = γ x̂ + β                                   mean over the D values of each row

backward    γ and β:    dγ = Σ dy x̂        dβ = Σ dy      over the rows

            x:  let dx̂ = dy γ. x acts on every x̂ of its row directly, through μ, and through r:

            ∂x̂_j/∂x_i = r (δ_ij - 1/D) + (x_j - μ) ∂r/∂x_i
            ∂r/∂x_i   = -½ r³ ∂σ²/∂x_i = -½ r³ (2/D)(x_i - μ) = -r² x̂_i / D

            dx_i = Σ_j dx̂_j ∂x̂_j/∂x_i = r (dx̂_i - mean(dx̂) - x̂_i mean(dx̂ x̂))
"""

import numpy as np

from ..convention import backward_of, op


@op(x="... D", weight="D", bias="D")
def layer_norm(p, x, *, eps=1e-5):
    """y = γ x̂ + β        x̂ = (x - mean) / √(var + ε), mean and var over the last axis

    p["weight"] = γ (D), p["bias"] = β (D)   x (..., D)   ->   y (..., D)
    """
    centred = x - x.mean(-1, keepdims=True)
    centred -= centred.mean(-1, keepdims=True)  # what rounding left of the mean: without it, equal values would differ
    rstd = 1 / np.sqrt((centred * centred).mean(-1, keepdims=True) + eps)  # (..., 1)
    xhat = centred * rstd
    return p["weight"] * xhat + p["bias"], (xhat, rstd, p["weight"])


@backward_of(layer_norm)
def layer_norm_backward(dy, saved):
    """dx = r (dx̂ - mean(dx̂) - x̂ mean(dx̂ x̂))        dγ = Σ dy x̂        dβ = Σ dy"""
    xhat, rstd, weight = saved
    rows = tuple(range(dy.ndim - 1))
    g = {"weight": (dy * xhat).sum(rows), "bias": dy.sum(rows)}  # y = γ x̂ + β
    dxhat = dy * weight
    through_mean = dxhat.mean(-1, keepdims=True)
    through_variance = xhat * (dxhat * xhat).mean(-1, keepdims=True)
    return rstd * (dxhat - through_mean - through_variance), g
