"""The feed-forward network, the two kinds of layer, layers of layers, and layers that run again in the backward."""

import inspect

import numpy as np
import pytest

from minitransformer.blocks import (
    Cache,
    CrossCache,
    feed_forward,
    keys_values,
    llama_layer,
    llama_layer_step,
    multi_head_attention,
    post_norm_decoder_layer,
    post_norm_decoder_layer_step,
    post_norm_layer,
    pre_norm_decoder_layer,
    pre_norm_decoder_layer_step,
    pre_norm_layer,
    pre_norm_layer_step,
    recompute,
    stack,
)
from minitransformer.convention import fold
from minitransformer.gradcheck import Draw
from minitransformer.ops import dropout, gelu_tanh, layer_norm, linear, relu, rms_norm, silu

from ..arrays import arrays_in, bytes_of, same_bits

LAYERS = [pre_norm_layer, post_norm_layer]
each_layer = pytest.mark.parametrize("layer", LAYERS, ids=lambda layer: layer.name)


def close(a, b):
    np.testing.assert_allclose(a, b, rtol=1e-12, atol=1e-13)


@pytest.mark.parametrize("activation", [relu, gelu_tanh, silu], ids=lambda activation: activation.name)
def test_feed_forward_by_hand(activation, rng):
    draw = Draw(rng)
    p, x = draw.feed_forward(4, 7), draw(2, 3, 4)
    expected = linear(p["down"], activation(linear(p["up"], x)[0])[0])[0]
    close(feed_forward(p, x, activation=activation)[0], expected)


def by_hand(layer, p, x, key=None, rate=0.0, attention_rate=0.0, **static):
    """The formula of the file, dropout at its three places."""

    def attention(h):
        how = {"n_heads": 2, "dropout_rate": attention_rate, "key": fold(key, 0)}
        return multi_head_attention(p["attention"], h, h, **how, **static)[0]

    def network(h):
        return feed_forward(p["feed_forward"], h, activation=gelu_tanh)[0]

    def drop(h, i):
        return dropout(h, rate=rate, key=fold(key, i))[0]

    def norm(name, h):
        return layer_norm(p[name], h, eps=1e-3)[0]

    if layer is pre_norm_layer:
        x = x + drop(attention(norm("norm1", x)), 1)
        return x + drop(network(norm("norm2", x)), 2)
    x = norm("norm1", x + drop(attention(x), 1))
    return norm("norm2", x + drop(network(x), 2))


@each_layer
@pytest.mark.parametrize("causal", [False, True])
def test_a_layer_by_hand(layer, causal, rng):
    draw = Draw(rng)
    p, x, mask = draw.layer(6, 5), draw(3, 4, 6), draw.padding(3, 4)
    for more in ({}, {"key": draw.key()}):
        for rate, attention_rate in ((0.3, 0.0), (0.0, 0.3), (0.3, 0.2)):
            how = {"mask": mask, "causal": causal, **more}
            expected = by_hand(layer, p, x, rate=rate, attention_rate=attention_rate, **how)
            rates = {"dropout_rate": rate, "attention_dropout_rate": attention_rate}
            close(layer(p, x, n_heads=2, activation=gelu_tanh, eps=1e-3, **rates, **how)[0], expected)


def decoder_by_hand(layer, p, x, memory, mask, memory_mask, key, rate, attention_rate):
    """The formula of the file, dropout at its five places."""

    def attention(name, h, answers, i, **static):
        how = {"n_heads": 2, "dropout_rate": attention_rate, "key": fold(key, i)}
        return multi_head_attention(p[name], h, answers, **how, **static)[0]

    branches = [
        lambda h: attention("attention", h, h, 0, mask=mask, causal=True),
        lambda h: attention("cross_attention", h, memory, 2, mask=memory_mask),
        lambda h: feed_forward(p["feed_forward"], h, activation=gelu_tanh)[0],
    ]
    for branch, i, drawn in zip(branches, (1, 2, 3), (1, 3, 4)):
        before, after = (layer is each for each in (pre_norm_decoder_layer, post_norm_decoder_layer))
        h = layer_norm(p[f"norm{i}"], x, eps=1e-3)[0] if before else x
        x = x + dropout(branch(h), rate=rate, key=fold(key, drawn))[0]
        x = layer_norm(p[f"norm{i}"], x, eps=1e-3)[0] if after else x
    return x


@pytest.mark.parametrize("layer", [pre_norm_decoder_layer, post_norm_decoder_layer], ids=lambda layer: layer.name)
@pytest.mark.parametrize("rate, attention_rate", [(0.0, 0.0), (0.3, 0.0), (0.0, 0.3), (0.3, 0.2)])
def test_a_decoder_layer_by_hand(layer, rate, attention_rate, rng):
    draw = Draw(rng)
    p, x, memory, key = draw.decoder_layer(6, 5), draw(3, 4, 6), draw(3, 5, 6), draw.key()
    masks = draw.padding(3, 4), draw.padding(3, 5)
    expected = decoder_by_hand(layer, p, x, memory, *masks, key, rate, attention_rate)
    rates = {"dropout_rate": rate, "attention_dropout_rate": attention_rate, "key": key}
    how = {"n_heads": 2, "activation": gelu_tanh, "eps": 1e-3, "mask": masks[0], "memory_mask": masks[1]}
    close(layer(p, x, memory, **how, **rates)[0], expected)


def test_the_three_dropouts_of_a_layer_drop_different_things(rng):
    """One key for all would drop the same columns twice."""
    draw = Draw(rng)
    p, x = draw.layer(6, 5), draw(3, 4, 6)
    _, saved = pre_norm_layer(p, x, n_heads=2, activation=gelu_tanh, dropout_rate=0.5, key=draw.key())
    kept1, kept2 = (saved[name].values[0] for name in ("dropout1", "dropout2"))
    assert kept1.shape == kept2.shape == x.shape and not np.array_equal(kept1, kept2)


@pytest.mark.parametrize(
    "layer", [*LAYERS, pre_norm_decoder_layer, post_norm_decoder_layer], ids=lambda layer: layer.name
)
def test_a_key_without_a_rate_drops_nothing(layer, rng):
    draw = Draw(rng)
    p, x, memory = draw.decoder_layer(6, 5), draw(3, 4, 6), [] if layer in LAYERS else [draw(3, 5, 6)]
    y, drawn = (layer(p, x, *memory, n_heads=2, activation=relu, key=key)[0] for key in (None, draw.key()))
    assert np.array_equal(y, drawn)


@pytest.mark.parametrize("chunks", [(1, 1, 1, 1), (3, 1), (1, 3), (4,)], ids=str)
def test_a_step_of_a_layer_is_the_layer(chunks, rng):
    draw = Draw(rng)
    p, x, cache = draw.layer(6, 5), draw(3, 4, 6), Cache(3, 2, 4, 3, np.float64)
    static = {"n_heads": 2, "activation": silu, "eps": 1e-3}
    pieces = np.split(x, np.cumsum(chunks)[:-1], axis=1)
    y = np.concatenate([pre_norm_layer_step(p, piece, cache, **static) for piece in pieces], 1)
    np.testing.assert_allclose(y, pre_norm_layer(p, x, causal=True, **static)[0], rtol=1e-12, atol=1e-12)


STEPS = {
    llama_layer: llama_layer_step,
    pre_norm_layer: pre_norm_layer_step,
    pre_norm_decoder_layer: pre_norm_decoder_layer_step,
    post_norm_decoder_layer: post_norm_decoder_layer_step,
}


@pytest.mark.parametrize("layer", STEPS, ids=lambda layer: layer.name)
def test_a_step_has_the_defaults_of_its_layer(layer):
    of_layer, of_step = (inspect.signature(each).parameters for each in (layer, STEPS[layer]))
    assert all(of_step[name].default == of_layer[name].default for name in of_step.keys() & of_layer.keys())


def test_a_layer_has_the_eps_of_its_norm():
    eps = {each: inspect.signature(each).parameters["eps"].default for each in (*LAYERS, *STEPS, layer_norm, rms_norm)}
    assert all(eps[layer] == eps[rms_norm if layer is llama_layer else layer_norm] for layer in (*LAYERS, *STEPS))


@pytest.mark.parametrize("layer", [pre_norm_decoder_layer, post_norm_decoder_layer], ids=lambda layer: layer.name)
@pytest.mark.parametrize("chunks", [(1, 1, 1, 1), (3, 1)], ids=str)
def test_a_step_of_a_decoder_layer_is_the_layer(layer, chunks, rng):
    draw = Draw(rng)
    p, x, memory, memory_mask = draw.decoder_layer(6, 5), draw(3, 4, 6), draw(3, 5, 6), draw.padding(3, 5)
    k, v = keys_values(p["cross_attention"], memory, n_heads=2)
    cache, static = CrossCache(3, 2, 4, 3, np.float64, (k, v, memory_mask)), {"n_heads": 2, "activation": silu}
    pieces = np.split(x, np.cumsum(chunks)[:-1], axis=1)
    y = np.concatenate([STEPS[layer](p, piece, cache, eps=1e-3, **static) for piece in pieces], 1)
    close(y, layer(p, x, memory, memory_mask=memory_mask, eps=1e-3, **static)[0])


@pytest.mark.parametrize("chunks", [(1, 1, 1, 1), (3, 1)], ids=str)
def test_a_step_of_llamas_layer_is_the_layer(chunks, rng):
    """Of fewer key/value heads, and queries and keys that are turned."""
    draw = Draw(rng)
    p = draw.layer(8, 5) | {"attention": draw.attention(8, 4, 2), "feed_forward": draw.gated_feed_forward(8, 5)}
    x, cache, t = draw(3, 4, 8), Cache(3, 2, 4, 2, np.float64), 0
    static, y = {"n_heads": 4, "n_kv_heads": 2, "eps": 1e-3}, []
    for piece in np.split(x, np.cumsum(chunks)[:-1], axis=1):
        turn = {"frequencies": np.array([0.7]), "positions": t + np.arange(piece.shape[1])}
        y, t = [*y, llama_layer_step(p, piece, cache, rotary=turn, **static)], t + piece.shape[1]
    turn = {"frequencies": np.array([0.7]), "positions": np.arange(4)}
    close(np.concatenate(y, 1), llama_layer(p, x, rotary=turn, **static)[0])


# --------------------------------------------------------------------------------------------------- layers of layers


def three_layers(rng):
    draw = Draw(rng)
    p = [draw.layer(6, inner) for inner in (5, 4, 7)]
    return p, draw(2, 4, 6), {"n_heads": 2, "activation": gelu_tanh, "causal": True, "dropout_rate": 0.3}, draw


@each_layer
def test_a_stack_is_layer_upon_layer(layer, rng):
    p, x, static, draw = three_layers(rng)
    for key in (None, draw.key()):
        y, saved = stack(layer)(p, x, key=key, **static)
        h, each = x, []
        for i in range(3):
            h, saved_layer = layer(p[i], h, key=fold(key, i), **static)
            each.append(saved_layer)
        assert np.array_equal(y, h)
        dh, g = draw(2, 4, 6), [None] * 3
        dx, g_stack = stack(layer).backward(dh, saved)
        for i in (2, 1, 0):
            dh, g[i] = layer.backward(dh, each[i])
        assert same_bits([dx, g_stack], [dh, g])


def test_a_stack_of_nothing_changes_nothing(rng):
    x = rng.normal(size=(2, 3, 4))
    y, saved = stack(pre_norm_layer)([], x)
    dx, g = stack(pre_norm_layer).backward(x, saved)
    assert np.array_equal(y, x) and np.array_equal(dx, x) and g == []


def test_what_is_shared_needs_a_layer(rng):
    """Or the backward would have no gradient of it, and one result fewer."""
    x = rng.normal(size=(2, 3, 4))
    with pytest.raises(ValueError, match="with it, there must be a layer"):
        stack(pre_norm_decoder_layer)([], x, x)


def test_what_is_shared_lets_no_layer_be_frozen(rng):
    """It feels every layer, the frozen ones too."""
    draw = Draw(rng)
    p, x = [draw.decoder_layer(6, 5)], draw(2, 3, 6)
    with pytest.raises(ValueError, match="feels the frozen ones too"):
        stack(pre_norm_decoder_layer, frozen=1)(p, x, x, n_heads=2, activation=relu)


@each_layer
def test_recomputing_gives_the_same_bits(layer, rng):
    """With dropout too: the key is an argument, and what is run again draws the same."""
    p, x, static, draw = three_layers(rng)
    dy, more = draw(2, 4, 6), {"key": draw.key(), **static}
    ways = [stack(layer), stack(recompute(layer)), recompute(stack(layer)), recompute(recompute(stack(layer)))]
    results = []
    for way in ways:
        y, saved = way(p, x, **more)
        results.append([y, *way.backward(dy, saved)])
        assert same_bits(results[0], results[-1])
    y, saved = stack(layer)(p, x, **more | {"key": draw.key()})
    assert not same_bits(results[0], [y, *stack(layer).backward(dy, saved)])  # dropout was at work


@each_layer
def test_recomputing_keeps_the_inputs_of_the_layers_alone(layer, rng):
    """Beside the parameters, of which nobody makes copies."""
    p, x, static, draw = three_layers(rng)
    key = draw.key()
    _, saved = stack(layer)(p, x, key=key, **static)
    _, saved_less = stack(recompute(layer))(p, x, key=key, **static)
    _, saved_least = recompute(stack(layer))(p, x, key=key, **static)
    assert bytes_of(saved_least, p, x) == 0
    assert bytes_of(saved_less, p, x) == 2 * x.nbytes  # what entered the second layer and the third
    assert bytes_of(saved, p, x) > 10 * bytes_of(saved_less, p, x)
    assert len(arrays_in(saved_less)) == len(arrays_in(p)) + 3


def test_recompute_knows_nothing_of_what_it_wraps(rng):
    """Not how many arguments there are, nor how many gradients."""
    draw = Draw(rng)
    for thing, args, static in (
        (gelu_tanh, [draw(3, 4)], {}),
        (layer_norm, [draw.norm(4), draw(3, 4)], {"eps": 0.1}),
        (multi_head_attention, [draw.attention(4), draw(1, 3, 4), draw(1, 2, 4), None], {"n_heads": 2}),
    ):
        (y, saved), (y_again, saved_again) = thing(*args, **static), recompute(thing)(*args, **static)
        dy = draw(*y.shape)
        again = recompute(thing).backward(dy, saved_again)
        assert same_bits([y, thing.backward(dy, saved)], [y_again, again])
