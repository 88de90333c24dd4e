"""Every operation that has a kernel, over whatever it can be called with: the kernel is the reference, only faster."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from minitransformer import ops, philox
from minitransformer.convention import THINGS, use_backend

from ...arrays import arrays_in, same_bits, shares_memory
from ..edges import ids_however_they_lie, lengths_whose_squares_float32_has_not, moments_keep_their_digits
from .agreement import backend, gradients, hold_float32, hold_to_reference, named, outcome
from .calls import CALLS, KERNELS, LAYOUTS, Call, draw_call, draw_calls

every_kernel = pytest.mark.parametrize("name", KERNELS)
DIFFERENTIABLE = [name for name in KERNELS if THINGS[name].gradient]
few = settings(max_examples=max(settings.default.max_examples // 2, 2))


def test_every_kernel_has_its_calls():
    assert set(CALLS) - set(KERNELS) == {"adamw_many"} and len(KERNELS) >= 11  # which asks for adamw, leaf by leaf
    assert set(KERNELS) <= set(CALLS)


@every_kernel
@given(st.data())
def test_in_float64_it_is_the_reference(name, data):
    hold_to_reference(draw_call(name, data))


@every_kernel
@few
@given(st.data())
def test_in_float32_it_errs_at_most_twice_as_much(name, data):
    hold_float32(draw_calls(name, data, 10))


@every_kernel
@pytest.mark.parametrize("dtype", [np.float32, np.float64], ids=["float32", "float64"])
@few
@given(st.data())
def test_it_writes_to_nothing_and_gives_fresh_memory(name, dtype, data):
    call = draw_call(name, data)
    args, static = call.arguments(dtype)
    before = call.arguments(dtype)
    made = call.op(*args.values(), **static)
    others = arrays_in([args, static])
    if call.op.gradient:
        y, saved = made
        dy = [np.asarray(part) for part in call.upstream(y)]
        felt = [part if part.ndim else part[()] for part in dy]
        kept = [np.array(array) for array in arrays_in([saved.values, dy])]
        once, again = (gradients(args, call.op.backward(*felt, saved)) for _ in range(2))
        assert same_bits(as_arrays(once), as_arrays(again))  # called twice, the backward gives the same bits
        assert same_bits(arrays_in([saved.values, dy]), kept)
        made, others = named("y", y) | once, [*others, *dy]
    assert same_bits(others[: len(arrays_in(before))], arrays_in(before))
    if name == "dropout" and saved.values[0] is None:
        return  # nothing is dropped: as in the reference, y is x
    for array in as_arrays(made):
        assert not shares_memory(array, others)
        others.append(array)


def as_arrays(made):
    """Numbers too, which 0-d arrays become in NumPy's hands."""
    parts = made.values() if isinstance(made, dict) else made if isinstance(made, tuple) else (made,)
    return [np.asarray(part) for part in parts]


@pytest.mark.parametrize("name", DIFFERENTIABLE)
@few
@given(st.data())
def test_what_a_kernel_saved_goes_to_its_own_backward(name, data):
    """Whatever is chosen in between."""
    call = draw_call(name, data)
    expected = outcome(call, np.float64, "reference")
    args, settings = call.arguments(np.float64)
    y, by_kernel = call.op(*args.values(), **settings)
    use_backend("reference")
    _, by_reference = call.op(*args.values(), **settings)
    after_kernel = gradients(args, call.op.backward(*call.upstream(y), by_kernel))
    use_backend("cpu")
    after_reference = gradients(args, call.op.backward(*call.upstream(y), by_reference))
    assert (by_kernel.backend, by_reference.backend) == ("cpu", "reference")
    for path, gradient in after_reference.items():
        assert np.array_equal(gradient, expected[path])
        np.testing.assert_allclose(
            after_kernel[path], expected[path], rtol=0, atol=1e-12 * max(1, np.abs(gradient).max(initial=0))
        )


@pytest.mark.parametrize("dtype", [np.float16, np.longdouble, ">f4"], ids=["float16", "longdouble", "big-endian"])
@pytest.mark.parametrize("name", DIFFERENTIABLE)
@settings(max_examples=2)
@given(data=st.data())
def test_other_precisions_are_the_references(name, dtype, data):
    if not THINGS[name].extended and dtype == np.longdouble:
        dtype = np.float16
    call = draw_call(name, data)
    args, static = call.arguments(dtype)
    with np.errstate(all="ignore"):
        assert call.op(*args.values(), **static)[1].backend == "reference"


@pytest.mark.parametrize("dtype", [np.float16, np.longdouble, ">f8"], ids=["float16", "longdouble", "big-endian"])
def test_the_length_of_a_gradient_of_another_precision(dtype):
    g = {"a": np.array([3.0, 0.0], dtype), "b": np.array(4.0, dtype)}
    assert ops.global_norm(g) == 5.0


def test_the_length_of_a_gradient_whose_squares_float32_has_not():
    lengths_whose_squares_float32_has_not()


# ---------------------------------------------------------------------------------------------- what stands at an edge


@pytest.mark.parametrize("D", [1, 2, 3])
@pytest.mark.parametrize("norm", [ops.layer_norm, ops.rms_norm], ids=lambda norm: norm.name)
def test_norms_of_a_few_values(norm, D, rng):
    p = {"weight": rng.normal(size=D), "bias": rng.normal(size=D)}
    hold_to_reference(
        Call(norm, {"p": p if norm is ops.layer_norm else {"weight": p["weight"]}, "x": rng.normal(size=(5, D))}, {}),
        1e-11,
    )


@pytest.mark.filterwarnings("ignore:Mean of empty slice", "ignore:invalid value")
@pytest.mark.parametrize("lead", [(3,), (2, 3), (0,), ()], ids=str)
@pytest.mark.parametrize("norm", [ops.layer_norm, ops.rms_norm], ids=lambda norm: norm.name)
def test_norms_of_no_values(norm, lead):
    """Rows of length 0 have no mean, but also no element that would show it."""
    p = {"weight": np.zeros(0)} | ({"bias": np.zeros(0)} if norm is ops.layer_norm else {})
    with np.errstate(all="ignore"):
        hold_to_reference(Call(norm, {"p": p, "x": np.zeros((*lead, 0))}, {}))
    statistics = norm(p, np.zeros((*lead, 0)))[1].values[-1]
    assert len(statistics) == np.prod(lead, dtype=int)  # one for each row, or the kernel would write beside them


@pytest.mark.parametrize("value", [0.1, 1e4 / 3, -7.0])
@pytest.mark.parametrize("dtype", [np.float32, np.float64], ids=["float32", "float64"])
@pytest.mark.parametrize("D", [3, 16, 100, 768])
def test_a_row_of_equal_values_has_nothing_to_normalise(value, dtype, D):
    """Whatever rounding leaves of its mean."""
    p = {"weight": np.ones(D, dtype), "bias": np.zeros(D, dtype)}
    y, _ = ops.layer_norm(p, np.full((2, D), value, dtype))
    assert np.abs(y).max() <= 1e-6


def test_a_row_far_from_zero_keeps_its_differences(rng):
    """A mean in float32 is off by a part of its last place. What is left of it must be taken away, and after it."""
    x = rng.integers(-8, 9, (50, 768)) / 8 + 8192.0  # exact in float32, and so are the differences
    p = {"weight": np.ones(768), "bias": np.zeros(768)}
    calls = [Call(ops.layer_norm, {"p": p, "x": x[i : i + 1]}, {}) for i in range(50)]
    hold_float32(calls)


@pytest.mark.parametrize("offset", [0.0, 1e4, -1e4])
def test_logits_far_from_zero_cost_the_same(offset, rng):
    logits, targets = rng.integers(-16, 17, (7, 33)) / 8 + offset, rng.integers(0, 33, 7)
    hold_float32(
        [Call(ops.cross_entropy, {"logits": logits, "targets": targets}, {"label_smoothing": a}) for a in (0.0, 0.2)]
    )


def test_all_targets_ignored(rng):
    logits = rng.normal(size=(3, 5))
    loss, saved = ops.cross_entropy(logits, np.full(3, -100), label_smoothing=0.1)
    assert loss == 0 and not ops.cross_entropy_backward(np.float64(1), saved).any()


def test_a_row_for_every_repetition(rng):
    """Rows are added in the order of their ids, so that float32 rounds as the reference does."""
    p, ids = {"weight": rng.normal(size=(7, 5)).astype("f")}, rng.integers(0, 3, (4, 50))
    dy = rng.normal(size=(4, 50, 5)).astype("f")
    found = ops.embedding_backward(dy, ops.embedding(p, ids)[1])
    with backend("reference"):
        assert same_bits(found, ops.embedding_backward(dy, ops.embedding(p, ids)[1]))
    assert not found["weight"][3:].any()


@pytest.mark.parametrize("layout", [name for name in LAYOUTS if name != "read-only"])
@pytest.mark.parametrize("shape", [(), (7,), (5, 33), (3, 1, 4)], ids=str)
def test_an_update_in_place(shape, layout, rng):
    """Written where the old w, m and v were, in whatever memory, or elsewhere: the same bits, and g as it was."""
    old = [rng.normal(size=shape) for _ in range(3)] + [np.square(rng.normal(size=shape))]
    settings = {
        "t": 3,
        "learning_rate": 0.1,
        "beta1": 0.9,
        "beta2": 0.99,
        "eps": 1e-8,
        "weight_decay": 0.1,
        "factor": 0.5,
    }

    def place(arrays):
        return [LAYOUTS[layout](np.asarray(array), np.float32) for array in arrays]

    new = ops.adamw(*place(old), **settings)
    w, g, m, v = place(old)
    out = ops.adamw(w, g, m, v, **settings, out=(w, m, v))
    assert same_bits([w, m, v], as_arrays(new)) and same_bits([g], [LAYOUTS[layout](np.asarray(old[1]), np.float32)])
    assert all(part is given for part, given in zip(out, (w, m, v), strict=True))
    w, g, m, v = place(old)
    elsewhere = place(old[1:])
    ops.adamw(w, g, m, v, **settings, out=tuple(elsewhere))
    assert same_bits(elsewhere, as_arrays(new)) and same_bits([w, g, m, v], place(old))


def test_what_is_new_keeps_its_digits():
    moments_keep_their_digits()


@pytest.mark.parametrize("n", [1, 4, 16, 17])
@pytest.mark.parametrize("bias", [True, False])
def test_a_linear_map_of_few_rows_and_of_many(n, bias, rng):
    """Up to 16 rows are the kernel's, more are BLAS's: each the same map."""
    p = {"weight": rng.normal(size=(5, 4))} | ({"bias": rng.normal(size=5)} if bias else {})
    hold_to_reference(Call(ops.linear, {"p": p, "x": rng.normal(size=(1, n, 4))}, {}))


@pytest.mark.parametrize("i", [0, 3, 6])
def test_a_number_that_is_just_the_limit_is_kept(i):
    """As in the reference: dropped is what is below it."""
    key = np.random.SeedSequence(3)
    rate = int(philox.words(key, 7)[i]) / 2**32
    kept = ops.dropout(np.ones(7), rate=rate, key=key)[1].values[0]
    with backend("reference"):
        expected = ops.dropout(np.ones(7), rate=rate, key=key)[1].values[0]
    assert kept[i] and np.array_equal(kept, expected)


@pytest.mark.parametrize("D, E", [(0, 3), (3, 0), (0, 0)])
@pytest.mark.parametrize("lead", [(), (2,), (0,)], ids=str)
def test_a_linear_map_from_nothing_or_to_nothing(lead, D, E):
    p = {"weight": np.ones((E, D)), "bias": np.ones(E)}
    hold_to_reference(Call(ops.linear, {"p": p, "x": np.ones((*lead, D))}, {}))


@pytest.mark.parametrize("dtype", ["i2", "u2", "u4", "u8", ">i4"])
def test_ids_of_every_type(dtype, rng):
    p, ids = {"weight": rng.normal(size=(7, 5))}, rng.integers(0, 7, (2, 3)).astype(dtype)
    y, saved = ops.embedding(p, ids)
    dy = rng.normal(size=y.shape)
    expected = np.zeros((7, 5))
    np.add.at(expected, ids, dy)
    assert np.array_equal(y, p["weight"][ids])
    assert np.array_equal(ops.embedding_backward(dy, saved)["weight"], expected)
    logits = rng.normal(size=(2, 3, 7))
    hold = Call(ops.cross_entropy, {"logits": logits, "targets": ids}, {})
    hold_to_reference(hold)


@pytest.mark.parametrize("layout", LAYOUTS)
def test_ids_however_they_lie(layout, rng):
    ids_however_they_lie(LAYOUTS[layout], "cpu", rng)
