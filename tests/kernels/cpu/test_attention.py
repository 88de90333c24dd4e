"""Attention in tiles: their borders, what may be seen of them, and that nothing hangs on how they are cut."""

from contextlib import contextmanager

import numpy as np
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from minitransformer import philox
from minitransformer.kernels.cpu import attention as kernel
from minitransformer.kernels.cpu.tile import BYTES, ROWS, VECTORS
from minitransformer.ops import attention, attention_backward
from minitransformer.ops.attention import may_attend
from minitransformer.threads import workers

from .agreement import FLOOR, backend, hold_float32, hold_to_reference, outcome
from .calls import Call, as_float32, draw_call, one_of

QUERIES, KEYS = kernel.QUERIES, kernel.KEYS
WIDTH = VECTORS * BYTES // 8  # of a tile of registers, in float64


@contextmanager
def tiles(queries, keys):
    """Tiles of other sizes, made whole tiles of registers: so small that little arrays have many."""
    before = kernel.QUERIES, kernel.KEYS
    kernel.QUERIES, kernel.KEYS = queries, keys
    try:
        yield
    finally:
        kernel.QUERIES, kernel.KEYS = before


def drawn_tiles(data):
    queries = data.draw(one_of(1, 17, 128), "queries of a tile, at least")
    keys = data.draw(one_of(1, 13, 96), "keys of a tile, at least")
    return tiles(queries, keys)


def problem(rng, *, B=2, G=2, R=1, T=5, S=7, K=3, size=1.0, bias=None, **settings):
    given = {"q": size * rng.normal(size=(B, G * R, T, K)), "bias": None}
    given |= {name: rng.normal(size=(B, G, S, K)) for name in "kv"}
    given["bias"] = None if bias is None else rng.normal(size=bias)
    return Call(attention, {name: as_float32(given[name]) for name in ("q", "k", "v", "bias")}, settings)


@given(st.data())
def test_however_tiles_are_cut(data):
    with drawn_tiles(data):
        hold_to_reference(draw_call("attention", data))


@settings(max_examples=max(settings.default.max_examples // 4, 2))
@given(st.data())
def test_however_tiles_are_cut_in_float32(data):
    call = draw_call("attention", data)
    with drawn_tiles(data):
        hold_float32([call._replace(seed=call.seed + i) for i in range(5)])


@pytest.mark.parametrize("causal", [False, True], ids=["every key", "causal"])
@pytest.mark.parametrize("S", [KEYS - 1, KEYS, KEYS + 1])
@pytest.mark.parametrize("T", [1, QUERIES - 1, QUERIES, QUERIES + 1])
def test_at_the_borders_of_the_tiles_that_there_are(T, S, causal):
    rng = np.random.default_rng(T + S)
    hold_to_reference(problem(rng, T=T, S=S, B=1, G=2, R=1 + T % 2, causal=causal))


@pytest.mark.parametrize("T", [1, WIDTH + 2])
@pytest.mark.parametrize("K", [WIDTH - 1, WIDTH, WIDTH + 1, 2 * WIDTH + 3])
def test_heads_wider_than_a_tile_of_registers(K, T, rng):
    """As those of models are: their values and gradients are several panels side by side."""
    with tiles(1, 1):
        hold_to_reference(problem(rng, K=K, T=T, S=2 * ROWS + 1, R=2, causal=True))


def test_everything_over_several_tiles(rng):
    """Bias, mask, and what is dropped: each at its own query and key, forward and backward."""
    T, S = 2 * WIDTH + 3, 2 * ROWS + 3
    more = {"mask": rng.random((2, 1, T, S)) < 0.8, "dropout_rate": 0.3, "key": np.random.SeedSequence(1)}
    with tiles(1, 1):
        hold_to_reference(problem(rng, R=2, T=T, S=S, bias=(2, 4, T, S), **more))


@pytest.mark.parametrize("causal", [False, True], ids=["every key", "causal"])
@pytest.mark.parametrize("sizes", [{"B": 0}, {"T": 0}, {"S": 0}, {"T": 0, "S": 0}, {"T": 1, "S": 0}, {"R": 0}], ids=str)
def test_of_nothing(sizes, causal, rng):
    """No text, no query, no key, no head: what is not there gives nothing, and where it was to be seen, zeros."""
    hold_to_reference(problem(rng, **sizes, causal=causal))
    hold_to_reference(problem(rng, **sizes, causal=causal, bias=(1, 1, 1, 1)))


@pytest.mark.parametrize("by", ["cpu", "reference"])
def test_heads_without_width(by, rng):
    with pytest.raises(ValueError, match="attention: heads of width 0 have nothing to compare"):
        outcome(problem(rng, K=0), np.float32, by)


@pytest.mark.parametrize("T, S", [(1, 9), (9, 1), (5, 9), (9, 5), (9, 9)])
@given(data=st.data())
@settings(max_examples=5)
def test_causal_is_aligned_at_the_bottom_right(T, S, data):
    """What query t sees of the keys is what may_attend says: with v the identity, y is the weights."""
    K = S
    q, k = np.random.default_rng(0).normal(size=(2, 1, 2, 9, K))
    q, k, v = q[:, :, :T], k[:, :, :S], np.broadcast_to(np.eye(S), (1, 2, S, S))
    with drawn_tiles(data):
        weights, _ = attention(q, k, v, causal=True)
    assert np.array_equal(weights != 0, np.broadcast_to(may_attend(q, S, None, True), weights.shape))
    np.testing.assert_allclose(weights.sum(-1), np.broadcast_to(np.arange(T) + S - T >= 0, (1, 2, T)), rtol=1e-14)


def test_tiles_that_nothing_may_see_are_not_computed(rng):
    """Half of the work of a long causal sequence. What is computed of a value that is NaN is NaN, even times 0."""
    T = 150
    q, k, v, dy = (x.swapaxes(1, 2) for x in rng.normal(size=(4, 1, T, 1, 3)))  # as the kernel wants them: no copies
    computed, computed_again = np.zeros((2, T, T), bool)  # which query has met which key's value
    for j in range(T):
        with tiles(1, 1):
            _, saved = attention(q, k, v, causal=True)
            before = v[:, :, j].copy()
            v[:, :, j] = np.nan
            y, _ = attention(q, k, v, causal=True)
            dq, *_ = attention_backward(dy, saved)
            v[:, :, j] = before
        computed[:, j], computed_again[:, j] = np.isnan(y[0, 0]).all(-1), np.isnan(dq[0, 0]).all(-1)
    ahead = np.arange(T) - np.arange(T)[:, None]  # of the query, the key
    for met in (computed, computed_again):
        assert met[ahead <= 0].all()
        assert not met[ahead >= ROWS].any()


def test_weights_of_large_scores_keep_their_digits(rng):
    """Scores of some 50, of two digits each and so without rounding: what is off is off by the softmax alone."""
    q, k = rng.integers(-8, 9, (2, 1, 2, 40, 1)).astype(float)
    call = Call(attention, {"q": q, "k": k, "v": as_float32(rng.normal(size=(1, 2, 40, 1))), "bias": None}, {})
    hold_float32([call._replace(seed=i) for i in range(9)], floor=2 * FLOOR)  # dk = dsᵀ q, and q is 8


@pytest.mark.parametrize("size", [100.0, 1e4])
@pytest.mark.parametrize("causal", [False, True], ids=["every key", "causal"])
def test_large_scores_do_not_overflow(size, causal, rng):
    """The largest score of a row may come in a later tile than the others, or in an earlier one."""
    call = problem(rng, T=9, S=23, size=size, causal=causal)
    with np.errstate(over="raise", invalid="raise", divide="raise"), tiles(4, 5):
        hold_to_reference(call, bar=1e-14 * size)  # dk = dsᵀ q, of this size
        hold_float32([call._replace(seed=i) for i in range(5)], floor=size * FLOOR)


@pytest.mark.parametrize(
    "shape", [(1, 1, 1, 1), (2, 1, 1, 7), (1, 4, 5, 7), (2, 4, 5, 1), (1, 1, 5, 7), (2, 4, 5, 7)], ids=str
)
def test_a_bias_of_every_shape(shape, rng):
    with tiles(2, 3):
        hold_to_reference(problem(rng, R=2, bias=shape, causal=True))


def test_scores_of_minus_infinity(rng):
    """In a bias: as good as a mask. A row of them gives zeros and passes zero gradient."""
    bias = rng.normal(size=(1, 2, 5, 7))
    bias[rng.random(bias.shape) < 0.4] = -np.inf
    bias[0, :, 2], bias[0, 0, 3, :4], bias[0, 0, 4, 4:] = -np.inf, -np.inf, -np.inf
    call = problem(rng)
    call.given["bias"] = bias
    for keys in (4, 512):
        with tiles(2, keys), np.errstate(all="ignore"):
            hold_to_reference(call)
            args, _ = call.arguments(np.float64)
            y, saved = attention(*args.values())
            dq = attention_backward(rng.normal(size=y.shape), saved)[0]
        assert not y[:, :, 2].any() and not dq[:, :, 2].any()


def test_a_single_key_is_chosen_whatever_the_score(rng):
    """Its weight is 1: y is v, and query and key feel nothing but what rounding leaves."""
    call = problem(rng, R=3, T=6, S=1)
    hold_to_reference(call)
    args, _ = call.arguments(np.float64)
    y, saved = attention(*args.values())
    assert np.array_equal(y, np.broadcast_to(np.repeat(args["v"], 3, 1), y.shape))
    dq, dk, dv, _ = attention_backward(rng.normal(size=y.shape), saved)
    assert max(np.abs(dq).max(), np.abs(dk).max()) < 1e-13 < np.abs(dv).max()


@pytest.mark.parametrize("T, S", [(0, 5), (4, 0), (0, 0)])
@pytest.mark.parametrize("causal", [False, True])
def test_no_queries_or_no_keys(T, S, causal, rng):
    hold_to_reference(problem(rng, T=T, S=S, R=2, causal=causal))
    hold_to_reference(problem(rng, T=T, S=S, causal=causal, bias=(1, 2, T, S)))


@pytest.mark.parametrize("B, G, R", [(0, 2, 2), (2, 2, 0), (2, 1, 5)])
def test_no_sequences_or_no_heads(B, G, R, rng):
    hold_to_reference(problem(rng, B=B, G=G, R=R))


LAYOUTS = {  # in which order the axes of q, k, v, and dy lie in memory
    "heads last but one, as they come out of a linear map": (0, 2, 1, 3),
    "heads first": (1, 0, 2, 3),
    "the axes reversed": (3, 2, 1, 0),
    "batch and queries swapped": (2, 1, 0, 3),
}


@pytest.mark.parametrize("order", LAYOUTS)
@pytest.mark.parametrize("settings", [{}, {"dropout_rate": 0.3, "key": np.random.SeedSequence(1)}], ids=["", "dropped"])
def test_whatever_order_the_axes_lie_in(order, settings, rng):
    """NumPy's products lie as their factors do; a kernel that writes to a straight copy of one writes to nothing."""
    axes = LAYOUTS[order]

    def lay(array):
        return np.ascontiguousarray(array.transpose(axes)).transpose(np.argsort(axes))

    call = problem(rng, B=2, G=3, R=2, T=5, S=9, bias=(2, 6, 5, 9), **settings)
    args = {name: lay(array) for name, array in call.given.items()}
    with backend("reference"):
        y, saved = attention(*call.given.values(), **settings)
        dy = rng.normal(size=y.shape)
        expected = y, *attention_backward(dy, saved)
    y, saved = attention(*args.values(), **settings)
    for found, exact in zip((y, *attention_backward(lay(dy), saved)), expected, strict=True):
        np.testing.assert_allclose(found, exact, rtol=0, atol=1e-13)


# ------------------------------------------------------------------------------------------------------ what is dropped


def weights(T, S, H=3, B=2, *, rate, key):
    """The weights after dropout: y, where v is the identity."""
    q = np.zeros((B, H, T, S))
    v = np.broadcast_to(np.eye(S), (B, H, S, S))
    return attention(q, np.zeros((B, H, S, S)), v, dropout_rate=rate, key=key)[0]


@settings(max_examples=max(settings.default.max_examples // 2, 2))
@given(st.data(), st.integers(1, 9), st.integers(1, 11), one_of(0.5, 0.1, 0.9), st.integers(0, 2**64))
@example(None, QUERIES + 1, 5, 0.5, 0)
def test_dropout_drops_what_the_reference_drops(data, T, S, rate, seed):
    key = np.random.SeedSequence(seed)
    with backend("reference"):
        expected = weights(T, S, rate=rate, key=key)
    with tiles(QUERIES, KEYS) if data is None else drawn_tiles(data):
        found = weights(T, S, rate=rate, key=key)
    assert np.array_equal(found == 0, expected == 0)
    np.testing.assert_allclose(found, expected, rtol=1e-14)


def test_a_number_that_is_just_the_limit_is_kept():
    key = np.random.SeedSequence(3)
    rate = int(philox.words(key, 2 * 3 * 4 * 5)[47]) / 2**32  # of row 1 of head 2 in sequence 0
    kept = weights(4, 5, rate=rate, key=key) != 0
    with backend("reference"):
        assert kept[0, 2, 1, 2] and np.array_equal(kept, weights(4, 5, rate=rate, key=key) != 0)


# ------------------------------------------------------------------------------------------------------- what is saved


def test_the_weights_are_not_kept(rng):
    """What is saved grows with the keys, not with queries times keys: that is what the tiles are for."""
    q, k, v = rng.normal(size=(3, 1, 1, 2000, 2))
    _, saved = attention(q, k, v)
    given, *_, y, m, l = saved.values
    assert y.nbytes + m.nbytes + l.nbytes == 8 * 2000 * 4
    assert sum(array.nbytes for array in given if isinstance(array, np.ndarray)) == 8 * 2000 * 2 * 3


@pytest.mark.parametrize("n", [0, 1, 2, 5, 12])
@pytest.mark.parametrize("threads", [1, 2, 3, 8])
def test_groups_of_heads_are_cut_into_parts_that_cover_them(n, threads):
    with workers(threads):
        parts, alone = kernel.parts(n, kernel.MANY + 1), kernel.parts(n, kernel.MANY)
    assert [i for part in parts for i in range(part.start, part.stop)] == list(range(n))
    assert alone == [slice(0, n)][: min(n, 1)]
    sizes = [part.stop - part.start for part in parts]
    assert len(parts) == min(n, threads) and max(sizes, default=0) - min(sizes, default=0) <= 1
