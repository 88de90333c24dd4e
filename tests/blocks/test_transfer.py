"""Words from characters, highways, mixtures of layers, and recurrent weights of which a part is missing."""

import numpy as np
import pytest

from minitransformer import philox
from minitransformer.blocks import (
    bidirectional,
    character_cnn,
    highway,
    layer_mix,
    layer_mix_backward,
    recurrence,
    weight_dropped,
)
from minitransformer.convention import fold
from minitransformer.gradcheck import Draw
from minitransformer.gradcheck.cases.transfer import character_network
from minitransformer.ops import dropout, gru, lstm, relu, rnn, tanh
from minitransformer.trees import leaves

from ..arrays import same_bits

KEY = np.random.SeedSequence(5)


# ------------------------------------------------------------------------------------------------ words of characters


def spelt(*words, length=8):
    """ids (1, T, W) of words, which of them are there"""
    mask = np.arange(length) < np.array([[len(word)] for word in words])
    return np.array([[ord(c) - 96 for c in word.ljust(length, "`")] for word in words])[None], mask[None]


@pytest.fixture
def p(rng):
    return character_network(Draw(rng), 27, 5, ((1, 4), (2, 5), (4, 6)), 3)


def said(p, ids, mask, activation=relu):
    return character_cnn(p, ids, mask=mask, activation=activation)[0][0]


def test_what_stands_behind_a_word_changes_nothing(p, rng):
    """Not how much room there is, nor what stands there."""
    ids, mask = spelt("a", "abba", "attending", length=9)
    expected = said(p, ids, mask)
    ids, mask = spelt("a", "abba", "attending", length=15)
    np.testing.assert_allclose(said(p, ids, mask), expected, rtol=1e-12, atol=1e-13)
    ids[~mask] = 20
    np.testing.assert_allclose(said(p, ids, mask), expected, rtol=1e-12, atol=1e-13)


def test_a_word_is_the_same_wherever_it_stands(p):
    y = said(p, *spelt("dog", "cat", "dog", "god"))
    assert np.array_equal(y[0], y[2]) and np.abs(y[0] - y[3]).max() > 1e-3 and np.abs(y[0] - y[1]).max() > 1e-3


def test_every_character_is_felt(rng):
    """The last one, too, of which only the shortest windows are full."""
    p = character_network(Draw(rng), 27, 5, ((1, 4), (2, 20), (4, 30)), 3)
    y = said(p, *spelt("abcde", "xbcde", "axcde", "abxde", "abcxe", "abcdx"), activation=tanh)
    assert (np.abs(y[1:] - y[0]).max(1) > 1e-6).all()


@pytest.mark.parametrize(("ids", "mask"), [((2, 3), (2, 3)), ((2, 3, 4), (2, 3)), ((2, 3, 4), (2, 4, 3))])
def test_characters_and_mask_that_do_not_fit(p, ids, mask):
    with pytest.raises(ValueError, match="character_cnn: ids have shape .* and the mask .*, expected"):
        character_cnn(p, np.zeros(ids, int), mask=np.ones(mask, bool), activation=relu)


def test_a_word_without_characters_is_what_the_network_says_of_nothing(p, rng):
    y = said(p, *spelt("", "ab"), activation=tanh)
    h = np.zeros((1, 15))
    for layer in p["highway"]:
        h, _ = highway(layer, h, activation=tanh)
    np.testing.assert_allclose(y[:1], h @ p["out"]["weight"].T + p["out"]["bias"], rtol=1e-12)


# ----------------------------------------------------------------------------------------------------------- highways


@pytest.mark.parametrize("bias, expected", [(-1e3, "x"), (1e3, "f(W x + b)")])
def test_a_gate_that_is_shut_or_open(bias, expected, rng):
    draw = Draw(rng)
    p, x = {"transform": draw.linear(4, 4), "gate": draw.linear(4, 4)}, draw(2, 3, 4)
    p["gate"]["bias"] = np.full(4, bias)
    y, _ = highway(p, x, activation=tanh)
    h = np.tanh(x @ p["transform"]["weight"].T + p["transform"]["bias"])
    np.testing.assert_allclose(y, x if expected == "x" else h, rtol=1e-12)


# ---------------------------------------------------------------------------------------------------- layers in a mix


def test_equal_weights_are_a_mean_and_one_large_weight_is_its_layer(rng):
    h = rng.normal(size=(3, 2, 4, 5))
    y, _ = layer_mix({"weight": np.zeros(3), "scale": np.ones(1)}, h)
    np.testing.assert_allclose(y, h.mean(0), rtol=1e-12, atol=1e-14)
    y, _ = layer_mix({"weight": np.array([0.0, 1e3, 0.0]), "scale": np.array([-2.0])}, h)
    np.testing.assert_allclose(y, -2 * h[1], rtol=1e-12)


def test_adding_to_every_weight_changes_nothing(rng):
    """So what is felt of the weights adds up to nothing."""
    h, w = rng.normal(size=(3, 2, 4)), rng.normal(size=3)
    p = {"weight": w, "scale": np.array([0.7])}
    y, saved = layer_mix(p, h)
    np.testing.assert_allclose(layer_mix({**p, "weight": w + 3}, h)[0], y, rtol=1e-12)
    _, g = layer_mix_backward(rng.normal(size=y.shape), saved)
    assert abs(g["weight"].sum()) < 1e-14 < np.abs(g["weight"]).max()


def test_a_weight_for_every_layer(rng):
    with pytest.raises(ValueError, match=r"layer_mix: h has shape \(2, 3, 4\), expected 3 layers"):
        layer_mix({"weight": np.zeros(3), "scale": np.ones(1)}, rng.normal(size=(2, 3, 4)))


# -------------------------------------------------------------------------------------------------- dropped weights


@pytest.mark.parametrize("cell, gates, states", [(rnn, 1, 1), (gru, 3, 1), (lstm, 4, 2)])
def test_it_is_the_cell_with_other_weights(cell, gates, states, rng):
    draw = Draw(rng)
    p, x, given = draw.cell(gates, 3, 4), draw(2, 5, 3), [draw(2, 4) for _ in range(states)]
    weight, _ = dropout(p["hidden"]["weight"], rate=0.5, key=KEY)
    assert 0 < (weight == 0).sum() < weight.size
    mask = draw.tokens(2, 5)
    dropped = {**p, "hidden": {**p["hidden"], "weight": weight}}
    expected, saved_cell = cell(dropped, x, *given, mask=mask)
    found, saved = weight_dropped(cell)(p, x, *given, weight_rate=0.5, key=KEY, mask=mask)
    assert same_bits(found, expected)
    dy = [rng.normal(size=part.shape) for part in found]
    *dx, g = weight_dropped(cell).backward(*dy, saved)
    *dx_cell, g_cell = cell.backward(*dy, saved_cell)
    assert same_bits(dx, dx_cell)
    g_cell["hidden"]["weight"] = np.where(weight != 0, 2 * g_cell["hidden"]["weight"], 0)
    assert same_bits(dict(leaves(g)), dict(leaves(g_cell)))


def test_a_way_that_is_missing_is_missing_at_every_step(rng):
    """With all but one weight dropped into the unit, no earlier step is felt in it but by that one."""
    draw = Draw(rng)
    p, x = draw.cell(1, 2, 6), draw(1, 7, 2)
    for i in range(50):
        weight, _ = dropout(p["hidden"]["weight"], rate=0.6, key=fold(KEY, i))
        if alone := [u for u in range(6) if not weight[u].any()]:
            break
    (y, _), _ = weight_dropped(rnn)(p, x, weight_rate=0.6, key=fold(KEY, i))
    x = x.copy()
    x[:, 0] += 1
    (other, _), _ = weight_dropped(rnn)(p, x, weight_rate=0.6, key=fold(KEY, i))
    assert np.array_equal(y[:, 1:, alone], other[:, 1:, alone]) and not np.array_equal(y, other)


def test_no_two_runs_of_a_network_draw_alike(rng):
    """Of two layers in both directions, each run drops weights of its own; with x as wide as y, only they differ."""
    draw, seen = Draw(rng), []

    def cell(p, x, *states, **static):
        seen.append(p["hidden"]["weight"] != 0)
        return rnn(p, x, *states, **static)

    p, x = {way: draw.cell(1, 8, 4) for way in ("forward", "backward")}, draw(1, 3, 8)
    recurrence(bidirectional(weight_dropped(cell)))([p, p], x, weight_rate=0.5, key=KEY)
    assert len({mask.tobytes() for mask in seen}) == 4 and 20 < np.sum(seen) < 44


def test_what_goes_up_and_the_weights_are_dropped_by_keys_of_their_own(rng, monkeypatch):
    draw, drawn, words = Draw(rng), [], philox.words
    monkeypatch.setattr(philox, "words", lambda key, n: drawn.append(key.spawn_key) or words(key, n))
    p = [draw.cell(1, 4, 4) for _ in range(3)]
    recurrence(weight_dropped(rnn))(p, draw(2, 3, 4), weight_rate=0.5, dropout_rate=0.5, key=KEY)
    assert len(drawn) == len(set(drawn)) == 5  # the weights of three layers, and what two of them say


def test_without_a_key_it_is_the_cell(rng):
    draw = Draw(rng)
    p, x = draw.cell(4, 3, 4), draw(2, 5, 3)
    assert same_bits(weight_dropped(lstm)(p, x, weight_rate=0.5)[0], lstm(p, x)[0])
