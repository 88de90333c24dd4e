"""What a rung is called with, and how near to float64 it must come, forward and backward."""

from functools import cache
from typing import NamedTuple

import numpy as np

from minitransformer.kernels.cuda.attention.bfloat16 import EPS, from_bfloat16, to_bfloat16
from minitransformer.ops.attention import attention, attention_backward, may_attend, repeat_heads, sum_heads
from tests.kernels.cpu.agreement import FLOOR, error

DRAWS = 5  # of a kind of case, by which the reference's own error is judged
SECOND_ORDER = 1.05  # what products of two roundings, and float32's own, may add to a bound of the first order


class Case(NamedTuple):
    """Shapes that differ from one another, and a kind of mask (`mask_of`)"""

    B: int = 2
    G: int = 2
    R: int = 2
    T: int = 7
    S: int = 11
    K: int = 8
    causal: bool = True
    mask: str | None = None
    shift: float = 0.0  # of q and of -k: so that all scores are far below zero
    size: float = 1.0  # of q: so that they are far from one another
    whole: bool = (
        False  # q and k are whole numbers up to 8, and scores of some 50 come without rounding where √K is whole
    )
    seed: int = 0

    def __str__(self):
        heads = f"{self.B}x{self.G}x{self.R}"
        more = ["causal"] * self.causal + [self.mask] * (self.mask is not None)
        more += [f"shift{self.shift:g}"] * (self.shift != 0) + [f"size{self.size:g}"] * (self.size != 1)
        more += ["whole"] * self.whole
        return "-".join([heads, f"T{self.T}", f"S{self.S}", f"K{self.K}", *more])

    def arrays(self):
        """q, k, v, dy in float32"""
        rng = np.random.default_rng(self.seed)
        shapes = [(self.B, self.G * self.R, self.T, self.K)] * 2 + [(self.B, self.G, self.S, self.K)] * 2
        q, dy, k, v = (rng.normal(size=shape).astype(np.float32) for shape in shapes)
        if self.whole:
            q, k = (rng.integers(-8, 9, x.shape).astype(np.float32) for x in (q, k))
        return q * np.float32(self.size) + np.float32(self.shift), k - np.float32(self.shift), v, dy

    def settings(self):
        return {"mask": mask_of(self), "causal": self.causal}


def mask_of(case):
    """Boolean masks of every shape; in "full" a query of every sequence may attend to nothing."""
    rng = np.random.default_rng(case.seed + 1)
    B, H, T, S = case.B, case.G * case.R, case.T, case.S
    if case.mask is None:
        return None
    if case.mask == "padded":  # each sequence ends at another place, the last one nowhere
        return (np.arange(S) < np.linspace(1, S, B).astype(int)[:, None])[:, None, None]
    if case.mask == "by head":
        return rng.random((1, H, 1, S)) < 0.6
    if case.mask == "by query":
        return rng.random((1, 1, T, S)) < 0.6
    if case.mask == "full":
        mask = rng.random((B, H, T, S)) < 0.6
        mask[:, :, T // 2] = False
        return mask
    raise ValueError(case.mask)


SMALL = [  # for tiles of 4 rows and of 5: what lies at their borders, and is less than one
    Case(B=1, G=1, R=1, T=9, S=11),  # the last key of some queries is the first of a tile
    Case(B=1, G=1, R=1, T=5, S=13, causal=False, size=1000.0),
    Case(B=1, G=1, R=1, T=4, S=3, causal=False, shift=7.0),  # exp(0 - lse) would be infinite
    Case(),
    Case(B=1, G=1, R=1, T=9, S=11, K=16, causal=False, whole=True),
    Case(B=1, T=11, S=7),  # queries that see nothing
    Case(R=1, causal=False, mask="padded"),
    Case(B=1, G=1, R=3, T=9, S=9, mask="full"),
    Case(B=1, R=1, T=1, S=6, mask="by head"),
    Case(B=1, G=1, R=2, T=5, S=1, causal=False),
    Case(B=1, G=1, R=2, T=4, S=12, causal=False, mask="by query"),
    Case(B=1, G=1, R=1, T=6, S=13, causal=False, shift=4.0),
]
LARGE = [  # for tiles of 16 rows: three of them, so that both stages are used again; at least so wide
    Case(B=1, G=1, R=1, T=9, S=11, K=64, causal=False, whole=True),
    Case(B=1, G=1, R=1, T=35, S=36, K=32),  # a strip's rows come from two warps; and as in the first above
    Case(B=1, G=1, R=1, T=35, S=20),  # the first query of some keys is the first of a tile
    Case(G=1, T=2, S=18, causal=False, mask="padded"),
    Case(B=1, G=1, R=1, T=2, S=5, K=64),
    Case(B=1, G=1, R=1, T=4, S=3, causal=False, shift=7.0),
    Case(B=1, G=2, R=2, T=19, S=37),
    Case(B=1, G=1, R=1, T=37, S=20),
    Case(G=1, R=1, T=5, S=18, causal=False, mask="padded"),
    Case(B=1, G=1, R=2, T=17, S=17, mask="full"),
    Case(B=1, G=1, R=2, T=1, S=12, mask="by head"),
    Case(B=1, G=1, R=1, T=35, S=1, causal=False),
    Case(B=1, G=1, R=1, T=4, S=33, causal=False, mask="by query"),
    Case(B=1, G=1, R=1, T=18, S=35, causal=False, shift=4.0),
]


def cases_of(name):
    """What a rung is called with when its tiles are small (`shrink`)"""
    narrowest = {"flash_registers": 32, "tensor_cores": 16, "tensor_cores_float32": 32}.get(name)
    more = [  # tiles that come in turns; and as the third above, for the kernel that sums dv alone
        Case(B=1, G=2, R=1, T=19, S=37, K=64),
        Case(B=1, G=2, R=2, T=16, S=1, K=64),
    ] * (name == "tensor_cores_float32")
    return [case._replace(K=max(case.K, narrowest)) for case in LARGE] + more if narrowest else SMALL


def shrink(name, module, change=setattr):
    """Blocks and tiles so small that little arrays have many of them, none full."""
    if name == "naive":
        change(module, "THREADS", 4)
    elif name == "flash_registers":
        cut = module.Cut(2, 2, 2)
        change(module, "cuts", lambda K: (cut, cut))
    elif name == "tensor_cores":
        change(module, "WARPS", 2)
        change(module, "tile_of", lambda K, masked: (16, 16))
    elif name == "tensor_cores_float32":
        change(module, "WARPS", 2)
        change(module, "tile_of", lambda K, masked: 16)
        change(module, "FULL", 32)
        change(module, "AT_ONCE", 2)
        change(module, "together", lambda K: K < 64)
    else:
        change(module, "ROWS", 4)
        change(module, "TILE", 40)
        change(module, "COLUMNS", 4)


def hold(rung, case):
    """AssertionError where a rung (with `attention`, `attention_backward`, if any) is farther off than it may be."""
    precise = rung.precision == "float32"
    differences, bounds = (of_float32 if precise else of_bfloat16)(rung, case)
    for name, off in differences.items():
        assert not np.isnan(off).any(), f"{name}: not a number"
        assert (off <= bounds[name]).all(), f"{name}: off by {np.max(off - bounds[name]):.1e} more than it may be"


def outcome(rung, arrays, settings):
    """{name: array} of all that comes out of a rung, or of the reference"""
    q, k, v, dy = arrays
    y, saved = rung.attention(q, k, v, **settings)
    if not isinstance(rung, Reference):
        check_lse(saved[-1], q, k, settings)
    found = {"y": y}
    if rung.backward:
        dq, dk, dv, dbias = rung.attention_backward(dy, saved)
        assert dbias is None
        found |= {"dq": dq, "dk": dk, "dv": dv}
    for name, array in found.items():
        like = {"y": q, "dq": q, "dk": k, "dv": v}[name]
        assert (array.shape, array.dtype) == (like.shape, like.dtype), name
    return found


def check_lse(lse, q, k, settings):
    """The logarithm of the sum, to float32; -∞ where a query may attend to nothing, and nowhere else"""
    q, k = (x.astype(np.float64) if x.dtype == np.float32 else from_bfloat16(x).astype(np.float64) for x in (q, k))
    exact = lse_of(q, k, settings).reshape(lse.shape)
    assert np.array_equal(np.isneginf(lse), np.isneginf(exact)), "lse is -∞ elsewhere"
    seen = np.isfinite(exact)
    assert np.allclose(lse[seen], exact[seen], rtol=1e-5, atol=1e-5), "lse"


def lse_of(q, k, settings):
    """The logarithm of the sum (B, H, T)"""
    scores = q @ repeat_heads(k, q.shape[1]).swapaxes(-1, -2) * q.shape[3] ** -0.5
    allowed = may_attend(q, k.shape[2], **settings)
    scores = scores if allowed is None else np.where(allowed, scores, -np.inf)
    return np.logaddexp.reduce(scores, -1, initial=-np.inf)


class Reference(NamedTuple):
    backward: bool
    attention = staticmethod(attention)
    attention_backward = staticmethod(attention_backward)


def of_float32(rung, case):
    """{name: how far off, in units of the largest entry or of 1}, and how far off it may be"""
    exact, bounds = in_float32(case, rung.backward)
    ours = outcome(rung, case.arrays(), case.settings())
    return {name: error(ours[name], exact[name]) for name in exact}, bounds


@cache
def in_float32(case, backward):
    """What comes out in float64, and how far from it float32 may be:

    twice as far as the reference in float32 (the worst of DRAWS), 16 units in the last place of 1, and what lse costs.
    It is kept in float32, whose numbers there lie u apart. What is rounded is off by u/2, and all weights of the row
    that are made again from it by one factor, 1 ± u/2. So is ds, for δ comes from y, which has l itself. Hence

        |Δdq| ≤ u/2 |dq|                  |Δdk| ≤ (u/2 |ds|)ᵀ |q| / √K                  |Δdv| ≤ (u/2 w)ᵀ |dy|
    """
    reference, found = Reference(backward), []
    for seed in range(case.seed, case.seed + DRAWS):
        drawn = case._replace(seed=seed)
        single, settings = drawn.arrays(), drawn.settings()
        double = [x.astype(np.float64) for x in single]
        found.append([outcome(reference, arrays, settings) for arrays in (double, single)])
    exact, _ = found[0]
    bounds = {name: 2 * max(error(theirs[name], them[name]) for them, theirs in found) + FLOOR for name in exact}
    if backward:
        for name, cost in cost_of_lse(case, exact).items():
            bounds[name] += np.max(cost, initial=0) / np.max(abs(exact[name]), initial=1)
    return exact, bounds


def cost_of_lse(case, exact):
    """{name: how far off each number is, at most}"""
    q, k, v, dy = (x.astype(np.float64) for x in case.arrays())
    lse = np.float32(lse_of(q, k, case.settings()))
    off = np.spacing(np.where(np.isfinite(lse), abs(lse), np.float32(0)))[..., None] / 2  # (B,H,T,1)
    weights, ds = weights_and_ds(q, k, v, dy, exact["y"], case.settings())
    return {
        "dq": off * abs(exact["dq"]),
        "dk": sum_heads((off * abs(ds)).swapaxes(-1, -2) @ abs(q) * case.K**-0.5, case.G),
        "dv": sum_heads((off * weights).swapaxes(-1, -2) @ abs(dy), case.G),
    }


def weights_and_ds(q, k, v, dy, y, settings):
    """What the reference makes on its way, (B, H, T, S)"""
    _, (*_, weights, _, _, _) = attention.__wrapped__(q, k, v, **settings)
    dw = dy @ repeat_heads(v, q.shape[1]).swapaxes(-1, -2)
    return weights, weights * (dw - (dy * y).sum(-1, keepdims=True))


def of_bfloat16(rung, case):
    """Element by element, what rounding to bfloat16 may do, of the first order in its ε = 2⁻⁸.

    Inputs are bfloat16 already. Rounded are the weights before they meet the values, ds before it meets keys or
    queries, and what comes out; y also where δ is made of it. Every rounding errs by ε of its number at most, so

        |Δy| ≤ ε (w |v| + |y|)                  |Δdv| ≤ ε (wᵀ |dy| + |dv|)              |Δδ| ≤ Σ_K |dy| |Δy|
        |Δds| ≤ ε |ds| + w |Δδ|                 |Δdq| ≤ |Δds| |k| / √K + ε |dq|          |Δdk| alike
    """
    arrays = [to_bfloat16(x) for x in case.arrays()]
    q, k, v, dy = (from_bfloat16(x).astype(np.float64) for x in arrays)
    exact = outcome(Reference(rung.backward), (q, k, v, dy), case.settings())
    ours = {name: from_bfloat16(x) for name, x in outcome(rung, arrays, case.settings()).items()}
    (_, H, _, K), G = q.shape, k.shape[1]
    k_all, v_all = repeat_heads(k, H), repeat_heads(v, H)
    weights, ds = weights_and_ds(q, k, v, dy, exact["y"], case.settings())
    d_y = EPS * (weights @ abs(v_all) + abs(exact["y"]))
    bounds = {"y": d_y}
    if rung.backward:
        turned = weights.swapaxes(-1, -2)
        d_ds = EPS * abs(ds) + weights * (abs(dy) * d_y).sum(-1, keepdims=True)
        bounds["dq"] = d_ds @ abs(k_all) * K**-0.5 + EPS * abs(exact["dq"])
        bounds["dk"] = sum_heads(d_ds.swapaxes(-1, -2) @ abs(q) * K**-0.5, G) + EPS * abs(exact["dk"])
        bounds["dv"] = sum_heads(EPS * turned @ abs(dy), G) + EPS * abs(exact["dv"])
    differences = {name: abs(ours[name] - exact[name]) for name in exact}
    return differences, {name: SECOND_ORDER * bounds[name] + 4 * FLOOR for name in exact}
