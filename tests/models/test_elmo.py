"""ELMo: neither direction sees what it is to say, both see all the rest, and one word is two vectors."""

from dataclasses import replace

import numpy as np
import pytest

from minitransformer.blocks import character_cnn
from minitransformer.gradcheck import Case, Draw, check
from minitransformer.gradcheck.cases.transfer import tiny_elmo
from minitransformer.models import ELMo
from minitransformer.ops import lstm
from minitransformer.training.language_model_losses import both_ways_loss
from minitransformer.training.parallel import cut, value_and_gradient
from minitransformer.trees import leaves

from ..arrays import same_bits

T, W = 6, 5
MODEL = ELMo(n_characters=9, vocab_size=7, d_character=3, filters=((1, 4), (2, 5), (3, 4)), n_highway=1, d_model=6)


@pytest.fixture
def p(rng):
    return Draw(rng).perturbed(MODEL.init(rng, np.float64))


@pytest.fixture
def text(rng):
    """characters (B, T, W), and which are there"""
    return rng.integers(0, 9, (2, T, W)), np.arange(W) < rng.integers(2, W + 1, (2, T))[..., None]


def other_word(characters, t):
    """The same text, but for another word at t."""
    other = characters.copy()
    other[:, t] = (other[:, t] + 1) % 9
    return other


def moved(before, after):
    """(T), how much at each position"""
    return np.abs(after - before).max((0, 2))


def test_neither_direction_sees_what_it_is_to_say(p, text):
    """The one never a later word, the other never an earlier one, to the last bit; and each feels all the others."""
    characters, mask = text
    before, _ = MODEL.forward(p, characters, mask=mask)
    for t in range(T):
        after, _ = MODEL.forward(p, other_word(characters, t), mask=mask)
        forward, backward = map(moved, before, after)
        assert not forward[:t].any() and (forward[t:] > 1e-10).all()
        assert not backward[t + 1 :].any() and (backward[: t + 1] > 1e-10).all()


def test_every_layer_but_the_bare_tokens_knows_both_sides(p, text):
    characters, mask = text
    before, _ = MODEL.hidden(p, characters, mask=mask)
    assert before.shape == (3, 2, T, 12) and np.array_equal(before[0, ..., :6], before[0, ..., 6:])
    for t in range(T):
        after, _ = MODEL.hidden(p, other_word(characters, t), mask=mask)
        bare, *layers = (moved(*pair) for pair in zip(before, after))
        assert bare[t] > 1e-6 and not np.delete(bare, t).any()
        assert all((layer > 1e-10).all() for layer in layers)


def test_as_it_is_published(p, text):
    """Two LSTMs from each side, the second added to the first; one map to the words."""
    characters, mask = text
    x, _ = character_cnn(p["token"], characters, mask=mask, activation=MODEL.activation)
    found, _ = MODEL.forward(p, characters, mask=mask)
    for logits, way in zip(found, ("forward", "backward"), strict=True):
        (first, *_), _ = lstm(p[way][0], x, reverse=way == "backward")
        (second, *_), _ = lstm(p[way][1], first, reverse=way == "backward")
        expected = (first + second) @ p["head"]["weight"].T + p["head"]["bias"]
        np.testing.assert_allclose(logits, expected, rtol=1e-12, atol=1e-13)


def test_the_same_word_in_another_place_is_another_vector(p, text):
    """But the bare token is not."""
    characters, mask = text
    characters, mask = characters.copy(), mask.copy()
    characters[:, 4], mask[:, 4] = characters[:, 1], mask[:, 1]
    bare, first, second = MODEL.hidden(p, characters, mask=mask)[0]
    assert np.array_equal(bare[:, 1], bare[:, 4])
    assert np.abs(first[:, 1] - first[:, 4]).max() > 1e-3 and np.abs(second[:, 1] - second[:, 4]).max() > 1e-3


def test_padding_changes_nothing(p, text):
    """Words without characters behind a text, and room behind the characters of a word."""
    characters, mask = text
    more, there = np.full((2, T + 2, W + 3), 3), np.zeros((2, T + 2, W + 3), bool)
    more[:, :T, :W], there[:, :T, :W] = characters, mask
    padded, expected = MODEL.forward(p, more, mask=there)[0], MODEL.forward(p, characters, mask=mask)[0]
    for found, known in zip(padded, expected, strict=True):
        np.testing.assert_allclose(found[:, :T], known, rtol=1e-11, atol=1e-12)


def test_evaluation_is_the_same_every_time_and_training_is_not(p, text):
    characters, mask = text
    again = [MODEL.forward(p, characters, mask=mask, key=key)[0] for key in (None, None, np.random.SeedSequence(1))]
    assert same_bits(again[0], again[1]) and not np.allclose(again[0][0], again[2][0])


def test_every_layer_is_felt_by_what_is_below_it():
    """Where a task reads all layers, as a mixture does: every gradient beside finite differences."""
    rng = np.random.default_rng(0)
    model, p, characters, mask = tiny_elmo(Draw(rng))
    body = {name: part for name, part in p.items() if name != "head"}
    static = {"mask": mask, "key": np.random.SeedSequence(1)}
    of_hidden = Case(model.hidden, model.hidden_backward, {"p": body, "characters": characters}, static, (), (1, 1))
    gradients = check(of_hidden, np.float64, rng, 1e-6)
    assert len(gradients) == 27 and all(gradient.passed for gradient in gradients)


@pytest.mark.parametrize("key", [None, np.random.SeedSequence(2)], ids=["evaluation", "training"])
def test_the_terms_of_the_loss_are_half_of_each_ways_mean(key, p, text, rng):
    characters, mask = text
    after, before = rng.integers(0, 7, (2, 2, T))
    after[:, -1] = before[:, 0] = before[0] = -100
    loss, _ = both_ways_loss(MODEL)(p, characters, mask, after, before, key=key)
    logits, _ = MODEL.forward(p, characters, mask=mask, key=key)
    expected = []
    for z, targets in zip(logits, (after, before)):
        chances = np.exp(z) / np.exp(z).sum(-1, keepdims=True)
        said = [-np.log(chances[at][targets[at]]) for at in np.ndindex(targets.shape) if targets[at] >= 0]
        expected.append(np.mean(said))
    assert loss == pytest.approx(np.array(expected) / 2, rel=1e-11)
    assert both_ways_loss(MODEL).count(characters, mask, after, before) == (2 * (T - 1), T - 1)


def test_a_batch_in_pieces_is_the_batch(p, text, rng):
    """Where one way has more targets in a piece than the other, the two means are weighted differently."""
    after, before = rng.integers(0, 7, (2, 2, T))
    after[0, 1:] = before[1, :-1] = -100
    loss, whole = both_ways_loss(MODEL), (*text, after, before)
    terms, saved = loss(p, *whole)
    value, g = value_and_gradient(loss, p, cut(whole, 2))
    assert value == pytest.approx(sum(terms), rel=1e-13)
    for (path, a), (_, b) in zip(leaves(g), leaves(loss.backward(1.0, 1.0, saved)), strict=True):
        assert np.abs(a - b).max() <= 1e-13, path


@pytest.mark.parametrize("wrong", [{"n_layers": 0}, {"filters": ((0, 3),)}, {"filters": ()}, {"dropout_rate": 1.0}])
def test_settings_that_make_no_sense(wrong):
    with pytest.raises(ValueError, match="n_layers|a filter's width|there is no filter|a dropout rate"):
        replace(MODEL, **wrong)
