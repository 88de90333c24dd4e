"""What does not fit is refused at the door, in words that name it, its shape and what would have fitted."""

import re

import numpy as np
import pytest

from minitransformer.convention import THINGS
from minitransformer.gradcheck import Draw, draw_cases
from minitransformer.gradcheck.cases import checkable
from minitransformer.ops import (
    adamw,
    attention,
    cross_entropy,
    dropout,
    embedding,
    gelu,
    gelu_tanh,
    gru,
    layer_norm,
    learned_positions,
    linear,
    lstm,
    relu,
    rms_norm,
    rnn,
    silu,
    sinusoidal_positions,
    softmax,
)

OPERATIONS = [name for name in checkable() if THINGS[name].kind == "operation"]


def zeros(*shape):
    return np.zeros(shape)


def affine(out, inp):
    return {"weight": zeros(out, inp), "bias": zeros(out)}


def attend(*, q=(2, 4, 3, 5), k=(2, 2, 6, 5), v=(2, 2, 6, 5), **more):
    return attention(zeros(*q), zeros(*k), zeros(*v), **more)


def mask(*shape):
    return np.ones(shape, bool)


def run(cell, gates, *states, x=(2, 3, 4), H=5, p=None, **more):
    """A recurrent operation over two sequences of three tokens."""
    maps = {"input": affine(gates * H, x[-1]), "hidden": affine(gates * H, H)} | (p or {})
    return cell(maps, zeros(*x), *states, **more)


def update(**more):
    arrays = {name: zeros(2, 3) for name in "wgmv"} | more
    return adamw(**arrays, t=1, learning_rate=1e-3, beta1=0.9, beta2=0.99, eps=1e-8, weight_decay=0.1)


REFUSED = {  # what does not fit: the call, and the words of the ValueError
    "linear, width": (lambda: linear(affine(4, 3), zeros(2, 5)), "weight has shape (4, 3), expected (E D) with"),
    "linear, weight": (lambda: linear({"weight": zeros(3)}, zeros(2, 3)), "weight has shape (3,), expected (E D)"),
    "linear, no weight": (lambda: linear({}, zeros(2, 3)), "linear: there is no weight"),
    "linear, no x": (lambda: linear(affine(4, 3)), "linear: there is no x"),
    "linear, bias": (
        lambda: linear({"weight": zeros(4, 3), "bias": zeros(3)}, zeros(2, 3)),
        "linear: bias has shape (3,), expected ([E]) with ... = (2,), D = 3, E = 4",
    ),
    "linear, no axis": (lambda: linear(affine(4, 3), zeros()), "x has shape (), expected (... D)"),
    "embedding, weight": (
        lambda: embedding({"weight": zeros(3)}, np.zeros(2, int)),
        "weight has shape (3,), expected (V D)",
    ),
    "embedding, too large": (
        lambda: embedding({"weight": zeros(3, 2)}, np.array([[0, 3], [1, 2]])),
        "ids range from 0 to 3, outside the vocabulary of 3",
    ),
    "embedding, negative": (
        lambda: embedding({"weight": zeros(3, 2)}, np.array([-1, 2])),
        "ids range from -1 to 2, outside the vocabulary of 3",
    ),
    "layer norm, width": (lambda: layer_norm(affine(4, 3), zeros(2, 5)), "weight has shape (4, 3), expected (D)"),
    "layer norm, bias": (
        lambda: layer_norm({"weight": zeros(3), "bias": zeros(4)}, zeros(2, 3)),
        "layer_norm: bias has shape (4,), expected (D) with ... = (2,), D = 3",
    ),
    "layer norm, no bias": (lambda: layer_norm({"weight": zeros(3)}, zeros(2, 3)), "layer_norm: there is no bias"),
    "rms norm, width": (lambda: rms_norm({"weight": zeros(4)}, zeros(2, 3)), "weight has shape (4,), expected (D)"),
    "softmax, no axis": (lambda: softmax(zeros()), "softmax: x has shape (), expected (... D)"),
    "attention, width": (lambda: attend(q=(2, 4, 3, 4)), "k has shape (2, 2, 6, 5), expected (B G S K)"),
    "attention, batch": (lambda: attend(k=(3, 2, 6, 5)), "k has shape (3, 2, 6, 5), expected (B G S K) with B = 2"),
    "attention, values": (lambda: attend(v=(2, 2, 7, 5)), "v has shape (2, 2, 7, 5), expected (B G S K)"),
    "attention, rank": (lambda: attend(q=(4, 3, 5)), "q has shape (4, 3, 5), expected (B H T K)"),
    "attention, heads": (
        lambda: attend(q=(2, 3, 3, 5)),
        "attention: 3 query heads are not a multiple of 2 key/value heads",
    ),
    "attention, no width": (lambda: attend(q=(2, 4, 3, 0), k=(2, 2, 6, 0), v=(2, 2, 6, 0)), "heads of width 0"),
    "attention, bias": (lambda: attend(bias=zeros(2, 4, 3, 7)), "bias has shape (2, 4, 3, 7), expected ([B|1 H|1"),
    "attention, bias of rank 3": (lambda: attend(bias=zeros(4, 3, 6)), "bias has shape (4, 3, 6), expected ([B|1"),
    "attention, mask": (lambda: attend(mask=mask(2, 1, 3, 7)), "mask has shape (2, 1, 3, 7), expected ([bool B|1"),
    "attention, mask of rank 2": (lambda: attend(mask=mask(3, 6)), "mask has shape (3, 6), expected ([bool B|1 H|1"),
    "attention, mask of one key": (lambda: attend(mask=mask(2, 1, 3, 1)), "mask has shape (2, 1, 3, 1), expected"),
    "attention, rate": (lambda: attend(dropout_rate=1.0), "a dropout rate must be at least 0 and below 1, not 1.0"),
    "dropout, rate": (lambda: dropout(zeros(3), rate=-0.1), "must be at least 0 and below 1, not -0.1"),
    "dropout, NaN": (lambda: dropout(zeros(3), rate=float("nan")), "must be at least 0 and below 1, not nan"),
    "cross-entropy, targets": (
        lambda: cross_entropy(zeros(2, 3, 5), np.zeros((2, 4), int)),
        "cross_entropy: targets has shape (2, 4), expected (int ...) with ... = (2, 3), V = 5",
    ),
    "cross-entropy, too large": (
        lambda: cross_entropy(zeros(2, 5), np.array([5, -100])),
        "targets range from 0 to 5, outside the vocabulary of 5",
    ),
    "cross-entropy, negative": (
        lambda: cross_entropy(zeros(2, 5), np.array([-1, 4])),
        "targets range from -1 to 4, outside the vocabulary of 5",
    ),
    "cross-entropy, smoothing": (
        lambda: cross_entropy(zeros(2, 5), np.zeros(2, int), label_smoothing=1.0),
        "label_smoothing must be at least 0 and below 1, not 1.0",
    ),
    "sinusoidal, rank": (lambda: sinusoidal_positions(zeros(3, 4)), "x has shape (3, 4), expected (B T D)"),
    "learned, rank": (lambda: learned_positions({"weight": zeros(9, 4)}, zeros(3, 4)), "x has shape (3, 4), expected"),
    "learned, width": (
        lambda: learned_positions({"weight": zeros(9, 5)}, zeros(2, 3, 4)),
        "learned_positions: x has shape (2, 3, 4), expected (B T D) with C = 9, D = 5",
    ),
    "learned, too long": (
        lambda: learned_positions({"weight": zeros(2, 4)}, zeros(1, 3, 4)),
        "positions range from 0 to 2, outside the context of 2",
    ),
    "learned, negative": (
        lambda: learned_positions({"weight": zeros(2, 4)}, zeros(1, 2, 4), positions=np.array([-1, 0])),
        "positions range from -1 to 0, outside the context of 2",
    ),
    "lstm, width": (
        lambda: run(lstm, 4, p={"input": affine(20, 6)}),
        "lstm: input.weight has shape (20, 6), expected (4H D) with B = 2, T = 3, D = 4",
    ),
    "lstm, three gates": (
        lambda: run(lstm, 3, H=3),
        "lstm: input.weight has shape (9, 4), expected (4H D) with B = 2, T = 3, D = 4",
    ),
    "lstm, another state's width": (
        lambda: run(lstm, 4, p={"hidden": affine(20, 6)}),
        "lstm: hidden.weight has shape (20, 6), expected (4H H) with B = 2, T = 3, D = 4, H = 5",
    ),
    "lstm, a bias of one gate": (
        lambda: run(lstm, 4, p={"hidden": {"weight": zeros(20, 5), "bias": zeros(5)}}),
        "lstm: hidden.bias has shape (5,), expected ([4H]) with",
    ),
    "lstm, no linear map of the state": (
        lambda: run(lstm, 4, p={"hidden": None}),
        "lstm: there is no hidden.weight (4H H)",
    ),
    "lstm, h": (lambda: run(lstm, 4, zeros(2, 4)), "lstm: h has shape (2, 4), expected ([B H]) with"),
    "lstm, h of one row": (lambda: run(lstm, 4, zeros(1, 5)), "lstm: h has shape (1, 5), expected ([B H]) with"),
    "lstm, c": (lambda: run(lstm, 4, zeros(2, 5), zeros(3, 5)), "lstm: c has shape (3, 5), expected ([B H]) with"),
    "lstm, mask": (lambda: run(lstm, 4, mask=mask(2, 4)), "lstm: mask has shape (2, 4), expected ([bool B T]) with"),
    "lstm, no steps": (
        lambda: run(lstm, 4, x=(2, 0, 4)),
        "lstm: x has shape (2, 0, 4): sequences of length 0 have no last state",
    ),
    "lstm, no token": (
        lambda: run(lstm, 4, mask=np.array([[True, False, True], [False, False, False]])),
        "lstm: the mask leaves sequence 1 without a token",
    ),
    "lstm, truncate": (
        lambda: run(lstm, 4, truncate=0),
        "lstm: truncate must be a whole number of steps, at least 1, or None, not 0",
    ),
    "lstm, truncate by a half": (lambda: run(lstm, 4, truncate=1.5), "at least 1, or None, not 1.5"),
    "gru, four gates": (
        lambda: run(gru, 4),
        "gru: input.weight has shape (20, 4), expected (3H D) with B = 2, T = 3, D = 4",
    ),
    "gru, h": (lambda: run(gru, 3, zeros(3, 5)), "gru: h has shape (3, 5), expected ([B H]) with"),
    "gru, no steps": (lambda: run(gru, 3, x=(2, 0, 4)), "gru: x has shape (2, 0, 4): sequences of length 0"),
    "gru, no token": (lambda: run(gru, 3, mask=~mask(2, 3)), "gru: the mask leaves sequence 0 without a token"),
    "gru, truncate": (lambda: run(gru, 3, truncate=-1), "gru: truncate must be a whole number of steps"),
    "rnn, width": (
        lambda: run(rnn, 1, p={"hidden": affine(5, 4)}),
        "rnn: hidden.weight has shape (5, 4), expected (H H) with B = 2, T = 3, D = 4, H = 5",
    ),
    "rnn, h": (lambda: run(rnn, 1, zeros(2, 5, 1)), "rnn: h has shape (2, 5, 1), expected ([B H]) with"),
    "rnn, no steps": (lambda: run(rnn, 1, x=(2, 0, 4)), "rnn: x has shape (2, 0, 4): sequences of length 0"),
    "rnn, no token": (lambda: run(rnn, 1, mask=~mask(2, 3)), "rnn: the mask leaves sequence 0 without a token"),
    "rnn, truncate": (lambda: run(rnn, 1, truncate="2"), "rnn: truncate must be a whole number of steps"),
    "rnn, activation": (lambda: run(rnn, 1, activation=gelu), "must be tanh or relu, not <operation gelu>"),
    "rnn, the name of one": (lambda: run(rnn, 1, activation="tanh"), "must be tanh or relu, not 'tanh'"),
    "adamw, gradient": (lambda: update(g=zeros(3)), "adamw: g has shape (3,), expected (...) with ... = (2, 3)"),
    "adamw, moment": (lambda: update(v=zeros(2, 1)), "adamw: v has shape (2, 1), expected (...) with ... = (2, 3)"),
}

WRONG_KIND = {  # what is no array of the right kind: the call, and the words of the TypeError
    "gru, a state too many": (lambda: run(gru, 3, zeros(2, 5), zeros(2, 5)), "gru() takes from 2 to 3 positional"),
    "embedding, floats": (lambda: embedding(affine(3, 2), zeros(4)), "ids must be an array of kind int, not float64"),
    "embedding, Booleans": (lambda: embedding(affine(3, 2), mask(4)), "ids must be an array of kind int, not bool"),
    "embedding, a list": (lambda: embedding(affine(3, 2), [0, 1]), "ids must be an array of kind int, not list"),
    "cross-entropy, floats": (lambda: cross_entropy(zeros(2, 3), zeros(2)), "targets must be an array of kind int"),
    "attention, a float mask": (
        lambda: attend(mask=zeros(2, 1, 3, 6)),
        "mask must be an array of kind bool, not float64",
    ),
    "attention, an int mask": (
        lambda: attend(mask=mask(2, 1, 3, 6) + 0),
        "mask must be an array of kind bool, not int64",
    ),
    "attention, a Boolean bias": (
        lambda: attend(bias=mask(2, 4, 3, 6)),
        "bias must be an array of kind float, not bool",
    ),
    "positions, floats": (
        lambda: sinusoidal_positions(zeros(2, 3, 4), positions=zeros(3)),
        "positions must be an array of kind int, not float64",
    ),
    "linear, integers": (lambda: linear(affine(4, 3), mask(2, 3) + 0), "x must be an array of kind float, not int64"),
    "linear, mixed": (
        lambda: linear(affine(4, 3), zeros(2, 3).astype("f")),
        "linear: weight is float64, but x is float32",
    ),
    "layer norm, mixed": (
        lambda: layer_norm({"weight": np.ones(3), "bias": np.ones(3, "f")}, zeros(2, 3)),
        "layer_norm: bias is float32, but weight is float64",
    ),
    "attention, mixed": (
        lambda: attention(zeros(1, 1, 2, 3), zeros(1, 1, 2, 3), zeros(1, 1, 2, 3).astype("f")),
        "attention: v is float32, but k is float64",
    ),
    "adamw, mixed": (lambda: update(m=np.zeros((2, 3), "f")), "adamw: m is float32, but g is float64"),
}


@pytest.mark.parametrize("what", REFUSED)
def test_what_does_not_fit(what):
    call, words = REFUSED[what]
    with pytest.raises(ValueError, match=re.escape(words)):
        call()


@pytest.mark.parametrize("what", WRONG_KIND)
def test_what_is_of_the_wrong_kind(what):
    call, words = WRONG_KIND[what]
    with pytest.raises(TypeError, match=re.escape(words)):
        call()


@pytest.mark.parametrize("thing", [relu, gelu, gelu_tanh, silu, softmax], ids=lambda thing: thing.name)
@pytest.mark.parametrize("x", [[1.0, 2.0], 1.0, np.arange(3), np.array(["a"])], ids=["list", "float", "int", "text"])
def test_operations_of_one_array_want_a_floating_one(thing, x):
    with pytest.raises(TypeError, match=f"{thing.name}: x must be an array of kind float, not"):
        thing(x)


@pytest.mark.parametrize("name", ["x", "weight", "bias"])
def test_masked_arrays_are_refused(name):
    """No kernel sees the mask, nor do all of NumPy's functions. That arrays of that shape fitted says nothing."""
    arrays = affine(4, 3) | {"x": zeros(2, 3)}
    linear(arrays, arrays["x"])
    arrays[name] = np.ma.masked_array(arrays[name])
    with pytest.raises(TypeError, match=f"linear: {name} is a masked array, whose mask would not be heeded"):
        linear(arrays, arrays["x"])


@pytest.mark.parametrize("shape", [(4,), (1, 3), (2, 1), (3, 3), (1, 2, 3), ()], ids=str)
@pytest.mark.parametrize("thing", [sinusoidal_positions, learned_positions], ids=lambda thing: thing.name)
def test_positions_of_another_shape(thing, shape):
    p = [{"weight": zeros(9, 4)}] if thing is learned_positions else []
    with pytest.raises(ValueError, match="positions ha(s|ve) shape " + re.escape(str(shape))):
        thing(*p, zeros(2, 3, 4), positions=np.zeros(shape, int))


@pytest.mark.parametrize("name", OPERATIONS)
def test_a_backward_wants_the_dy_of_its_y(name, rng):
    case = draw_cases(name, Draw(rng))[0]
    y, saved = case.forward(*case.args.values(), **case.static)
    parts = y if isinstance(y, tuple) else (y,)
    for i, part in enumerate(parts):
        wrong = np.zeros((*part.shape, 1))
        words = f"{name}_backward: dy has shape {wrong.shape}, but y had {part.shape}"
        with pytest.raises(ValueError, match=re.escape(words)):
            case.backward(*parts[:i], wrong, *parts[i + 1 :], saved)


@pytest.mark.parametrize("name", OPERATIONS)
def test_a_backward_wants_what_its_own_forward_saved(name, rng):
    case = draw_cases(name, Draw(rng))[0]
    y, _ = case.forward(*case.args.values(), **case.static)
    other = softmax if name != "softmax" else relu
    parts = y if isinstance(y, tuple) else (y,)
    with pytest.raises(ValueError, match=f"{name}_backward was given what {other.name} saved"):
        case.backward(*parts, other(np.ones(3))[1])
