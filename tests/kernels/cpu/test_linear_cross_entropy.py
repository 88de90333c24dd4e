"""The head and its loss in pieces of the vocabulary: nothing hangs on how it is cut, and never are there all logits."""

import tracemalloc

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from minitransformer.kernels.cpu import linear_cross_entropy as kernel
from minitransformer.models import GPT2
from minitransformer.ops import linear_cross_entropy, linear_cross_entropy_backward
from minitransformer.training.losses import fused_next_token_loss, next_token_loss
from minitransformer.trees import leaves

from .agreement import FLOOR, backend, hold_float32, hold_to_reference
from .calls import Call, as_float32, draw_call, one_of


@pytest.fixture(params=[1, 2, 3, 7])
def small_pieces(request, monkeypatch):
    monkeypatch.setattr(kernel, "PIECE", request.param)


@given(st.data())
def test_however_the_vocabulary_is_cut(data):
    before, kernel.PIECE = kernel.PIECE, data.draw(one_of(1, 2, 3, 5, 16), "ids in a piece")
    try:
        hold_to_reference(draw_call("linear_cross_entropy", data))
    finally:
        kernel.PIECE = before


def problem(rng, N=6, V=17, D=5, size=1.0, **settings):
    targets = rng.integers(0, V, N)
    given = {"p": {"weight": as_float32(size * rng.normal(size=(V, D)))}, "x": as_float32(rng.normal(size=(N, D)))}
    return Call(linear_cross_entropy, given | {"targets": targets}, settings)


@pytest.mark.parametrize("size", [100.0, 1e4])
@pytest.mark.parametrize("smoothing", [0.0, 0.1])
def test_large_logits_do_not_overflow(small_pieces, size, smoothing, rng):
    """The largest of a row may stand in a later piece than the others, or in an earlier one."""
    call = problem(rng, size=size, label_smoothing=smoothing)
    with np.errstate(over="raise", invalid="raise", divide="raise"):
        hold_to_reference(call, bar=1e-13 * size)
        hold_float32([call._replace(seed=i) for i in range(3)], floor=size * FLOOR)


def test_a_number_added_to_all_logits_changes_nothing(small_pieces, rng):
    """In float32, where it is larger than what tells the logits apart by a thousand."""
    call = problem(rng)
    args, _ = call.arguments(np.float32)
    args["x"][:, 0] = 1
    args["p"]["weight"] = np.round(args["p"]["weight"] * 64) / 64  # so that adding to it is exact
    args["x"] = np.round(args["x"] * 8) / 8
    found = []
    for more in (0, 4096):
        args["p"]["weight"][:, 0] += more
        loss, saved = linear_cross_entropy(*args.values(), label_smoothing=0.1)
        dx, g = linear_cross_entropy_backward(1.0, saved)
        found.append((loss, dx[:, 1:], g["weight"]))
    for once, again in zip(*found, strict=True):
        np.testing.assert_allclose(again, once, rtol=0, atol=1e-6)
    assert np.abs(found[0][1]).max() > 0.01


def test_a_piece_whose_logits_are_all_minus_infinity(small_pieces, rng):
    """A later one has numbers, and so has the loss."""
    call = problem(rng)
    call.given["p"]["weight"][:8] = -np.inf
    call.given["x"][:] = np.abs(call.given["x"])
    call.given["targets"][:] = rng.integers(8, 17, 6)
    args, _ = call.arguments(np.float64)
    with np.errstate(all="ignore"), backend("reference"):
        expected, _ = linear_cross_entropy(*args.values())
    found, saved = linear_cross_entropy(*args.values())
    assert np.isfinite(expected) and abs(found - expected) < 1e-13


def test_all_logits_are_never_there(rng):
    """Of a vocabulary of many pieces: neither they nor their gradient, in both passes."""
    N, V, D = 64, 20 * kernel.PIECE, 4
    p, x, targets = {"weight": rng.normal(size=(V, D)).astype("f")}, rng.normal(size=(N, D)).astype("f"), np.arange(N)
    _, saved = linear_cross_entropy(p, x, targets)  # once to compile
    linear_cross_entropy_backward(1.0, saved)
    tracemalloc.start()
    _, saved = linear_cross_entropy(p, x, targets)
    _, g = linear_cross_entropy_backward(1.0, saved)
    _, most = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert most < g["weight"].nbytes + 5 * 4 * N * kernel.PIECE < 4 * N * V / 2


@pytest.mark.parametrize("recompute", [False, True])
def test_the_loss_of_a_model_is_the_same(small_pieces, recompute, rng):
    model = GPT2(17, 6, 2, 2, 8, dropout_rate=0.1, recompute=recompute)
    p, key = model.init(rng, np.float64), np.random.SeedSequence(4)
    ids, targets = rng.integers(0, 17, (2, 3, 6))
    targets[0, :2] = -100
    found = []
    for loss in (next_token_loss(model), fused_next_token_loss(model)):
        value, saved = loss(p, ids, targets, key=key)
        found.append([("loss", value), *leaves(loss.backward(0.7, saved))])
    for (name, one), (other_name, other) in zip(*found, strict=True):
        assert name == other_name
        np.testing.assert_allclose(one, other, rtol=0, atol=1e-13 * max(np.abs(other).max(), 1))
