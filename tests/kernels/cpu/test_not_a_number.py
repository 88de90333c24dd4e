"""NaN and infinity: what is no number in the reference is none in a kernel, and nothing else is."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from minitransformer import ops
from minitransformer.trees import leaves, tree_with_paths

from .agreement import backend, outcome
from .calls import KERNELS, Call, draw_call
from .test_attention import drawn_tiles, problem, tiles

ODD = pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf], ids=str)


def both(call):
    with np.errstate(all="ignore"):
        return outcome(call, np.float64, "cpu"), outcome(call, np.float64, "reference")


def spoil(call, data, *values):
    """The call once for each value, which stands where one number stood in the arguments, or in what is felt of y."""
    places = dict(leaves(call.given))
    if call.op.gradient:
        args, settings = call.arguments(np.float64)
        with backend("reference"):
            call = call._replace(dy=call.upstream(call.op(*args.values(), **settings)[0]))
        places |= {f"dy{i}": part for i, part in enumerate(call.dy)}
    if call.op in (ops.cross_entropy, ops.linear_cross_entropy):
        del places["dy0"]  # of which rows that do not count feel nothing: the reference feels 0 times it
    paths = [path for path, leaf in places.items() if np.size(leaf) and getattr(leaf, "dtype", None) == np.float64]
    if not paths:
        return [call] * len(values)
    path = data.draw(st.sampled_from(paths), "what is spoilt")
    at = data.draw(st.integers(0, np.size(places[path]) - 1), "at")
    return [with_value(call, path, at, value) for value in values]


def with_value(call, path, at, value):
    def put(array):
        array = np.array(array)
        array.flat[at] = value
        return array[()]

    if path.startswith("dy"):
        return call._replace(dy=tuple(put(part) if path == f"dy{i}" else part for i, part in enumerate(call.dy)))
    return call._replace(given=tree_with_paths(lambda name, leaf: put(leaf) if name == path else leaf, call.given))


def hold_alike(found, expected):
    """Numbers where the reference has numbers. An ∞ may be a NaN, and the other way round, never the other ∞:

    where +∞ meets -∞ on the way, or a 0, hangs on the order of a sum, and on whether what is nearly 0 is 0.
    """
    for what in expected:
        ours, theirs = np.asarray(found[what]), np.asarray(expected[what])
        assert np.array_equal(np.isfinite(ours), np.isfinite(theirs)), what
        infinite = np.isinf(ours) & np.isinf(theirs)
        assert np.array_equal(np.sign(ours[infinite]), np.sign(theirs[infinite])), what


@ODD
@pytest.mark.parametrize("name", [name for name in KERNELS if name != "attention"])
@given(data=st.data())
def test_what_is_no_number_in_the_reference_is_none_in_the_kernel(name, value, data):
    (call,) = spoil(draw_call(name, data), data, value)
    hold_alike(*both(call))


@ODD
@given(data=st.data())
def test_in_attention_where_every_key_is_seen(value, data):
    (call,) = spoil(draw_call("attention", data)._replace(settings={}), data, value)
    with drawn_tiles(data):
        hold_alike(*both(call))


@given(data=st.data())
def test_in_attention_where_not_every_key_is_seen(data):
    """A kernel does not look at what nobody may see; the reference does, and multiplies it by a weight of zero.

    So it may pass over a NaN there. But what hangs on the spoilt number, since another number in its place changes it,
    must be NaN, and what is a number in the reference must be one.
    """
    drawn = draw_call("attention", data)
    drawn = drawn._replace(
        settings={name: drawn.settings[name] for name in ("causal", "mask") if name in drawn.settings}
    )
    call, one, other = spoil(drawn, data, np.nan, 0.25, 1.5)
    with drawn_tiles(data):
        found, expected = both(call)
    one, other = (outcome(each, np.float64, "reference") for each in (one, other))
    for what in expected:
        nan = np.isnan(found[what])
        assert not (nan & ~np.isnan(expected[what])).any(), what
        assert not (~nan & (one[what] != other[what])).any(), what


def test_a_query_that_is_no_number_gives_none(rng):
    """Its scores are all NaN, among which there is no largest: it is not a query that may see nothing."""
    call = problem(rng, T=5, S=9)
    call.given["q"][0, 1, 3, 0] = np.nan
    for keys in (4, 512):
        with tiles(2, keys):
            found = outcome(call, np.float64, "cpu")
        assert np.isnan(found["y"][0, 1, 3]).all() and np.isnan(found["y"]).sum() == 3
        assert np.isnan(found["dv"][0, 1]).all() and np.isnan(found["dk"][0, 1]).all()


def y_and_gradients(q, k, v, dy):
    y, saved = ops.attention(q, k, v, causal=True)
    return y, *ops.attention_backward(dy, saved)[:3]


@ODD
@pytest.mark.parametrize(
    "shape, cut", [({"R": 2, "T": 33, "S": 40, "K": 17}, (40, 96)), ({"T": 129, "S": 64}, (40, 1))]
)
def test_what_is_no_number_in_a_text_stays_there(shape, cut, value, rng):
    """A tile finds what the tile before left in its place, where no query can see a key."""
    given = problem(rng, G=1, **shape).given
    q, k, v = (given[name].astype(float) for name in "qkv")
    dy = rng.normal(size=q.shape)
    for x in (q, k, v, dy):
        x[0] = value
    with np.errstate(all="ignore"), tiles(*cut):
        found, expected = (y_and_gradients(*(x[begin:] for x in (q, k, v, dy))) for begin in (0, 1))
    for one, other in zip(found, expected, strict=True):
        assert np.isfinite(other).all() and np.array_equal(one[1:], other)


@pytest.mark.parametrize("dtype", [np.float32, np.float64], ids=["float32", "float64"])
@pytest.mark.parametrize("label_smoothing", [0.0, 0.1])
def test_a_token_that_may_not_be_said(label_smoothing, dtype):
    """A logit of -∞ costs nothing as long as it is no target, and everything as soon as all are a little."""
    logits = np.array([[0.0, 1.0, -np.inf], [2.0, 0.0, 1.0]])
    call = Call(
        ops.cross_entropy, {"logits": logits, "targets": np.array([1, 0])}, {"label_smoothing": label_smoothing}
    )
    with np.errstate(all="ignore"):
        found, expected = outcome(call, dtype, "cpu"), outcome(call, dtype, "reference")
    assert found["y"] == (np.inf if label_smoothing else pytest.approx(expected["y"], rel=1e-6))
    np.testing.assert_allclose(found["dlogits"], expected["dlogits"], atol=1e-6)


@pytest.mark.parametrize("dtype", [np.float32, np.float64], ids=["float32", "float64"])
@pytest.mark.parametrize("activation", [ops.gelu, ops.gelu_tanh, ops.silu], ids=lambda op: op.name)
def test_large_numbers_do_not_overflow(activation, dtype):
    """Where no result is too large, nothing on the way to it is: from here on, x is y or 0 is."""
    x = np.array([-1e4, -800.0, -100.0, -90.0, 90.0, 100.0, 800.0, 1e4], dtype)
    y, saved = activation(x)
    dx = activation.backward(np.ones_like(x), saved)
    np.testing.assert_allclose(y, np.maximum(x, 0), rtol=1e-7, atol=1e-30)
    np.testing.assert_allclose(dx, x > 0, rtol=1e-7, atol=1e-30)


@pytest.mark.parametrize("dtype", [np.float32, np.float64], ids=["float32", "float64"])
@pytest.mark.parametrize("label_smoothing", [0.0, 0.25])
def test_large_logits_do_not_overflow(label_smoothing, dtype):
    logits = np.array([[1e4, -1e4, 0.0, 0.0], [-1e4, -1e4, -1e4, -1e4]], dtype)
    loss, saved = ops.cross_entropy(logits, np.array([1, 1]), label_smoothing=label_smoothing)
    dlogits = ops.cross_entropy_backward(dtype(2), saved)
    share = label_smoothing / 4
    costs = (1 - label_smoothing) * 2e4 + share * (2e4 + 1e4 + 1e4), np.log(4)
    assert loss == pytest.approx(sum(costs) / 2, rel=1e-6)
    wanted = share + (1 - label_smoothing) * np.array([0, 1, 0, 0])
    np.testing.assert_allclose(dlogits, [[1, 0, 0, 0], [0.25] * 4] - wanted, atol=1e-6)
