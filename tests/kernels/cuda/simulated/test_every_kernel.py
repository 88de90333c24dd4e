"""Every operation that has a kernel for a device, over whatever it can be called with: it is the reference.

Whatever a kernel is to write is NaN before (arrays.empty), and so is shared memory. What it may only read, it cannot
write to: the simulator is handed arrays as they are.
"""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import minitransformer.kernels.cuda.backend  # noqa: F401  which brings the kernels
from minitransformer import ops, philox
from minitransformer.convention import THINGS
from minitransformer.kernels.cuda import arrays, device, embedding, linear, products
from minitransformer.kernels.cuda.dropout import draw_kept
from minitransformer.kernels.cuda.simulated import seed

from ....arrays import arrays_in, same_bits, shares_memory
from ...cpu.agreement import backend, gradients, hold_float32, hold_to_reference, named, outcome
from ...cpu.calls import CALLS, LAYOUTS, Call, calls_of, draw_call, draw_calls, lengths
from ...cpu.calls import batch as drawn_batch
from ...cpu.test_not_a_number import hold_alike, spoil
from ...edges import ids_however_they_lie


@calls_of(ops.learned_positions)
def _(pick, draw):
    T, D = lengths(pick, 2)
    B = pick(st.sampled_from((2, 1, 0, 3)), "B")
    positions = {"positions": draw.ids(40, *([B] if pick(st.booleans(), "a position for each") else []), T)}
    return {"p": {"weight": draw(40, D)}, "x": draw(B, T, D)}, pick(st.sampled_from(({}, positions)), "positions")


KERNELS = [name for name, thing in THINGS.items() if "cuda" in getattr(thing, "implementations", {})]
ONE_CALL = [name for name in KERNELS if name != "attention"]  # which has tests of its own, and a ladder of them
DIFFERENTIABLE = [name for name in ONE_CALL if THINGS[name].gradient]
every_kernel = pytest.mark.parametrize("name", ONE_CALL)
ODD = pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf], ids=str)


def test_every_kernel_has_its_calls():
    assert set(KERNELS) <= set(CALLS) and len(KERNELS) >= 12 and drawn_batch.__doc__.startswith("Leading axes, few")
    assert device.SIMULATED and arrays.library() is np


@every_kernel
@given(st.data())
def test_in_float64_it_is_the_reference(name, data):
    hold_to_reference(draw_call(name, data), by="cuda")


@every_kernel
@given(st.data())
def test_in_float32_it_errs_at_most_twice_as_much(name, data):
    hold_float32(draw_calls(name, data, 3), by="cuda")


@every_kernel
@given(st.data())
def test_it_writes_to_nothing_and_gives_the_same_bits_in_any_order(name, data):
    """Neither arguments nor what was saved change; threads and blocks may come in whatever order."""
    call = draw_call(name, data)
    args, static = call.arguments(np.float32)
    before = arrays_in(call.arguments(np.float32))
    found = []
    for number in (1, 2):
        with seed(number), np.errstate(all="ignore"):
            made = call.op(*args.values(), **static)
            if call.op.gradient:
                y, saved = made
                dy = call.upstream(y)
                once, again = (gradients(args, call.op.backward(*dy, saved)) for _ in range(2))
                assert same_bits(*([np.asarray(part) for part in each.values()] for each in (once, again)))
                made = named("y", y) | once
        made = made if call.op.gradient else named("y", made)
        found.append({path: np.asarray(part) for path, part in made.items()})
    assert same_bits(list(found[0].values()), list(found[1].values()))
    assert same_bits(arrays_in([args, static]), before)
    for path, part in found[0].items():
        assert name == "dropout" or not shares_memory(part, arrays_in([args])) or passed_on(name, path), path


def passed_on(name, path):
    """Learned positions hand dy on as it is, in the reference too."""
    return name == "learned_positions" and path == "dx"


@ODD
@every_kernel
@pytest.mark.filterwarnings("ignore::RuntimeWarning")  # a simulated thread says what a device does without a word
@given(data=st.data())
def test_what_is_no_number_in_the_reference_is_none_in_the_kernel(name, value, data):
    (call,) = spoil(draw_call(name, data), data, value)
    with np.errstate(all="ignore"):
        hold_alike(outcome(call, np.float64, "cuda"), outcome(call, np.float64, "reference"))


@pytest.mark.parametrize("name", DIFFERENTIABLE)
@given(st.data())
def test_what_a_kernel_saved_goes_to_its_own_backward(name, data):
    call = draw_call(name, data)
    args, settings = call.arguments(np.float64)
    y, by_kernel = call.op(*args.values(), **settings)
    expected = outcome(call, np.float64, "reference")
    with backend("reference"):
        found = gradients(args, call.op.backward(*call.upstream(y), by_kernel))
    assert by_kernel.backend == "cuda"
    for path, gradient in found.items():
        np.testing.assert_allclose(
            gradient, expected[path], rtol=0, atol=1e-11 * max(1, np.abs(gradient).max(initial=0))
        )


# ---------------------------------------------------------------------------------------------- what stands at an edge


@pytest.mark.parametrize("n", [0, 1, 7, 8, 9, 15, 16, 17, 40])
@pytest.mark.parametrize("activation", [ops.gelu, ops.gelu_tanh, ops.silu], ids=lambda op: op.name)
def test_elements_about_the_borders_of_a_grid(activation, n, rng):
    hold_to_reference(Call(activation, {"x": 3 * rng.normal(size=n)}, {}), by="cuda")


@pytest.mark.parametrize("N", [1, 2, 3, 4, 6, 7])
@pytest.mark.parametrize("norm", [ops.layer_norm, ops.rms_norm], ids=lambda norm: norm.name)
def test_gradients_of_parameters_about_the_borders_of_a_strip(norm, N, rng):
    p = {"weight": rng.normal(size=9), "bias": rng.normal(size=9)}
    hold_to_reference(Call(norm, {"p": for_norm(norm, p), "x": rng.normal(size=(N, 9))}, {}), by="cuda")


def for_norm(norm, p):
    return p if norm is ops.layer_norm else {"weight": p["weight"]}


@pytest.mark.filterwarnings("ignore:Mean of empty slice", "ignore:invalid value")
@pytest.mark.parametrize("lead", [(3,), (0,), ()], ids=str)
@pytest.mark.parametrize("norm", [ops.layer_norm, ops.rms_norm], ids=lambda norm: norm.name)
def test_norms_of_no_values(norm, lead):
    p = for_norm(norm, {"weight": np.zeros(0), "bias": np.zeros(0)})
    with np.errstate(all="ignore"):
        hold_to_reference(Call(norm, {"p": p, "x": np.zeros((*lead, 0))}, {}), by="cuda")


@pytest.mark.parametrize("value", [0.1, 1e4 / 3, -7.0])
def test_a_row_of_equal_values_has_nothing_to_normalise(value):
    p = {"weight": np.ones(100, np.float32), "bias": np.zeros(100, np.float32)}
    y, _ = ops.layer_norm(p, np.full((2, 100), value, np.float32))
    assert np.abs(y).max() <= 1e-6


@pytest.mark.parametrize("offset", [0.0, 1e4, -1e4])
def test_logits_far_from_zero_cost_the_same(offset, rng):
    logits, targets = rng.integers(-16, 17, (3, 17)) / 8 + offset, rng.integers(0, 17, 3)
    calls = [
        Call(ops.cross_entropy, {"logits": logits, "targets": targets}, {"label_smoothing": a}) for a in (0.0, 0.2)
    ]
    hold_float32(calls, by="cuda")


def test_the_largest_logit_wherever_it_stands():
    """Whichever thread of whichever warp meets it: taken away from all, it keeps every exponential from ∞."""
    V = 2 * device.THREADS + 1
    given = {"logits": 1e4 * np.eye(V), "targets": np.zeros(V, int)}
    hold_to_reference(Call(ops.cross_entropy, given, {}), by="cuda")


def test_the_mean_over_more_rows_than_threads(rng):
    logits, targets = rng.normal(size=(3, 11, 4)), rng.integers(0, 4, (3, 11))
    targets[1, 3:] = -100
    hold_to_reference(Call(ops.cross_entropy, {"logits": logits, "targets": targets}, {}), by="cuda")


def test_all_targets_ignored(rng):
    logits = rng.normal(size=(3, 5))
    loss, saved = ops.cross_entropy(logits, np.full(3, -100), label_smoothing=0.1)
    assert loss == 0 and not ops.cross_entropy_backward(np.float64(1), saved).any()


@pytest.mark.parametrize("label_smoothing", [0.0, 0.1])
def test_a_token_that_may_not_be_said(label_smoothing):
    """A logit of -∞ costs nothing as long as it is no target, and everything as soon as all are a little."""
    given = {"logits": np.array([[0.0, 1.0, -np.inf], [2.0, 0.0, 1.0]]), "targets": np.array([1, 0])}
    call = Call(ops.cross_entropy, given, {"label_smoothing": label_smoothing})
    with np.errstate(all="ignore"):
        found, expected = outcome(call, np.float32, "cuda"), outcome(call, np.float32, "reference")
    assert found["y"] == (np.inf if label_smoothing else pytest.approx(expected["y"], rel=1e-6))
    np.testing.assert_allclose(found["dlogits"], expected["dlogits"], atol=1e-6)


@pytest.mark.parametrize("activation", [ops.gelu, ops.gelu_tanh, ops.silu], ids=lambda op: op.name)
def test_large_numbers_do_not_overflow(activation):
    x = np.array([-1e4, -800.0, -100.0, -90.0, 90.0, 100.0, 800.0, 1e4], np.float32)
    y, saved = activation(x)
    dx = activation.backward(np.ones_like(x), saved)
    np.testing.assert_allclose(y, np.maximum(x, 0), rtol=1e-6, atol=1e-30)
    np.testing.assert_allclose(dx, x > 0, rtol=1e-6, atol=1e-30)


@pytest.mark.parametrize("n", [1, 3, 4, 5, 31, 32, 33, 67])
def test_dropout_draws_the_bits_of_the_reference(n):
    key = np.random.SeedSequence(n)
    kept = ops.dropout(np.ones(n, np.float32), rate=0.4, key=key)[1].values[0]
    with backend("reference"):
        expected = ops.dropout(np.ones(n, np.float32), rate=0.4, key=key)[1].values[0]
    assert np.array_equal(kept, expected) and kept.view(np.uint8).max() <= 1
    alone = draw_kept((n,), 0.4, key, like=np.ones(1, np.float32))
    assert np.array_equal(alone, expected) and alone.view(np.uint8).max() <= 1
    assert draw_kept((n,), 0.4, None, like=alone) is None and draw_kept((n,), 0.0, key, like=alone) is None


@pytest.mark.parametrize("i", [0, 3, 6])
def test_a_number_that_is_just_the_limit_is_kept(i):
    key = np.random.SeedSequence(3)
    rate = int(philox.words(key, 7)[i]) / 2**32
    kept = ops.dropout(np.ones(7), rate=rate, key=key)[1].values[0]
    assert kept[i] and np.array_equal(kept, philox.words(key, 7) >= philox.words(key, 7)[i])
    assert np.array_equal(draw_kept((7,), rate, key, like=kept), kept)


def test_a_row_for_every_repetition(rng):
    """Rows are added in the order in which their ids stand, so that float32 rounds as the reference does."""
    p, ids = {"weight": rng.normal(size=(7, 9)).astype("f")}, rng.integers(0, 3, (2, 11))
    dy = rng.normal(size=(2, 11, 9)).astype("f")
    found = ops.embedding_backward(dy, ops.embedding(p, ids)[1])
    with backend("reference"):
        assert same_bits(found, ops.embedding_backward(dy, ops.embedding(p, ids)[1]))
    assert not found["weight"][3:].any()


def test_atomic_additions_come_in_another_order_every_time(rng):
    """What embedding.py does without: right up to rounding, and not the same twice."""
    ids, dy = np.zeros(40, np.int64), rng.normal(size=(40, 3)).astype("f")
    seen = set()
    for number in range(6):
        dweight = np.zeros((2, 3), np.float32)
        with seed(number):
            device.launch(embedding.scatter_add_atomic, len(ids), device.THREADS, dy, ids, dweight)
        np.testing.assert_allclose(dweight[0], dy.sum(0, dtype=np.float64), atol=1e-5)
        seen.add(dweight.tobytes())
    assert len(seen) > 1


@pytest.mark.parametrize("dtype", ["i2", "u2", "u4", "u8"])
def test_ids_of_every_type(dtype, rng):
    p, ids = {"weight": rng.normal(size=(7, 5))}, rng.integers(0, 7, (2, 3)).astype(dtype)
    hold_to_reference(Call(ops.embedding, {"p": p, "ids": ids}, {}), by="cuda")
    given = {"logits": rng.normal(size=(2, 3, 7)), "targets": ids}
    hold_to_reference(Call(ops.cross_entropy, given, {}), by="cuda")


@pytest.mark.parametrize("layout", LAYOUTS)
def test_ids_however_they_lie(layout, rng):
    ids_however_they_lie(LAYOUTS[layout], "cuda", rng)


def test_a_product_of_two_precisions_is_refused():
    a, b, out = np.ones((2, 3)), np.ones((3, 2), np.float32), np.ones((2, 2))
    for mixed in ((a, b, out), (b.T, b, out), (a, b.astype(float), out.astype(np.float32))):
        with pytest.raises(TypeError, match="all have to be of one dtype"):
            products.product(*mixed)


@pytest.mark.parametrize("layout", LAYOUTS)
def test_factors_of_a_product_lie_straight(layout, monkeypatch, rng):
    """As cuBLAS takes them to; NumPy's product, which stands for it, would not mind."""
    product, column_sums, straight = linear.product, linear.column_sums, []

    def watched(function):
        return lambda *args, **turns: (straight.extend(x.flags.c_contiguous for x in args), function(*args, **turns))[1]

    monkeypatch.setattr(linear, "product", watched(product))
    monkeypatch.setattr(linear, "column_sums", watched(column_sums))
    p = {"weight": rng.normal(size=(5, 4)), "bias": rng.normal(size=5)}
    outcome(Call(ops.linear, {"p": p, "x": rng.normal(size=(2, 3, 4))}, {}, LAYOUTS[layout]), np.float64, "cuda")
    assert straight == [True] * 10  # three products and a sum


def test_ids_are_checked_at_the_door():
    with pytest.raises(ValueError, match="outside the vocabulary"):
        ops.embedding({"weight": np.ones((3, 2))}, np.array([3]))


def test_what_nobody_has_written_shows():
    """Without which a kernel that leaves something out would give zeros, and perhaps be right."""
    for dtype in (np.float32, np.float64):
        assert (
            np.isnan(arrays.empty((2, 3), np.zeros(1, dtype))).all()
            and arrays.empty((), np.zeros(1, dtype)).shape == ()
        )
    assert (arrays.empty(5, np.zeros(1), np.bool_).view(np.uint8) == 255).all() and arrays.empty(
        (0, 3), np.zeros(1)
    ).size == 0

    @device.kernel
    def shared_to(x):
        memory = device.cuda.shared.array(4, x.dtype)
        x[device.cuda.threadIdx.x] = memory[device.cuda.threadIdx.x % 4]

    x = np.zeros(device.THREADS, np.float32)
    device.launch(shared_to, 1, device.THREADS, x)
    assert np.isnan(x).all()
    x.flags.writeable = False
    with pytest.raises(ValueError, match="read-only"):
        device.launch(shared_to, 1, device.THREADS, x)
