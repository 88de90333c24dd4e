"""What must hold of the encoder-decoder Transformer beyond what holds of everything: its padding, its decoding."""

from dataclasses import FrozenInstanceError, replace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from minitransformer.blocks import post_norm_decoder_layer, post_norm_layer, pre_norm_decoder_layer, pre_norm_layer
from minitransformer.convention import fold
from minitransformer.gradcheck import Draw
from minitransformer.models import PreNormTransformer, Transformer
from minitransformer.ops import dropout, layer_norm, linear, relu, sinusoidal_positions
from minitransformer.trees import leaves, tree_map

from ..arrays import bytes_of, same_bits
from .encoder_decoders import (
    V,
    W,
    check_beams_change_places,
    check_decoding_writes_to_nothing_else,
    check_every_token_matters,
    check_no_mask_is_a_mask_of_ones,
    check_padding_is_nothing,
    check_rows_one_by_one,
    check_steps_are_the_forward,
    close,
    close_trees,
    draw_batch,
    draw_dlogits,
    draw_p,
    mask_of,
    run,
    up_to,
)
from .test_gpt2 import Weightless

SMALL = {"vocab_size": V, "n_layers": 2, "n_heads": 2, "d_model": 6, "d_ff": 10, "dropout_rate": 0.2}
MODELS = {
    f"{kind.__name__}, {name}": kind(**SMALL, **more)
    for kind in (Transformer, PreNormTransformer)
    for name, more in {"shared": {}, "unshared": {"shared": False, "target_vocab_size": W}}.items()
}
every_model = pytest.mark.parametrize("model", MODELS.values(), ids=MODELS)
seeds = st.integers(0, 2**32 - 1)
pieces = st.lists(st.integers(1, 4), min_size=1, max_size=5)


def formula(model, p, source, target, mask, key):
    """What its file says, layer by layer, dropout on the embeddings and in the layers."""
    how = {"n_heads": 2, "activation": relu, "dropout_rate": 0.2}
    before = isinstance(model, PreNormTransformer)
    encoder_layer, decoder_layer = (
        (pre_norm_layer, pre_norm_decoder_layer) if before else (post_norm_layer, post_norm_decoder_layer)
    )

    def embed(name, ids, i):
        h = sinusoidal_positions(6**0.5 * p[name]["weight"][ids])[0]
        return dropout(h, rate=0.2, key=fold(key, i))[0]

    def last(name, h):
        return layer_norm(p[name], h)[0] if before else h

    source_table, target_table, head = model.tables
    memory, h = embed(source_table, source, 0), embed(target_table, target, 2)
    for i, layer in enumerate(p["encoder"]):
        memory = encoder_layer(layer, memory, mask=mask, key=fold(fold(key, 1), i), **how)[0]
    memory = last("encoder_norm", memory)
    for i, layer in enumerate(p["decoder"]):
        h = decoder_layer(layer, h, memory, memory_mask=mask, key=fold(fold(key, 3), i), **how)[0]
    return linear(p[head], last("decoder_norm", h))[0]


@every_model
def test_the_formula(model, rng):
    draw = Draw(rng)
    p, source, target, mask = draw_p(model, rng), draw.ids(V, 3, 5), draw.ids(W, 3, 4), draw.padding(3, 5)
    for key in (None, draw.key()):
        close(
            model.forward(p, source, target, source_mask=mask, key=key)[0], formula(model, p, source, target, mask, key)
        )


# -------------------------------------------------------------------------------------------------------- padding


@every_model
@given(seed=seeds)
def test_a_batch_of_unequal_lengths_is_its_rows_one_by_one(model, seed):
    check_rows_one_by_one(model, seed)


@every_model
@given(seed=seeds)
def test_what_stands_in_the_padding_is_nothing(model, seed):
    check_padding_is_nothing(model, seed)


@every_model
@given(seed=seeds, data=st.data())
def test_every_token_of_a_source_moves_every_output_of_its_row_and_no_other(model, seed, data):
    check_every_token_matters(model, seed, lambda n: data.draw(st.integers(0, n - 1)))


@every_model
@given(seed=seeds)
def test_permuting_the_batch_permutes_the_outputs(model, seed):
    rng = np.random.default_rng(seed)
    p, (source, real, target, _) = draw_p(model, rng), draw_batch(rng)
    dlogits, order = draw_dlogits(model, rng, target), rng.permutation(len(source))
    logits, g = run(model, p, source, target, dlogits, source_mask=mask_of(real))
    args = source[order], target[order], dlogits[order]
    permuted, g_permuted = run(model, p, *args, source_mask=mask_of(real[order]))
    close(permuted, logits[order])
    close_trees(g_permuted, g)


@every_model
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_sources_of_nothing_but_padding(model, dtype, rng):
    """Finite numbers. The encoder, which nobody heard, feels exactly nothing; the decoder goes on without it."""
    p = tree_map(dtype, draw_p(model, rng))
    source, target = rng.integers(0, V, (3, 4)), rng.integers(0, W, (3, 5))
    dlogits = draw_dlogits(model, rng, target).astype(dtype)
    logits, g = run(model, p, source, target, dlogits, source_mask=np.zeros((3, 1, 1, 4), bool), key=Draw(rng).key())
    assert np.isfinite(logits).all()
    for path, leaf in leaves(g):
        assert np.isfinite(leaf).all(), path
        if path.startswith("encoder") or (path.startswith("source") and not model.shared):
            assert not leaf.any(), path
        if path.endswith(("cross_attention.out.bias", "down.weight")) and path.startswith("decoder"):
            assert leaf.any(), path


@every_model
def test_no_mask_is_a_mask_of_ones(model, rng):
    check_no_mask_is_a_mask_of_ones(model, rng)


# ------------------------------------------------------------------------------------------------------- decoding


@every_model
@given(seed=seeds, pieces=pieces, data=st.data())
def test_steps_of_any_length_are_the_forward(model, seed, pieces, data):
    check_steps_are_the_forward(model, seed, pieces, lambda masks: data.draw(st.sampled_from(masks)))


@every_model
@pytest.mark.parametrize("masked", [True, False])
def test_beams_change_places(model, masked, rng):
    check_beams_change_places(model, masked, rng)


@every_model
def test_one_mask_for_all_beams(model, rng):
    """A mask of one row serves every row, also after the beams have changed places."""
    p, source, target = draw_p(model, rng), rng.integers(0, V, (2, 4)), rng.integers(0, W, (2, 3))
    mask = mask_of(up_to(np.array([3]), 4))
    caches = model.start(p, source, source_mask=mask, length=3)
    for cache in caches:
        cache.reorder([1, 0])
    close(model.step(p, target, caches), model.forward(p, source[::-1], target, source_mask=mask)[0][:, -1])


@every_model
@pytest.mark.parametrize("begin, more", [(5, 1), (3, 3), (0, 6)])
def test_a_step_beyond_the_room_changes_nothing(model, begin, more, rng):
    p, source, target = draw_p(model, rng), rng.integers(0, V, (2, 4)), rng.integers(0, W, (2, 6))
    caches = model.start(p, source, length=5)
    if begin:
        model.step(p, target[:, :begin], caches)
    with pytest.raises(ValueError, match=f"{begin + more} positions do not fit a cache with room for 5"):
        model.step(p, target[:, begin:], caches)
    assert [cache.length for cache in caches] == [begin, begin]
    if begin < 5:
        close(model.step(p, target[:, begin:5], caches), model.forward(p, source, target[:, :5])[0][:, -1])


@every_model
def test_decoding_writes_to_nothing_but_its_caches(model, rng):
    first, *_ = check_decoding_writes_to_nothing_else(model, rng)
    assert first.k.dtype == np.float32


# -------------------------------------------------------------------------------------------------- its parameters


class WeightlessToo(Weightless):
    def uniform(self, low, high, shape):
        return self.normal(0, 1, shape)


def count(model):
    return sum(leaf.size for _, leaf in leaves(model.init(WeightlessToo())))


@pytest.mark.parametrize(
    "more, number",
    [({}, 63_082_496), ({"n_heads": 16, "d_model": 1024, "d_ff": 4096}, 214_245_376)],
    ids=["base", "big"],
)
def test_the_published_sizes(more, number):
    """Table 3 says 65 million and 213 million, of a vocabulary of about 37,000."""
    model = Transformer(**more)
    D, F, N = model.d_model, model.d_ff, model.n_layers
    attention, feed_forward, norm = 4 * (D * D + D), (F * D + F) + (D * F + D), 2 * D
    encoder, decoder = attention + feed_forward + 2 * norm, 2 * attention + feed_forward + 3 * norm
    assert count(model) == number == 37000 * D + N * (encoder + decoder)
    assert count(PreNormTransformer(**more)) == number + 2 * norm
    assert count(replace(model, shared=False, target_vocab_size=100)) == number + 200 * D


def test_the_defaults_are_the_base_model():
    assert Transformer() == Transformer(
        37000, n_layers=6, n_heads=8, d_model=512, d_ff=2048, dropout_rate=0.1, shared=True
    )


@pytest.mark.parametrize("kind", [Transformer, PreNormTransformer])
@pytest.mark.parametrize("shared", [True, False])
def test_where_parameters_start(kind, shared, rng):
    """Within five deviations of each estimate; uniform numbers reach their limits, and stay within."""
    model = kind(vocab_size=200, n_layers=2, n_heads=2, d_model=32, d_ff=50, shared=shared)
    p = model.init(rng, np.float64)
    tables = {"source"} if shared else {"source", "target", "head"}
    last_norms = {"encoder_norm", "decoder_norm"} if kind is PreNormTransformer else set()
    assert p.keys() == tables | last_norms | {"encoder", "decoder"}
    for path, leaf in leaves(p):
        if "norm" in path:
            assert (leaf == (1 if path.endswith("weight") else 0)).all(), path
        elif path.endswith("bias"):
            assert not leaf.any(), path
        elif path.split(".")[0] in tables:
            assert leaf.shape == (200, 32)
            assert abs(leaf.std() * np.sqrt(32) - 1) < 5 / np.sqrt(2 * leaf.size), path
        else:
            limit = np.sqrt(6 / sum(leaf.shape))
            assert 0.98 * limit < np.abs(leaf).max() <= limit, path
            assert abs(leaf.std() * np.sqrt(3) / limit - 1) < 5 / np.sqrt(2 * leaf.size), path
            assert abs(leaf.mean()) < 5 * leaf.std() / np.sqrt(leaf.size), path


@every_model
def test_the_same_seed_gives_the_same_parameters_in_either_precision(model):
    a, b, single = (model.init(np.random.default_rng(3), *dtype) for dtype in ([np.float64], [np.float64], []))
    assert same_bits(a, b)
    assert same_bits(tree_map(np.float32, a), single)


@every_model
def test_no_two_parameters_share_memory_or_value(model, rng):
    p = model.init(rng)
    assert bytes_of(p) == sum(leaf.nbytes for _, leaf in leaves(p))
    drawn = [leaf.ravel()[:6].tobytes() for path, leaf in leaves(p) if leaf.ndim == 2]
    assert len(set(drawn)) == len(drawn)


@every_model
def test_dropout_is_on_with_a_key_and_only_then(model, rng):
    p, source, target = draw_p(model, rng), rng.integers(0, V, (2, 4)), rng.integers(0, W, (2, 5))
    key, evaluated = Draw(rng).key(), model.forward(p, source, target)[0]
    assert np.array_equal(evaluated, model.forward(p, source, target)[0])
    assert not np.array_equal(evaluated, model.forward(p, source, target, key=key)[0])
    assert not np.array_equal(
        model.forward(p, source, target, key=fold(key, 0))[0], model.forward(p, source, target, key=key)[0]
    )
    assert np.array_equal(evaluated, replace(model, dropout_rate=0.0).forward(p, source, target, key=key)[0])


@every_model
def test_dropout_falls_where_the_paper_puts_it(model, rng):
    """Section 5.4: on the sums of embeddings and positions, on what each sub-layer says, and not on the weights."""
    p, source, target = draw_p(model, rng), rng.integers(0, V, (2, 4)), rng.integers(0, W, (2, 5))
    _, saved = model.forward(p, source, target, key=Draw(rng).key())
    layers = [*saved["encoder"], *saved["decoder"]]
    dropped = [part[name] for part in (saved["source"], saved["target"], *layers) for name in part if "dropout" in name]
    assert [kept is not None for kept, _ in (part.values for part in dropped)] == [True] * (1 + 1 + 2 * 2 + 2 * 3)
    attended = [layer[name]["attend"] for layer in layers for name in ("attention", "cross_attention") if name in layer]
    assert [kept for *_, kept, _ in (part.values for part in attended)] == [None] * (2 + 2 * 2)


# ------------------------------------------------------------------------------------------------- what cannot be


@pytest.mark.parametrize("kind", [Transformer, PreNormTransformer])
@pytest.mark.parametrize(
    "more, words",
    [
        ({"n_heads": 5, "d_model": 64}, "n_heads=5 does not divide d_model=64"),
        ({"vocab_size": 0}, "vocab_size must be at least 1, not 0"),
        ({"target_vocab_size": 0, "shared": False}, "target_vocab_size must be at least 1, not 0"),
        ({"n_layers": -1}, "n_layers must be at least 1, not -1"),
        ({"n_heads": 0}, "n_heads must be at least 1, not 0"),
        ({"d_model": 0}, "d_model must be at least 1, not 0"),
        ({"d_ff": 0}, "d_ff must be at least 1, not 0"),
        ({"dropout_rate": 1.0}, "a dropout rate must be at least 0 and below 1, not 1.0"),
        ({"target_vocab_size": 12}, "one shared table needs one vocabulary"),
    ],
)
def test_configurations_that_cannot_be(kind, more, words):
    with pytest.raises(ValueError, match=words):
        kind(**SMALL | more)


def test_a_configuration_does_not_change():
    with pytest.raises(FrozenInstanceError):
        Transformer().n_layers = 3


def zeros(*shape):
    return np.zeros(shape, int)


@pytest.mark.parametrize(
    "source, target, mask, words",
    [
        (zeros(2, 3) + V, zeros(2, 4), None, "ids range from 11 to 11, outside the vocabulary of 11"),
        (zeros(2, 3), zeros(2, 4) + W, None, "ids range from 7 to 7, outside the vocabulary of 7"),
        (zeros(2, 3) - 1, zeros(2, 4), None, "ids range from -1 to -1, outside the vocabulary of 11"),
        (zeros(3), zeros(2, 4), None, r"x has shape \(3, 6\), expected \(B T D\)"),
        (zeros(3, 3), zeros(2, 4), None, r"k has shape \(3, 2, 3, 3\), expected \(B G S K\) with B = 2"),
        (zeros(2, 3), zeros(2, 4), np.ones((2, 1, 1, 4), bool), r"mask has shape \(2, 1, 1, 4\), expected .* S = 3"),
        (zeros(2, 3), zeros(2, 4), np.ones((2, 3), bool), r"mask has shape \(2, 3\), expected"),
    ],
)
def test_what_does_not_fit(source, target, mask, words, rng):
    model = MODELS["Transformer, unshared"]
    with pytest.raises(ValueError, match=words):
        model.forward(draw_p(model, rng), source, target, source_mask=mask)
