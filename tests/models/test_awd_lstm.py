"""AWD-LSTM: what is dropped and for how long, what is remembered, and the classifier on top of it."""

from dataclasses import replace

import numpy as np
import pytest

from minitransformer.convention import fold
from minitransformer.gradcheck import Draw
from minitransformer.models import AWDLSTM, ULMFiT
from minitransformer.ops import lstm
from minitransformer.training.language_model_losses import carried_next_token_loss
from minitransformer.trees import leaves

from ..arrays import same_bits

MODEL = AWDLSTM(vocab_size=11, n_layers=3, d_model=5, d_hidden=7)
KEY = np.random.SeedSequence(4)


@pytest.fixture
def p(rng):
    return Draw(rng).perturbed(MODEL.init(rng, np.float64))


@pytest.fixture
def ids(rng):
    return rng.integers(0, 11, (3, 8))


def only(**rates):
    """The model with these rates, and none of the others"""
    none = dict.fromkeys(("word_rate", "input_rate", "hidden_rate", "output_rate", "weight_rate"), 0.0)
    return replace(MODEL, **none | rates)


def logits(model, p, ids, *states, **how):
    return model.forward(p, ids, *states, **how)[0][0]


# ------------------------------------------------------------------------------------------------------------- dropout


def test_evaluation_is_three_lstms_one_upon_the_other(p, ids):
    h = p["token"]["weight"][ids]
    for layer in p["layers"]:
        (h, *_), _ = lstm(layer, h)
    np.testing.assert_allclose(logits(MODEL, p, ids), h @ p["token"]["weight"].T, rtol=1e-12)
    assert same_bits(MODEL.forward(p, ids)[0], MODEL.forward(p, ids)[0])


@pytest.mark.parametrize("name", ["word_rate", "input_rate", "hidden_rate", "output_rate", "weight_rate"])
def test_each_rate_drops_something_else(name, p, ids):
    """And a key without a rate nothing."""
    expected = logits(MODEL, p, ids)
    assert np.array_equal(logits(only(), p, ids, key=KEY), expected)
    model = only(**{name: 0.5})
    assert not np.allclose(logits(model, p, ids, key=KEY), expected)
    assert not np.allclose(logits(model, p, ids, key=KEY), logits(model, p, ids, key=fold(KEY, 0)))
    assert np.array_equal(logits(model, p, ids), expected)


def test_a_dropped_word_is_gone_wherever_it_stands_and_the_head_still_knows_it(p, ids):
    model = only(word_rate=0.5)
    _, saved = model.forward(p, ids, key=KEY)
    table = saved["token"].values[1]
    gone = ~table.any(1)
    assert gone.any() and not gone.all()
    np.testing.assert_allclose(table[~gone], 2 * p["token"]["weight"][~gone])
    assert logits(model, p, ids, key=KEY)[..., gone].std() > 0


def test_the_same_units_are_dropped_at_every_step(p, ids):
    _, saved = only(input_rate=0.5, hidden_rate=0.5).forward(p, ids, key=KEY)
    for part in (saved["input"], *(layer["dropout"] for layer in saved["layers"][1:])):
        kept, _ = part.values
        assert kept.shape[:2] == (3, 1) and 0 < kept.mean() < 1
    masks = [layer["dropout"].values[0] for layer in saved["layers"][1:]]
    assert not np.array_equal(*masks)


# ---------------------------------------------------------------------------------------------------------- its memory


def test_what_one_piece_ends_with_the_next_begins_with(p, ids):
    (whole, *last), _ = MODEL.forward(p, ids)
    (first, *states), _ = MODEL.forward(p, ids[:, :5])
    (second, *end), _ = MODEL.forward(p, ids[:, 5:], *states)
    np.testing.assert_allclose(np.concatenate([first, second], 1), whole, rtol=1e-12)
    assert all(np.allclose(a, b, rtol=1e-12) for a, b in zip(end, last, strict=True)) and len(end) == 6


def test_no_token_sees_a_later_one(p, ids):
    before = logits(MODEL, p, ids)
    for t in range(8):
        other = ids.copy()
        other[:, t] = (other[:, t] + 1) % 11
        after = logits(MODEL, p, other)
        assert np.array_equal(after[:, :t], before[:, :t])
        assert (np.abs(after[:, t:] - before[:, t:]).max((0, 2)) > 1e-9).all()


def test_padding_changes_nothing(p, ids):
    n = np.array([8, 3, 5])
    mask = np.arange(8) < n[:, None]
    (found, *last), _ = MODEL.forward(p, ids, mask=mask)
    for row, length in enumerate(n):
        (alone, *end), _ = MODEL.forward(p, ids[row : row + 1, :length])
        np.testing.assert_allclose(found[row, :length], alone[0], rtol=1e-12)
        assert all(np.allclose(a[row], b[0], rtol=1e-12) for a, b in zip(last, end, strict=True))


def test_a_gradient_ends_where_a_piece_ends(p, ids, rng):
    """What is felt of the second piece alone, and no longer what the whole would have felt."""
    loss, targets = carried_next_token_loss(MODEL), rng.integers(0, 11, (3, 8))
    (_, *states), _ = loss(p, ids[:, :5], targets[:, :5])
    (value, *_), saved = loss(p, ids[:, 5:], targets[:, 5:], *states)
    *dstates, g = loss.backward(1.0, *[None] * 6, saved)
    assert all(part.any() for part in dstates)  # it would have gone on here
    late = np.where(np.arange(8) < 5, -100, targets)
    (whole, *_), saved = loss(p, ids, late)
    *_, g_whole = loss.backward(1.0, *[None] * 6, saved)
    assert value == pytest.approx(whole, rel=1e-12)
    assert not np.allclose(g["layers"][0]["input"]["weight"], g_whole["layers"][0]["input"]["weight"])


def test_states_that_do_not_fit(p, ids):
    _, *states = MODEL.forward(p, ids)[0]
    with pytest.raises(ValueError, match="AWDLSTM: 4 states, expected h and c of 3 layers"):
        MODEL.forward(p, ids, *states[:4])
    with pytest.raises(ValueError, match=r"lstm: h has shape \(3, 5\)"):
        MODEL.forward(p, ids, *states[::-1])


@pytest.mark.parametrize("wrong", [{"n_layers": 0}, {"d_hidden": 1.5}, {"weight_rate": 1.0}, {"frozen": 4}])
def test_settings_that_make_no_sense(wrong):
    with pytest.raises(ValueError, match=f"{next(iter(wrong))}|a dropout rate"):
        replace(MODEL, **wrong)


# ------------------------------------------------------------------------------------------------------ the classifier


CLASSIFIER = ULMFiT(MODEL, n_classes=4)


@pytest.fixture
def q(rng):
    return Draw(rng).perturbed(CLASSIFIER.init(rng, np.float64))


def classes(q, ids, mask=None, **how):
    return CLASSIFIER.forward(q, ids, mask=None if mask is None else mask[:, None, None], **how)[0]


def test_what_stands_behind_a_text_changes_nothing(q, ids):
    """Neither its last state, nor its highest, nor its mean."""
    n = np.array([8, 3, 5])
    mask = np.arange(8) < n[:, None]
    found = classes(q, ids, mask)
    other = np.where(mask, ids, (ids + 1) % 11)
    assert np.array_equal(classes(q, other, mask), found)
    for row, length in enumerate(n):
        np.testing.assert_allclose(found[row], classes(q, ids[row : row + 1, :length])[0], rtol=1e-12)
    assert not np.allclose(found, classes(q, ids))


def test_every_token_is_felt(q, ids):
    before = classes(q, ids)
    for t in range(8):
        other = ids.copy()
        other[:, t] = (other[:, t] + 1) % 11
        assert (np.abs(classes(q, other) - before).max(1) > 1e-9).all()


@pytest.mark.parametrize("frozen", [0, 1, 2, 3])
def test_what_is_frozen_has_no_gradient_and_the_rest_the_same(frozen, q, ids, rng):
    thawed, dy = replace(CLASSIFIER, body=replace(MODEL, frozen=frozen)), rng.normal(size=(3, 4))
    y, saved = thawed.forward(q, ids, key=KEY)
    expected, saved_all = CLASSIFIER.forward(q, ids, key=KEY)
    assert np.array_equal(y, expected)
    g, g_all = (dict(leaves(each)) for each in (thawed.backward(dy, saved), CLASSIFIER.backward(dy, saved_all)))
    below = ("body.token.", *(f"body.layers.{i}." for i in range(frozen))) if frozen else ()
    kept = {path: leaf for path, leaf in g_all.items() if not path.startswith(below or "-")}
    assert same_bits(kept, {path: leaf for path, leaf in g.items() if not isinstance(leaf, dict)})


@pytest.mark.parametrize("shape", [lambda B, T: (B, T), lambda B, T: (B, 1, T, T), lambda B, T: (B, 1, 1, T + 1)])
def test_a_mask_of_another_shape_is_refused(q, ids, shape):
    with pytest.raises(ValueError, match="ULMFiT: mask has shape .*, expected"):
        CLASSIFIER.forward(q, ids, mask=np.ones(shape(*ids.shape), bool))


def test_an_lstm_knows_of_no_types(q, ids):
    classes(q, ids, types=np.zeros_like(ids))
    with pytest.raises(ValueError, match="ULMFiT: an LSTM reads one text"):
        classes(q, ids, types=np.ones_like(ids))
