"""What every operation that has a kernel is called with.

No two lengths of a call are equal where they can differ, so that a transposition cannot hide. Lengths are 1, or about
the sixteen lanes of a vector; batches are empty, ids repeat, rows see nothing, and memory lies oddly. Every number is
one that float32 has too: a call is the same call in both precisions.
"""

from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np
from hypothesis import strategies as st

import minitransformer.kernels.cpu  # noqa: F401  which brings the kernels
from minitransformer import ops
from minitransformer.convention import THINGS
from minitransformer.gradcheck import Draw
from minitransformer.trees import tree_map

KERNELS = [name for name, thing in THINGS.items() if "cpu" in getattr(thing, "implementations", {})]
CALLS = {}  # name of an operation -> function of (pick, draw) that gives its arguments, by name, and its settings
LENGTHS = (3, 1, 2, 5, 7, 15, 16, 17, 33)


class Layout(NamedTuple):
    """A way for arrays to lie in memory."""

    place: Callable  # a fresh array with the same values
    ids: type  # and ids are integers of many types

    def __call__(self, array, dtype):
        """A fresh array of these values: floating ones in this dtype, Boolean ones as they are."""
        if array.dtype.kind == "f":
            array = array.astype(dtype)
        elif array.dtype.kind == "i":
            array = array.astype(self.ids if array.min(initial=0) >= 0 else np.int32)
        return self.place(array) if array.ndim else array.copy()


def straight(array):
    return np.array(array, order="C")


def read_only(array):
    array = straight(array)
    array.flags.writeable = False
    return array


def transposed(array):
    return np.array(array, order="F")


def backwards(array):
    return np.flip(np.flip(array).copy())


def every_second(array):
    room = np.zeros((*array.shape[:-1], 2 * array.shape[-1]), array.dtype)
    room[..., ::2] = array
    return room[..., ::2]


LAYOUTS = {
    "straight": Layout(straight, np.int64),
    "read-only": Layout(read_only, np.int32),
    "transposed": Layout(transposed, np.uint8),
    "backwards": Layout(backwards, np.uint8),
    "every second": Layout(every_second, np.uint8),
}


class Call(NamedTuple):
    """One call of one operation."""

    op: Any
    given: dict  # by name, in order: arrays, trees of arrays, None where an optional array is absent
    settings: dict
    layout: Layout = LAYOUTS["straight"]
    seed: int = 0  # of what is felt of y
    dy: Any = None  # instead of what the seed would give: for each output, what is felt of it

    def arguments(self, dtype):
        """Fresh arguments and settings: floating arrays in this dtype, all of them lying as the layout says."""

        def place(value):
            return self.layout(value, dtype) if isinstance(value, np.ndarray) else value

        return tree_map(place, self.given), tree_map(place, self.settings)

    def upstream(self, y):
        """(dy, ...), random, one for each output. Of a mean over n targets, n times as much is felt: gradients stay

        of size 1.
        """
        if self.dy is not None:
            return self.dy
        n, rng = getattr(self.given.get("targets"), "size", 1), np.random.default_rng(self.seed)
        felt = []
        for part in y if isinstance(y, tuple) else (y,):
            dy = as_float32(n * rng.normal(size=np.shape(part)))
            felt.append(self.layout(dy, part.dtype) if dy.ndim else dy.astype(part.dtype)[()])
        return tuple(felt)


def as_float32(value):
    """Floating numbers rounded to such as float32 has; anything else as it is."""
    floating = getattr(value, "dtype", None) == np.float64
    return np.asarray(value).astype(np.float32).astype(np.float64) if floating else value


def calls_of(op):
    def decorate(function):
        CALLS[op.name] = function
        return function

    return decorate


def draw_calls(name, data, n):
    """n `Call`s of the operation of this name: sizes and settings from hypothesis, one for all, numbers from seeds."""
    seed = data.draw(st.integers(0, 2**32 - 1), "seed")
    layout = LAYOUTS[data.draw(st.sampled_from(list(LAYOUTS)), "layout")]
    picked, calls = [], []

    def pick(strategy, label=None):
        picked.append(data.draw(strategy, label))
        return picked[-1]

    for i in range(n):
        again = iter(list(picked))
        choose = pick if i == 0 else lambda strategy, label=None, again=again: next(again)
        made = CALLS[name](choose, Draw(np.random.default_rng([seed, i])))
        given, settings = (tree_map(as_float32, part) for part in made)
        calls.append(Call(THINGS[name], given, settings, layout, seed + i))
    return calls


def draw_call(name, data):
    (call,) = draw_calls(name, data, 1)
    return call


# ---------------------------------------------------------------------------------------------------- what is picked


def one_of(*values):
    return st.sampled_from(values)


def lengths(pick, n, among=LENGTHS):
    """n lengths, no two the same."""
    return pick(st.lists(one_of(*among), min_size=n, max_size=n, unique=True), f"{n} lengths")


def batch(pick, most=3):
    """Leading axes, none of them or up to `most`, sometimes an empty one."""
    return pick(st.lists(one_of(2, 4, 1, 6, 0), max_size=most, unique=True), "leading axes")


def axes_of(pick, full, what):
    """These lengths, some of them 1."""
    return [length if pick(st.booleans(), what) else 1 for length in full]


# --------------------------------------------------------------------------------------------------- the operations


def rows(pick, draw, among=LENGTHS):
    """Rows (..., D) of numbers about 0, or about one that is large against their differences."""
    (D,) = lengths(pick, 1, among)
    return pick(one_of(0, 100, -1e4), "mean of x") + draw(*batch(pick), D)


@calls_of(ops.linear)
def _(pick, draw):
    D, E = lengths(pick, 2)
    weight = {"weight": draw(E, D) / np.sqrt(D)}
    return {"p": weight | pick(one_of({}, {"bias": draw(E)}), "bias"), "x": draw(*batch(pick), D)}, {}


@calls_of(ops.layer_norm)
def _(pick, draw):
    x = rows(pick, draw, LENGTHS[3:])  # x̂ of two values is ±1 whatever they are, of one 0: a test of their own
    return {"p": draw.norm(x.shape[-1]), "x": x}, pick(one_of({}, {"eps": 0.1}), "settings")


@calls_of(ops.rms_norm)
def _(pick, draw):
    x = rows(pick, draw)
    return {"p": {"weight": draw(x.shape[-1])}, "x": x}, pick(one_of({}, {"eps": 0.1}), "settings")


def elements(pick, draw):
    shape = [*batch(pick), *lengths(pick, pick(one_of(1, 0), "a last axis"))]
    return {"x": pick(one_of(2.0, 20.0), "size of x") * draw(*shape)}, {}


for activation in (ops.gelu, ops.gelu_tanh, ops.silu):
    calls_of(activation)(elements)


@calls_of(ops.dropout)
def _(pick, draw):
    given, _ = elements(pick, draw)
    return given, {"rate": pick(one_of(0.4, 0.0, 0.99), "rate"), "key": pick(one_of(draw.key(), None), "key")}


@calls_of(ops.embedding)
def _(pick, draw):
    V, D = lengths(pick, 2)
    return {"p": {"weight": draw(V, D)}, "ids": draw.ids(V, *batch(pick))}, {}


@calls_of(ops.cross_entropy)
def _(pick, draw):
    (V,), lead = lengths(pick, 1), batch(pick)
    logits = pick(one_of(2, 30), "size of logits") * draw(*lead, V) + pick(one_of(0, 1e4), "mean of logits")
    ignore_index, targets = pick(one_of(-100, 200), "ignore_index"), draw.ids(V, *lead)
    ignored = pick(one_of(0.0, 0.3, 1.0), "share of targets that are ignored")
    targets = np.where(draw.rng.random(targets.shape) < ignored, ignore_index, targets)
    smoothing = pick(one_of(0.0, 0.2), "label_smoothing")
    return {"logits": logits, "targets": targets}, {"ignore_index": ignore_index, "label_smoothing": smoothing}


@calls_of(ops.linear_cross_entropy)
def _(pick, draw):
    V, D = lengths(pick, 2)
    lead, size = batch(pick), pick(one_of(1, 10), "size of x")
    targets, smoothing = draw.ids(V, *lead), pick(one_of(0.0, 0.2), "label_smoothing")
    targets = np.where(draw.rng.random(targets.shape) < pick(one_of(0.0, 0.3), "ignored"), -100, targets)
    weight = draw(V, D) / np.sqrt(D)
    return {"p": {"weight": weight}, "x": size * draw(*lead, D), "targets": targets}, {"label_smoothing": smoothing}


@calls_of(ops.attention)
def _(pick, draw):
    B, G, K = lengths(pick, 3, (2, 3, 1, 4, 5))
    B, R = pick(one_of(B, B, 0), "B"), pick(one_of(1, 2, 3), "query heads to a key head")
    (T,), (S,) = lengths(pick, 1, (4, 1, 3, 10, 18, 35)), lengths(pick, 1, (2, 5, 9, 16, 17, 27))
    H = G * R
    given = {"q": 2 * draw(B, H, T, K), "k": draw(B, G, S, K), "v": draw(B, G, S, K), "bias": None}
    settings = {"causal": pick(st.booleans(), "causal")}
    if pick(st.booleans(), "bias"):
        given["bias"] = draw(*axes_of(pick, (B, H, T, S), "an axis of the bias"))
    if pick(st.booleans(), "mask"):
        settings["mask"] = draw.mask(*axes_of(pick, (B, H, T), "an axis of the mask"), S)
    if pick(st.booleans(), "dropout"):
        settings |= {"dropout_rate": 0.3, "key": draw.key()}
    return given, settings


def recurrent(gates, states):
    """Calls of a recurrent operation with so many gates, and states of these names."""

    def calls(pick, draw):
        (T, D), (H,) = lengths(pick, 2, LENGTHS[:5]), lengths(pick, 1, (4, 6, 15, 16, 17, 33))
        B = pick(one_of(4, 1, 0, 17), "B")
        p = draw.cell(gates, D, H)
        for name in p:
            p[name] = {leaf: p[name][leaf] for leaf in pick(one_of(("weight", "bias"), ("weight",)), f"{name}")}
        given = {"p": p, "x": pick(one_of(1, 10), "size of x") * draw(B, T, D)}
        given |= {name: draw(B, H) if pick(st.booleans(), name) else None for name in states}
        settings = {"reverse": pick(st.booleans(), "reverse"), "truncate": pick(one_of(None, 1, 2, 100), "truncate")}
        if pick(st.booleans(), "mask"):
            settings["mask"] = draw.tokens(B, T)
        if gates == 1:
            settings["activation"] = ops.tanh
        return given, settings

    return calls


calls_of(ops.rnn)(recurrent(1, "h"))
calls_of(ops.gru)(recurrent(3, "h"))
calls_of(ops.lstm)(recurrent(4, "hc"))


@calls_of(ops.adamw)
def _(pick, draw):
    shape = [*batch(pick), *lengths(pick, pick(one_of(1, 0), "a last axis"))]
    given = {name: draw(*shape) for name in "wgm"} | {"v": np.square(draw(*shape))}
    settings = {"t": pick(one_of(1, 2, 1000), "t"), "weight_decay": pick(one_of(0.1, 0.0), "weight_decay")}
    settings["factor"] = pick(one_of(1.0, 0.25), "factor")
    return given, settings | {"learning_rate": 0.3, "beta1": 0.9, "beta2": 0.99, "eps": 1e-3}


@calls_of(ops.adamw_many)
def _(pick, draw):
    (one, settings), (other, others) = (CALLS["adamw"](pick, draw) for _ in range(2))
    settings |= {"learning_rate": [0.3, 0.1], "weight_decay": [each["weight_decay"] for each in (settings, others)]}
    return {name: [one[name], other[name]] for name in one}, settings


@calls_of(ops.global_norm)
def _(pick, draw):
    a, b, c = (draw(*batch(pick, 2), *lengths(pick, 1)) for _ in range(3))
    return {"g": {"layers": [{"weight": a, "bias": b}, {"weight": c}], "last": draw(), "none": {}}}, {}
