"""BERT, those after it, and the heads over them."""

from dataclasses import FrozenInstanceError, replace

import numpy as np
import pytest

from minitransformer.blocks import post_norm_layer
from minitransformer.convention import fold
from minitransformer.gradcheck import Draw
from minitransformer.models import (
    BERT,
    DistilBERT,
    MaskedLanguageModel,
    PreTraining,
    RoBERTa,
    SentenceEncoder,
    SpanFinder,
    TextClassifier,
    TokenClassifier,
)
from minitransformer.ops import dropout, gelu, layer_norm, linear, relu
from minitransformer.trees import leaves

BODY = BERT(vocab_size=13, context_length=9, n_layers=2, n_heads=2, d_model=6, d_ff=10, dropout_rate=0.2)
DISTILLED = DistilBERT(vocab_size=13, context_length=9, n_layers=2, n_heads=2, d_model=6, d_ff=10, dropout_rate=0.2)
LONGER = RoBERTa(
    13, n_positions=13, padding_idx=3, n_types=2, n_layers=2, n_heads=2, d_model=6, d_ff=10, dropout_rate=0.2
)
BODIES = [BODY, DISTILLED, LONGER]


def over(body, **pooler):
    return [
        body,
        MaskedLanguageModel(body),
        TextClassifier(body, 3, **pooler),
        TokenClassifier(body, 3),
        SpanFinder(body, 0.1),
        SentenceEncoder(body),
        SentenceEncoder(body, "first"),
    ]


MODELS = [
    *over(BODY),
    *over(DISTILLED, activation=relu, dropout_rate=0.4),
    *over(LONGER, drops_first=True),
]
SHAPES = [(4, 7, 6), (4, 7, 13), (4, 3), (4, 7, 3), (4, 2, 7), (4, 6), (4, 6)] * len(BODIES)
NAMES = [
    type(getattr(model, "body", model)).__name__ + type(model).__name__ + getattr(model, "pooling", "")
    for model in MODELS
]
every_body = pytest.mark.parametrize("body", BODIES, ids=lambda body: type(body).__name__)
every_model = pytest.mark.parametrize("model", MODELS, ids=NAMES)


def parameters(model, rng):
    return Draw(rng).perturbed(model.init(rng, np.float64))


def close(a, b):
    np.testing.assert_allclose(a, b, rtol=1e-10, atol=1e-11)


def formula(body, p, ids, types, mask, key):
    """What its file says: the embeddings, of which DistilBERT's know no types, their norm, dropout, and the layers."""
    positions = body.positions_of(ids) if isinstance(body, RoBERTa) else np.arange(ids.shape[1])
    h = p["token"]["weight"][ids] + p["position"]["weight"][positions]
    h = h if isinstance(body, DistilBERT) else h + p["type"]["weight"][types]
    h = dropout(layer_norm(p["norm"], h, eps=body.eps)[0], rate=0.2, key=fold(key, 0))[0]
    how = {"n_heads": 2, "activation": gelu, "eps": body.eps, "dropout_rate": 0.2, "attention_dropout_rate": 0.3}
    for i, layer in enumerate(p["layers"]):
        h = post_norm_layer(layer, h, mask=mask, key=fold(fold(key, 1), i), **how)[0]
    return h


@every_body
def test_the_formula(body, rng):
    """And what is said of the masked tokens: a layer of their own, and the body's table."""
    body, draw = replace(body, attention_dropout_rate=0.3), Draw(rng)
    p, ids, types = parameters(MaskedLanguageModel(body), rng), draw.ids(13, 4, 7), draw.ids(2, 4, 7)
    for mask, key in ((None, None), (draw.padding(4, 7), draw.key())):
        h = formula(body, p["body"], ids, types, mask, fold(key, 0))
        close(body.forward(p["body"], ids, types=types, mask=mask, key=fold(key, 0))[0], h)
        h = layer_norm(p["norm"], gelu(linear(p["transform"], h)[0])[0], eps=body.eps)[0]
        expected = h @ p["body"]["token"]["weight"].T + p["table"]["bias"]
        close(MaskedLanguageModel(body).forward(p, ids, types=types, mask=mask, key=key)[0], expected)


@pytest.mark.parametrize("size, number", [((12, 12, 768, 3072), 108_891_648), ((24, 16, 1024, 4096), 334_092_288)])
def test_the_published_sizes(size, number):
    """Of both published models, without the pooler, which is the text classifier's here."""
    L, H, D, F = size

    class Counted:
        def normal(self, mean, deviation, shape):
            self.shape = shape
            return self

        def astype(self, dtype):
            return np.broadcast_to(dtype(0), self.shape)

    def count(model):
        return sum(leaf.size for _, leaf in leaves(model.init(Counted())))

    assert count(BERT(n_layers=L, n_heads=H, d_model=D, d_ff=F)) == number
    assert number == (30522 + 512 + 2 + 2) * D + L * (4 * D * D + 2 * D * F + F + 9 * D)
    assert count(DistilBERT()) == 66_362_880 == (30522 + 512 + 2) * 768 + 6 * (4 * 768**2 + 2 * 768 * 3072 + 9984)


@every_body
def test_some_places_alone(body, rng):
    """What is asked at some places is what all places say there; and what nobody asked, nobody feels."""
    model, ids = MaskedLanguageModel(body), rng.integers(0, 13, (4, 7))
    p, places = parameters(model, rng), np.array([27, 0, 5, 13])
    whole, saved_whole = model.forward(p, ids)
    some, saved = model.forward(p, ids, places=places)
    close(some, whole.reshape(28, 13)[places])
    dsome, dwhole = rng.normal(size=some.shape), np.zeros(whole.shape)
    dwhole.reshape(28, 13)[places] = dsome
    found, expected = dict(leaves(model.backward(dsome, saved))), dict(leaves(model.backward(dwhole, saved_whole)))
    for path, leaf in expected.items():
        close(found[path], leaf)
    with pytest.raises(ValueError, match="range from 0 to 28"):
        model.forward(p, ids, places=np.array([0, 28]))


def test_both_tasks_are_those_of_the_heads_alone(rng):
    """What was masked, as the MaskedLanguageModel of the same parameters says it; the rest, as a classifier without
    dropout. Where one is not felt, the gradient is that of the other.
    """
    model, ids = PreTraining(BODY), rng.integers(0, 13, (4, 7))
    p = parameters(model, rng)
    (masked, follows), saved = model.forward(p, ids)
    alone, saved_alone = model.masked.forward(p, ids)
    classifier = TextClassifier(BODY, 2, dropout_rate=0.0)
    q = {"body": p["body"], "pooler": p["pooler"], "classifier": p["next"]}
    said, saved_said = classifier.forward(q, ids)
    close(masked, alone)
    close(follows, said)
    dmasked, dfollows = rng.normal(size=masked.shape), rng.normal(size=follows.shape)
    both = dict(leaves(model.backward(dmasked, dfollows, saved)))
    first, second = model.masked.backward(dmasked, saved_alone), classifier.backward(dfollows, saved_said)
    expected = {path.replace("classifier.", "next."): leaf for path, leaf in leaves(second)}
    for path, leaf in leaves(first):
        expected[path] = expected.get(path, 0) + leaf
    assert both.keys() == expected.keys() == dict(leaves(p)).keys()
    for path, leaf in expected.items():
        close(both[path], leaf)


@pytest.mark.parametrize("model, shape", list(zip(MODELS, SHAPES, strict=True)), ids=NAMES)
def test_the_shape_of_what_a_head_says(model, shape, rng):
    y, saved = model.forward(parameters(model, rng), rng.integers(0, 13, (4, 7)))
    assert y.shape == shape
    p = parameters(model, rng)
    g = model.backward(rng.normal(size=shape), model.forward(p, rng.integers(0, 13, (4, 7)))[1])
    assert {path: leaf.shape for path, leaf in leaves(g)} == {path: leaf.shape for path, leaf in leaves(p)}


@every_model
def test_what_stands_behind_the_mask_changes_nothing(model, rng):
    """Neither forward nor backward: other padding, and more of it, give the same for every place that is none."""
    p = parameters(model, rng)
    ids, types = rng.integers(0, 13, (3, 6)), rng.integers(0, 2, (3, 6))
    alone, saved = model.forward(p, ids, types=types)
    longer = np.concatenate([ids, rng.integers(0, 13, (3, 3))], 1)
    more_types = np.concatenate([types, rng.integers(0, 2, (3, 3))], 1)
    mask = np.broadcast_to(np.arange(9) < 6, (3, 1, 1, 9))
    padded, saved_padded = model.forward(p, longer, types=more_types, mask=mask)
    where = (
        np.s_[:, :, :6] if isinstance(model, SpanFinder) else np.s_[:, :6] if padded.shape[1:2] == (9,) else np.s_[:]
    )
    close(padded[where], alone)
    dy = rng.normal(size=alone.shape)
    dpadded = np.zeros(padded.shape)
    dpadded[where] = dy
    found, expected = dict(leaves(model.backward(dpadded, saved_padded))), dict(leaves(model.backward(dy, saved)))
    for path, leaf in expected.items():
        close(found[path], leaf)


@every_model
def test_it_looks_both_ways_and_types_tell(model, rng):
    p, ids = parameters(model, rng), rng.integers(0, 13, (2, 7))
    y, _ = model.forward(p, ids)
    later = ids.copy()
    later[:, -1] = (later[:, -1] + 1) % 13
    first = np.s_[:, :, 0] if isinstance(model, SpanFinder) else np.s_[:, 0]
    assert not np.allclose(model.forward(p, later)[0][first], y[first])
    close(model.forward(p, ids, types=np.zeros((2, 7), np.int64))[0], y)
    told = not np.allclose(model.forward(p, ids, types=np.ones((2, 7), np.int64))[0], y)
    assert told != isinstance(getattr(model, "body", model), DistilBERT)  # which has none


@every_model
def test_rows_of_a_batch_do_not_feel_each_other(model, rng):
    p, ids = parameters(model, rng), rng.integers(0, 13, (4, 5))
    y, _ = model.forward(p, ids)
    order = np.array([2, 0, 3, 1])
    close(model.forward(p, ids[order])[0], y[order])


@every_body
def test_the_mask_is_also_of_what_the_mean_is_taken_over(body, rng):
    model = SentenceEncoder(body)
    p, ids = parameters(model, rng), rng.integers(0, 13, (2, 5))
    mask = (np.arange(5) < np.array([[5], [2]]))[:, None, None]
    y, _ = model.forward(p, ids, mask=mask)
    h, _ = body.forward(p["body"], ids, mask=mask)
    close(y, [h[0].mean(0), h[1, :2].mean(0)])
    close(SentenceEncoder(body, "first").forward(p, ids, mask=mask)[0], h[:, 0])
    with pytest.raises(ValueError, match="the mask has shape"):
        model.forward(p, ids, mask=np.tri(5, dtype=bool)[None, None])


@every_model
def test_dropout_only_with_a_key(model, rng):
    p, ids, key = parameters(model, rng), rng.integers(0, 13, (2, 5)), np.random.SeedSequence(3)
    y, _ = model.forward(p, ids)
    assert np.array_equal(model.forward(p, ids)[0], y)
    dropped, _ = model.forward(p, ids, key=key)
    assert not np.allclose(dropped, y) and np.array_equal(model.forward(p, ids, key=key)[0], dropped)


@every_body
@pytest.mark.parametrize("kind, rate", [(TextClassifier, 0.2), (TokenClassifier, 0.2), (SpanFinder, 0.0)])
def test_a_heads_own_dropout(kind, rate, body, rng):
    """By default the body's, or none; and without a key none, whatever the rate."""
    p, ids, key = kind(body).init(rng, np.float64), rng.integers(0, 13, (4, 5)), np.random.SeedSequence(3)
    usual, _ = kind(body).forward(p, ids, key=key)
    assert np.array_equal(kind(body, dropout_rate=rate).forward(p, ids, key=key)[0], usual)
    often = kind(body, dropout_rate=0.9)
    assert not np.allclose(often.forward(p, ids, key=key)[0], usual)
    assert np.array_equal(often.forward(p, ids)[0], kind(body).forward(p, ids)[0])
    with pytest.raises(ValueError, match="a dropout rate must be at least 0 and below 1, not 1.5"):
        kind(body, dropout_rate=1.5)


def test_the_function_of_the_pooler(rng):
    model = TextClassifier(DISTILLED, 3, activation=relu)
    p, ids = parameters(model, rng), rng.integers(0, 13, (4, 7))
    h = DISTILLED.forward(p["body"], ids)[0][:, 0] @ p["pooler"]["weight"].T + p["pooler"]["bias"]
    assert (h < 0).any() and (h > 0).any()
    close(model.forward(p, ids)[0], np.maximum(h, 0) @ p["classifier"]["weight"].T + p["classifier"]["bias"])


@pytest.mark.parametrize(
    "settings, message",
    [
        ({"n_heads": 5}, "n_heads=5 does not divide d_model=768"),
        ({"d_ff": 0}, "d_ff must be at least 1"),
        ({"n_types": True}, "n_types must be at least 1"),
        ({"dropout_rate": 1.0}, "below 1"),
    ],
)
def test_sizes_that_make_no_sense(settings, message):
    with pytest.raises(ValueError, match=message):
        BERT(**settings)
    if "n_types" not in settings:
        with pytest.raises(ValueError, match=message):
            DistilBERT(**settings)


def test_heads_that_make_no_sense():
    with pytest.raises(ValueError, match="n_classes must be at least 1, not 0"):
        TextClassifier(BODY, 0)
    with pytest.raises(ValueError, match="n_classes must be at least 1, not 2.0"):
        TokenClassifier(BODY, 2.0)
    with pytest.raises(ValueError, match="pooling is mean or first, not 'max'"):
        SentenceEncoder(BODY, "max")
    with pytest.raises(ValueError, match="max_length must be at least 3, not 2"):
        SentenceEncoder(BODY, max_length=2)
    with pytest.raises(FrozenInstanceError):
        BODY.n_layers = 3


@every_body
def test_ids_types_and_lengths_that_do_not_fit(body, rng):
    p = body.init(rng)
    with pytest.raises(ValueError, match="outside the vocabulary of 13"):
        body.forward(p, np.array([[13]]))
    if not isinstance(body, DistilBERT):
        with pytest.raises(ValueError, match="outside the vocabulary of 2"):
            body.forward(p, np.array([[1]]), types=np.array([[2]]))
    with pytest.raises(ValueError, match="outside the context of 9"):
        body.forward(p, np.zeros((1, 10), np.int64))


# --------------------------------------------------------------------------------------------------- RoBERTa alone


def test_positions_count_tokens():
    """From padding_idx + 1, over those that are no padding, wherever that stands."""
    ids = np.array([[5, 6, 7, 3, 3], [3, 3, 5, 6, 7], [5, 3, 6, 3, 7], [3, 3, 3, 3, 3]])
    expected = [[4, 5, 6, 3, 3], [3, 3, 4, 5, 6], [4, 3, 5, 3, 6], [3, 3, 3, 3, 3]]
    assert LONGER.positions_of(ids).tolist() == expected
    assert LONGER.positions_of(np.zeros((2, 0), np.int64)).shape == (2, 0)


def test_padding_on_the_left_changes_nothing(rng):
    p, ids = parameters(LONGER, rng), rng.integers(4, 13, (2, 5))
    padded = np.concatenate([np.full((2, 3), 3), ids], 1)
    mask = (padded != 3)[:, None, None]
    close(LONGER.forward(p, padded, mask=mask)[0][:, 3:], LONGER.forward(p, ids)[0])


def test_rows_that_no_token_has_feel_nothing(rng):
    p, ids = parameters(LONGER, rng), np.array([[5, 6, 7, 8, 3]])
    h, saved = LONGER.forward(p, ids)
    felt = np.abs(LONGER.backward(rng.normal(size=h.shape), saved)["position"]["weight"]).sum(1) > 0
    assert np.flatnonzero(felt).tolist() == [3, 4, 5, 6, 7]


def test_a_text_as_long_as_the_context(rng):
    p, tokens = LONGER.init(rng), np.full((1, 9), 5)
    assert LONGER.context_length == 9 and RoBERTa().context_length == 512
    LONGER.forward(p, tokens)
    LONGER.forward(p, np.concatenate([tokens, [[3, 3]]], 1))  # padding is no token
    with pytest.raises(ValueError, match="there are 10 tokens, outside the context of 9"):
        LONGER.forward(p, np.full((1, 10), 5))


@pytest.mark.parametrize(
    "settings, message",
    [
        ({"n_positions": 2}, "n_positions=2 has no room behind padding_idx=1"),
        ({"n_positions": 0}, "n_positions must be at least 1, not 0"),
        ({"n_types": 0}, "n_types must be at least 1"),
        ({"padding_idx": -1}, "padding_idx=-1 is no id of a vocabulary of 50265"),
        ({"padding_idx": 50265}, "padding_idx=50265 is no id"),
        ({"padding_idx": None}, "padding_idx=None is no id"),
        ({"padding_idx": True}, "padding_idx=True is no id"),
    ],
)
def test_positions_that_make_no_sense(settings, message):
    with pytest.raises(ValueError, match=message):
        RoBERTa(**settings)
