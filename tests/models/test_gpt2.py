from dataclasses import FrozenInstanceError, replace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from minitransformer.convention import fold
from minitransformer.gradcheck import Draw
from minitransformer.models import GPT2
from minitransformer.ops import dropout, embedding, gelu_tanh, layer_norm, learned_positions, linear
from minitransformer.trees import leaves, tree_map

from ..arrays import arrays_in, bytes_of, same_bits

SMALL = GPT2(vocab_size=11, context_length=9, n_layers=2, n_heads=2, d_model=6, dropout_rate=0.2)


def close(a, b):
    np.testing.assert_allclose(a, b, rtol=1e-12, atol=1e-12)


@pytest.fixture
def p(rng):
    return Draw(rng).perturbed(SMALL.init(rng, np.float64))


# ------------------------------------------------------------------------------------------------- its parameters


class Weightless:
    """A generator whose arrays have a shape, and no memory of their own."""

    def normal(self, mean, deviation, shape):
        self.shape = shape
        return self

    def astype(self, dtype):
        return np.broadcast_to(dtype(0), self.shape)


@pytest.mark.parametrize(
    "n_layers, n_heads, d_model, number",
    [
        (12, 12, 768, 124_439_808),
        (24, 16, 1024, 354_823_168),
        (36, 20, 1280, 774_030_080),
        (48, 25, 1600, 1_557_611_200),
    ],
)
def test_the_published_sizes(n_layers, n_heads, d_model, number):
    """The numbers of parameters of the four published checkpoints, tied weights counted once."""
    model = GPT2(n_layers=n_layers, n_heads=n_heads, d_model=d_model)
    assert sum(leaf.size for _, leaf in leaves(model.init(Weightless()))) == number
    assert number == (50257 + 1024 + 2) * d_model + n_layers * d_model * (12 * d_model + 13)


def test_the_defaults_are_the_smallest():
    assert GPT2() == GPT2(50257, context_length=1024, n_layers=12, n_heads=12, d_model=768, dropout_rate=0.1)


@pytest.mark.parametrize("n_layers", [1, 8])
def test_deviations_at_the_start(n_layers, rng):
    """0.02; where a residual branch ends, less by the root of the number of branches. Within five deviations."""
    model = GPT2(vocab_size=200, context_length=50, n_layers=n_layers, n_heads=2, d_model=32)
    ends = ("attention.out.weight", "feed_forward.down.weight")
    for path, leaf in leaves(model.init(rng, np.float64)):
        if "norm" in path:
            assert (leaf == (1 if path.endswith("weight") else 0)).all(), path
        elif path.endswith("bias"):
            assert not leaf.any(), path
        else:
            deviation = 0.02 / np.sqrt(2 * n_layers) if path.endswith(ends) else 0.02
            assert abs(leaf.std() / deviation - 1) < 5 / np.sqrt(2 * leaf.size), path
            assert abs(leaf.mean()) < 5 * deviation / np.sqrt(leaf.size), path


def test_the_same_seed_gives_the_same_parameters_in_either_precision():
    a, b, single = (SMALL.init(np.random.default_rng(3), *dtype) for dtype in ([np.float64], [np.float64], []))
    assert same_bits(a, b)
    assert same_bits(tree_map(np.float32, a), single)


def test_no_two_parameters_share_memory(rng):
    p = SMALL.init(rng)
    assert bytes_of(p) == sum(leaf.nbytes for _, leaf in leaves(p))


@pytest.mark.parametrize(
    "more, words",
    [
        ({"n_heads": 5, "d_model": 64}, "n_heads=5 does not divide d_model=64"),
        ({"vocab_size": 0}, "vocab_size must be at least 1, not 0"),
        ({"context_length": 0}, "context_length must be at least 1, not 0"),
        ({"n_layers": -1}, "n_layers must be at least 1, not -1"),
        ({"n_heads": 0}, "n_heads must be at least 1, not 0"),
        ({"d_model": 0}, "d_model must be at least 1, not 0"),
        ({"dropout_rate": 1.0}, "a dropout rate must be at least 0 and below 1, not 1.0"),
        ({"dropout_rate": -0.1}, "a dropout rate must be at least 0 and below 1, not -0.1"),
    ],
)
def test_configurations_that_cannot_be(more, words):
    with pytest.raises(ValueError, match=words):
        replace(SMALL, **more)


def test_a_configuration_does_not_change():
    with pytest.raises(FrozenInstanceError):
        SMALL.n_layers = 3


# --------------------------------------------------------------------------------------------------- its forward


def test_the_formula(p, rng):
    """What its file says, layer by layer, dropout on the embeddings and in the layers, the head tied."""
    ids = Draw(rng).ids(11, 3, 7)
    for key in (None, Draw(rng).key()):
        h = learned_positions(p["position"], embedding(p["token"], ids)[0])[0]
        h = dropout(h, rate=0.2, key=fold(key, 0))[0]
        h = SMALL.layers(
            p["layers"],
            h,
            key=fold(key, 1),
            n_heads=2,
            activation=gelu_tanh,
            causal=True,
            dropout_rate=0.2,
            attention_dropout_rate=0.2,
        )[0]
        h = layer_norm(p["norm"], h)[0]
        expected = linear({"weight": p["token"]["weight"]}, h)[0]
        assert np.array_equal(SMALL.forward(p, ids, key=key)[0], expected)


def test_the_head_is_the_embedding(p, rng):
    """Also a row that no id asked for feels the loss, through the head."""
    ids = np.array([[1, 2, 1, 3]])
    logits, saved = SMALL.forward(p, ids)
    g = SMALL.backward(rng.normal(size=logits.shape), saved)
    assert g["token"]["weight"].all()
    changed = {
        **p,
        "token": {"weight": p["token"]["weight"] + np.eye(11, 6, -5)},
    }  # rows 5 ... 10, which nobody asked for
    moved = SMALL.forward(changed, ids)[0] != logits
    assert moved[..., 5:].all() and not moved[..., :5].any()


def test_dropout_is_on_with_a_key_and_only_then(p, rng):
    ids, key = Draw(rng).ids(11, 2, 5), Draw(rng).key()
    evaluated, _ = SMALL.forward(p, ids)
    assert np.array_equal(evaluated, SMALL.forward(p, ids)[0])
    assert not np.array_equal(evaluated, SMALL.forward(p, ids, key=key)[0])
    assert not np.array_equal(SMALL.forward(p, ids, key=fold(key, 0))[0], SMALL.forward(p, ids, key=key)[0])
    assert np.array_equal(evaluated, replace(SMALL, dropout_rate=0.0).forward(p, ids, key=key)[0])


def test_recomputing_gives_the_same_bits_and_keeps_less(p, rng):
    ids, key = Draw(rng).ids(11, 3, 7), Draw(rng).key()
    model = replace(SMALL, recompute=True)
    (logits, saved), (again, saved_less) = SMALL.forward(p, ids, key=key), model.forward(p, ids, key=key)
    dlogits = rng.normal(size=logits.shape)
    assert np.array_equal(logits, again)
    assert same_bits(SMALL.backward(dlogits, saved), model.backward(dlogits, saved_less))
    assert bytes_of(saved["layers"], p) > 10 * bytes_of(saved_less["layers"], p)


def test_an_empty_batch(p):
    logits, saved = SMALL.forward(p, np.zeros((0, 4), int))
    assert logits.shape == (0, 4, 11)
    g = SMALL.backward(logits, saved)
    assert [path for path, _ in leaves(g)] == [path for path, _ in leaves(p)]
    assert not any(array.any() for array in arrays_in(g))


def test_default_positions_said_aloud(p, rng):
    ids = Draw(rng).ids(11, 3, 7)
    expected, _ = SMALL.forward(p, ids)
    for positions in (np.arange(7), np.tile(np.arange(7), (3, 1))):
        assert np.array_equal(SMALL.forward(p, ids, positions=positions)[0], expected)
    assert not np.array_equal(SMALL.forward(p, ids, positions=1 + np.arange(7))[0], expected)


@pytest.mark.parametrize(
    "ids, words",
    [
        (np.array([[0, 11]]), "ids range from 0 to 11, outside the vocabulary of 11"),
        (np.array([[-1, 3]]), "ids range from -1 to 3, outside the vocabulary of 11"),
        (np.zeros((2, 10), int), "positions range from 0 to 9, outside the context of 9"),
        (np.zeros(5, int), r"learned_positions: x has shape \(5, 6\), expected \(B T D\)"),
    ],
)
def test_ids_that_do_not_fit(p, ids, words):
    with pytest.raises(ValueError, match=words):
        SMALL.forward(p, ids)


# -------------------------------------------------------------------------------------------------- its decoding


@given(data=st.data())
def test_steps_of_any_length_are_the_forward(data):
    """Whatever the pieces in which the ids come: each step gives the logits after its last position."""
    rng = np.random.default_rng(data.draw(st.integers(0, 2**32 - 1), "seed"))
    p = Draw(rng).perturbed(SMALL.init(rng, np.float64))
    pieces = data.draw(st.lists(st.integers(1, 4), min_size=1).filter(lambda pieces: sum(pieces) <= 9), "pieces")
    B = data.draw(st.integers(1, 3), "B")
    ids = rng.integers(0, 11, (B, sum(pieces)))
    logits, caches = SMALL.forward(p, ids)[0], SMALL.start(p, B)
    for end, piece in zip(np.cumsum(pieces), pieces):
        close(SMALL.step(p, ids[:, end - piece : end], caches), logits[:, end - 1])
        assert [cache.length for cache in caches] == [end, end]


def test_a_step_follows_the_precision_of_the_parameters(rng):
    p = SMALL.init(rng)
    caches = SMALL.start(p, 2)
    assert [cache.k.shape for cache in caches] == [(2, 2, 9, 3)] * 2  # room for the context, and no more
    assert SMALL.step(p, np.array([[1, 2], [3, 3]]), caches).dtype == caches[0].k.dtype == np.float32


@pytest.mark.parametrize("begin, more", [(9, 1), (7, 3), (0, 10)])
def test_a_step_beyond_the_context_changes_nothing(begin, more, p, rng):
    ids, caches = rng.integers(0, 11, (2, 9)), SMALL.start(p, 2)
    if begin:
        SMALL.step(p, ids[:, :begin], caches)
    with pytest.raises(
        ValueError, match=f"outside the context of 9|{begin + more} positions do not fit a cache with room for 9"
    ):
        SMALL.step(p, rng.integers(0, 11, (2, more)), caches)
    assert [cache.length for cache in caches] == [begin, begin]
    if begin < 9:
        close(SMALL.step(p, ids[:, begin:], caches), SMALL.forward(p, ids)[0][:, -1])


def test_beams_change_places(p, rng):
    """After a reorder, row i goes on as if it had had the ids of row rows[i] from the start."""
    ids, rows, caches = rng.integers(0, 11, (3, 6)), np.array([2, 0, 2]), SMALL.start(p, 3)
    SMALL.step(p, ids[:, :5], caches)
    for cache in caches:
        cache.reorder(rows)
    expected = SMALL.forward(p, np.concatenate([ids[rows, :5], ids[:, 5:]], 1))[0][:, -1]
    close(SMALL.step(p, ids[:, 5:], caches), expected)
