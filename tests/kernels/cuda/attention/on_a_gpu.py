"""How far from float64 a rung in float32 may be on a device: what rounding can do at most, number by number.

The bound of the simulator's tests is twice what NumPy errs by. NumPy sums in pairs and blocks, a thread one number
after another; so on a device the bound is of what is done there. With u = 2⁻²⁴, the largest relative error of a
rounding:

    a sum        of n products, in any order: every term is rounded n times at most         Γ(n) Σ|terms|
    Γ(n)         (n + 4) u, and on tensor cores (4 n + 4) u: a number is the sum of three of bfloat16, of whose nine
                 products the six largest are made (what is left out is less than 4 u of the product). So there are
                 6 n / 16 steps, each of which cuts off 17 numbers, the sum so far and 16 products: at least two bits
                 behind the last of the largest, 17/4 units of it or 17/2 u, and the new sum, 2 u more. That is
                 6/16 · 10.5 < 4 u for each term
    exp(x)       relative 4 u, and what x is off by; so has 2ˣ of the hardware, 2⁻²²
    numbers      2⁻¹²⁶ and less may be taken for zero: η

|q| |k|ᵀ is of the absolute values. From top to bottom, each line by those above it, to the first order:

    d_s    = Γ(K) |q| |k|ᵀ / √K + 4 u |s|                      the scale, log₂ e, and a product with each
    e      = d_s + u (m - s) + 4 u                             relative, of exp(s - m); on the way the largest score
                                                               may have been smaller: the parts of m - s add up to it
    ρ      = Γ(S) + (S + 9) u                                  of the sum of weights; and a tile (8 keys or more) that
                                                               changes the largest costs an exp, 4 u, and a product
    d_y    = Σ w (e + ρ) (|v| + |y|) + 3 u |y|                 of the weights and of their sum; a division, a product
    d_lse  = Σ w e + ρ + 2 u |lse - m| + 3 u |lse| + 2 u       a logarithm, ln 2, and rounded to float32
    e_w    = d_s + d_lse + u |s - lse| + 3 u |lse| + 4 u       relative, of w = exp(s - lse); log₂ e once more
    d_w    = w (exp(e_w) - 1) + η                              for large scores, e_w is not that small
    d_dv   = d_wᵀ |dy| + Γ(R T) wᵀ |dy|                        the queries of all heads that share it
    d_δ    = |dy| d_y + Γ(K) |dy| |y|                          δ comes from y as it was kept
    d_ds   = d_w |dw - δ| + (w + d_w) (Γ(K) |dy| |v|ᵀ + d_δ) + 2 u |ds|
    d_dq   = (d_ds + Γ(S) |ds|) |k| / √K + 3 u |dq|
    d_dk   = (d_ds + Γ(R T) |ds|)ᵀ |q| / √K + 3 u |dk|

It is of the worst that could be, and some hundred times what happens: most roundings undo one another
(test_bounds.py). Inputs rounded to bfloat16 or to TF32 are far outside.
"""

import numpy as np

from minitransformer.ops.attention import attention, may_attend, repeat_heads, sum_heads

from .cases import Reference, lse_of, of_bfloat16, outcome

U, TINY = 2.0**-24, 2.0**-126
SECOND_ORDER = 1.05  # what products of two errors may add


def differences_and_bounds(rung, case):
    """{name: how far off each number is}, and {name: how far off it may be}"""
    if rung.precision == "bfloat16":
        return of_bfloat16(rung, case)
    arrays = case.arrays()
    exact, bounds = bounds_of(case, rung.backward, getattr(rung, "name", "").startswith("tensor_cores"))
    ours = outcome(rung, arrays, case.settings())
    return {name: abs(ours[name] - exact[name]) for name in exact}, bounds


def hold_on_a_gpu(rung, case):
    """AssertionError where a rung is farther off than it may be."""
    differences, bounds = differences_and_bounds(rung, case)
    for name, off in differences.items():
        assert not np.isnan(off).any(), f"{name}: not a number"
        assert (off <= bounds[name]).all(), f"{name}: off by {np.max(off / bounds[name]):.2f} times what it may be"


def bounds_of(case, backward, on_tensor_cores=False):
    """{name: what comes out in float64}, {name: how far from it each number may be}"""
    q, k, v, dy = (x.astype(np.float64) for x in case.arrays())
    exact = outcome(Reference(backward), (q, k, v, dy), case.settings())
    (_, H, T, K), (G, S) = q.shape, k.shape[1:3]
    k_all, v_all, scale = repeat_heads(k, H), repeat_heads(v, H), K**-0.5

    def gamma(n):
        return ((4 if on_tensor_cores else 1) * n + 4) * U

    y, weights = exact["y"], attention.__wrapped__(q, k, v, **case.settings())[1][4]
    s = q @ turned(k_all) * scale
    allowed = may_attend(q, S, **case.settings())
    seen = np.broadcast_to(True if allowed is None else allowed, s.shape)
    lse = lse_of(q, k, case.settings())[..., None]
    m = np.max(s, -1, keepdims=True, where=seen, initial=-np.inf)
    lse, m = (np.where(np.isfinite(x), x, 0) for x in (lse, m))  # of a query that sees nothing, whose weights are zero
    d_s = gamma(K) * (abs(q) @ turned(abs(k_all))) * scale + 4 * U * abs(s)
    e = np.where(seen, d_s + U * abs(m - s) + 4 * U, 0)
    rho = gamma(S) + (S + 9) * U
    off = weights * np.expm1(e + rho)
    d_y = off @ abs(v_all) + off.sum(-1, keepdims=True) * abs(y) + 3 * U * abs(y)
    bounds = {"y": d_y}
    if backward:
        d_lse = (weights * e).sum(-1, keepdims=True) + rho + 2 * U * abs(lse - m) + 3 * U * abs(lse) + 2 * U
        e_w = np.where(seen, d_s + d_lse + U * abs(s - lse) + 3 * U * abs(lse) + 4 * U, 0)
        d_w = np.where(seen, weights * np.expm1(e_w) + TINY, 0)
        felt = dy @ turned(v_all) - (dy * y).sum(-1, keepdims=True)  # dw - δ
        d_delta = (abs(dy) * (d_y + gamma(K) * abs(y))).sum(-1, keepdims=True)
        d_felt = gamma(K) * abs(dy) @ turned(abs(v_all)) + d_delta
        ds = abs(weights * felt)
        d_ds = d_w * abs(felt) + (weights + d_w) * d_felt + 2 * U * ds
        of_queries = turned(d_ds + gamma(H // G * T) * ds)
        bounds["dq"] = (d_ds + gamma(S) * ds) @ abs(k_all) * scale + 3 * U * abs(exact["dq"])
        bounds["dk"] = sum_heads(of_queries @ abs(q) * scale, G) + 3 * U * abs(exact["dk"])
        bounds["dv"] = sum_heads(turned(d_w + gamma(H // G * T) * weights) @ abs(dy), G)
    return exact, {name: SECOND_ORDER * bound + TINY for name, bound in bounds.items()}


def turned(x):
    return x.swapaxes(-1, -2)
