"""What every rung is asked, in the form in which its kernels take it, and the door where it is checked."""

from typing import NamedTuple

import numpy as np

from ..arrays import aligned, check_place, contiguous, empty
from ..device import capability
from .rungs import RUNGS, that_can

DTYPES = {"float32": np.dtype(np.float32), "bfloat16": np.dtype(np.uint16)}
MOST_HEADS = 65535  # of all sequences together: the blocks of a grid's second axis


class AsTheyLie(NamedTuple):
    """Arrays of four axes, wherever in memory their numbers are: heads of a model lie between the tokens.

    q (B, H, T, K)   k, v (B, G, S, K)   mask (B or 1, H or 1, T or 1, S or 1), of no elements where there is none
    """

    q: object
    k: object
    v: object
    mask: object
    causal: bool

    @property
    def sizes(self):
        """What every kernel takes after what comes in: mask, H, H/G, T, S"""
        (_, H, T, _), (_, G, S, _) = self.q.shape, self.k.shape
        return self.mask, H, H // G if G else 1, T, S

    @property
    def forms(self):
        """The same without the arrays: their forms"""
        return self._replace(q=form_of(self.q), k=form_of(self.k), v=form_of(self.v))

    @property
    def masked(self):
        return self.mask.size > 0

    @property
    def variant(self):
        """What a kernel is compiled for: K, causal, masked"""
        return self.q.shape[3], self.causal, self.masked

    @property
    def scale(self):
        return np.float32(self.q.shape[3] ** -0.5)


class Problem(NamedTuple):
    """Heads of all sequences in one row: head n of the queries shares key/value head n // (H/G).

    q (B·H, T, K)   k, v (B·G, S, K)   mask (B or 1, H or 1, T or 1, S or 1), of no elements where there is none
    """

    q: object
    k: object
    v: object
    mask: object
    causal: bool
    heads: tuple  # (B, H, G)

    @property
    def arguments(self):
        """What every kernel takes after what comes in: q, k, v, mask, H"""
        return self.q, self.k, self.v, self.mask, self.heads[1]

    @property
    def flat(self):
        """The same for kernels that compute places themselves: q, k, v in one row, mask, H, H/G, T, S"""
        (_, H, G), T, S = self.heads, self.q.shape[1], self.k.shape[1]
        return *(x.reshape(-1) for x in self[:3]), self.mask, H, H // G if G else 1, T, S

    @property
    def masked(self):
        return self.mask.size > 0

    @property
    def variant(self):
        """What a kernel is compiled for: K, causal, masked"""
        return self.q.shape[2], self.causal, self.masked

    @property
    def scale(self):
        return np.float32(self.q.shape[2] ** -0.5)

    def of_queries(self, x):
        """(B·H, ...) -> (B, H, ...)"""
        B, H, _ = self.heads
        return x.reshape(B, H, *x.shape[1:])

    def of_keys(self, x):
        """(B·G, ...) -> (B, G, ...)"""
        B, _, G = self.heads
        return x.reshape(B, G, *x.shape[1:])


def problem(name, q, k, v, bias, mask, causal, dropout_rate, key):
    """The Problem, for the rung of this name. Errors say what did not fit, and which rung can."""
    check(name, q, k, v, bias, mask, dropout_rate, key)
    B, H, G = *q.shape[:2], k.shape[1]
    q, k, v = (aligned(x).reshape(x.shape[0] * x.shape[1], *x.shape[2:]) for x in (q, k, v))
    mask = empty((0, 0, 0, 0), q, np.bool_) if mask is None else contiguous(mask)
    return Problem(q, k, v, mask, bool(causal), (B, H, G))


def as_they_lie(name, q, k, v, bias, mask, causal, dropout_rate, key):
    """The same without a copy of q, k and v."""
    check(name, q, k, v, bias, mask, dropout_rate, key)
    mask = empty((0, 0, 0, 0), q, np.bool_) if mask is None else contiguous(mask)
    return AsTheyLie(q, k, v, mask, bool(causal))


class Form(NamedTuple):
    """What is to be known of an array to make one like it, when it itself is no longer kept"""

    shape: tuple
    dtype: object
    between: bool  # its heads lie between the tokens


def form_of(x):
    return Form(x.shape, x.dtype, x.swapaxes(1, 2).flags.c_contiguous)


def empty_of(form, like):
    B, H, T, K = form.shape
    return empty((B, T, H, K), like).swapaxes(1, 2) if form.between else empty(form.shape, like)


def alike(arrays):
    """The arrays, where all lie in one order; else copies that do. A kernel is compiled for one."""
    if len({order(x) for x in arrays}) > 1:
        return [contiguous(x) for x in arrays]
    return arrays


def order(x):
    """What a kernel is compiled for"""
    return x.flags.c_contiguous, x.flags.f_contiguous


def check(name, q, k, v, bias, mask, dropout_rate, key):
    """Whether the rung of this name can do that."""
    rung = RUNGS[name]
    if bias is not None:
        raise ValueError("attention: no rung on CUDA adds a bias; the attention of every backend does")
    if key is not None and dropout_rate > 0:
        raise ValueError("attention: no rung on CUDA drops weights; the attention of every backend does")
    check_place(q=q, k=k, v=v, mask=mask)
    for label, array in {"q": q, "k": k, "v": v, "mask": mask}.items():
        check_axes(label, array)
    check_precision(rung, {"q": q, "k": k, "v": v})
    check_shapes(q, k, v, mask)
    K = q.shape[3]
    check_capability(rung, K)
    if not rung.offers(K):
        offered = ", ".join(map(str, rung.widths))
        raise ValueError(
            f"attention: the rung {name!r} is made for heads of width {offered}, not {K}; {instead(rung, K, False)}"
        )


def check_axes(label, array):
    if array is not None and len(array.shape) != 4:
        raise ValueError(f"attention: {label} has shape {array.shape}, expected four axes")


def check_capability(rung, K):
    here = capability()
    if here is not None and here < rung.capability:
        others = " and ".join(map(repr, that_can(rung.precision, K, False, here))) or "no rung"
        least = "sm_" + "".join(map(str, rung.capability))
        raise ValueError(
            f"attention: the rung {rung.name!r} takes a device of {least} or newer, and this is sm_{here[0]}{here[1]}; "
            f"{others} can do {rung.precision} on it"
        )


def check_precision(rung, given):
    expected = DTYPES[rung.precision]
    for label, array in given.items():
        if array.dtype != expected:
            called = {dtype: name for name, dtype in DTYPES.items()}.get(array.dtype)
            others = that_can(called, array.shape[3], False, capability())
            hint = f"; {' and '.join(map(repr, others))} take {called}" if others else ""
            as_bits = " (its bits, as uint16)" if rung.precision == "bfloat16" else ""
            raise TypeError(
                f"attention: {label} is {array.dtype}, but the rung {rung.name!r} takes {rung.precision}{as_bits}{hint}"
            )


def check_shapes(q, k, v, mask):
    (B, H, T, K), (G, S) = q.shape, k.shape[1:3]
    for label, array in {"k": k, "v": v}.items():
        if array.shape != (B, G, S, K):
            raise ValueError(
                f"attention: {label} has shape {array.shape}, expected (B, G, S, K) with B = {B}, G = {G}, "
                f"S = {S}, K = {K}"
            )
    if H and (G == 0 or H % G):
        raise ValueError(f"attention: {H} query heads are not a multiple of {G} key/value heads")
    if B * H > MOST_HEADS:
        raise ValueError(f"attention: {B} sequences of {H} heads are more than {MOST_HEADS} at once")
    if mask is not None:
        if mask.dtype != np.bool_:
            raise TypeError(f"attention: mask is {mask.dtype}, expected bool: True where a query may attend")
        if any(n not in (1, full) for n, full in zip(mask.shape, (B, H, T, S))):
            raise ValueError(
                f"attention: mask has shape {mask.shape}, expected ({B} or 1, {H} or 1, {T} or 1, {S} or 1)"
            )


def instead(rung, K, backward):
    """Which rung can what this one cannot."""
    others = [other for other in that_can(rung.precision, K, backward, capability()) if other != rung.name]
    if not others:
        return "no rung does; the attention of every backend takes any"
    return f"{' and '.join(map(repr, others))} can"


def refuse_backward(name, given):
    raise NotImplementedError(
        f"attention: the rung {name!r} has no backward; {instead(RUNGS[name], given.q.shape[2], True)}"
    )


def upstream(dy, given):
    """dy in the order of the kernels (B·H, T, K); errors where it does not fit what was saved."""
    check_upstream(dy, given.of_queries(given.q))
    return aligned(dy).reshape(given.q.shape)


def check_upstream(dy, y):
    """Whether dy fits y, an array or its form."""
    check_place(dy=dy)
    if dy.shape != y.shape or dy.dtype != y.dtype:
        raise ValueError(f"attention_backward: dy is {dy.dtype} of shape {dy.shape}, but y was {y.dtype} of {y.shape}")


def blocks(n, size):
    """How many blocks of this size cover n."""
    return -(-n // size)
