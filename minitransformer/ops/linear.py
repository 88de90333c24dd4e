"""The linear map, an affine one where there is a bias.

forward     y_n = W x_n + b                             for every row n

backward    from  y_ne = Σ_d W_ed x_nd + b_e  and  dy = ∂loss/∂y:

            dx_nd = Σ_e dy_ne W_ed                      dx = dy W
            dW_ed = Σ_n dy_ne x_nd                      dW = dyᵀ x
            db_e  = Σ_n dy_ne
"""

import math

from ..convention import backward_of, op


def rows(x):
    """x (..., D) as one matrix (N, D): one large product is faster than a small one for every sequence."""
    return x.reshape(math.prod(x.shape[:-1]), x.shape[-1])


@op(x="... D", weight="E D", bias="[E]")
def linear(p, x):
    """y = x Wᵀ + b

    p["weight"] (E, D), p["bias"] (E) or absent   x (..., D)   ->   y (..., E)
    """
    y = rows(x) @ p["weight"].T
    if p.get("bias") is not None:
        y += p["bias"]
    return y.reshape(*x.shape[:-1], y.shape[-1]), (x, p)


@backward_of(linear)
def linear_backward(dy, saved):
    """dx = dy W        dW = dyᵀ x        db = Σ dy        with the sums over every row"""
    x, p = saved
    x_rows, dy_rows = rows(x), rows(dy)
    g = {"weight": dy_rows.T @ x_rows}  # y = x Wᵀ
    if p.get("bias") is not None:
        g["bias"] = dy_rows.sum(0)  # y = ... + b
    return (dy_rows @ p["weight"]).reshape(x.shape), g  # y = x Wᵀ
