"""Frozen parts: the rest has the same gradients, nothing is computed below, and frozen leaves keep their bits."""

from dataclasses import replace

import numpy as np
import pytest

from minitransformer.blocks import stack
from minitransformer.blocks.llama_layer import llama_layer
from minitransformer.blocks.post_norm_layer import post_norm_layer
from minitransformer.blocks.pre_norm_layer import pre_norm_layer
from minitransformer.finetuning.freezing import frozen, parts_of, without, without_frozen
from minitransformer.gradcheck import Case, Draw, check
from minitransformer.models import (
    BERT,
    GPT2,
    DistilBERT,
    LLaMA,
    MaskedLanguageModel,
    RoBERTa,
    SentenceEncoder,
    TextClassifier,
)
from minitransformer.training.losses import fused_next_token_loss, label_loss, next_token_loss
from minitransformer.trees import leaves

from ..arrays import arrays_in, bytes_of

BODY = BERT(11, 8, 2, n_layers=3, n_heads=2, d_model=6, d_ff=10, dropout_rate=0.2)
WRITER = GPT2(11, 8, n_layers=3, n_heads=2, d_model=6, dropout_rate=0.2)
LLAMA = LLaMA(11, 8, 3, n_heads=4, n_kv_heads=2, d_model=6, d_head=2, d_ff=5)
DISTILLED = DistilBERT(11, 8, n_layers=3, n_heads=2, d_model=6, d_ff=10)
ROBERTA = RoBERTa(11, 10, n_layers=3, n_heads=2, d_model=6, d_ff=10)
MODELS = [BODY, DISTILLED, ROBERTA, WRITER, replace(WRITER, recompute=True), LLAMA, replace(LLAMA, tied=True)]
NAMES = ["BERT", "DistilBERT", "RoBERTa", "GPT2", "GPT2 recomputed", "LLaMA", "LLaMA tied"]
every_model = pytest.mark.parametrize("model", MODELS, ids=NAMES)
heights = pytest.mark.parametrize("height", [1, 2, 3])


def drawn(model, rng):
    """p, ids, key"""
    return Draw(rng).perturbed(model.init(rng, np.float64)), rng.integers(0, 11, (3, 7)), Draw(rng).key()


def is_below(path, height, below):
    first, second, *_ = [*path.split("."), ""]
    return first in below or (first == "layers" and int(second) < height)


@every_model
@heights
def test_what_is_above_has_the_same_gradients(model, height, rng):
    p, ids, key = drawn(model, rng)
    y, saved = model.forward(p, ids, key=key)
    less = replace(model, frozen=height)
    again, saved_less = less.forward(p, ids, key=key)
    dy = rng.normal(size=y.shape)
    whole, found = dict(leaves(model.backward(dy, saved))), dict(leaves(less.backward(dy, saved_less)))
    expected = {path: leaf for path, leaf in whole.items() if not is_below(path, height, model.below)}
    assert np.array_equal(y, again) and found.keys() == expected.keys() and len(expected) < len(whole)
    assert all(np.array_equal(found[path], leaf) for path, leaf in expected.items())


@every_model
def test_gradients_above_what_is_frozen(model, rng):
    """Finite differences, of the parameters that are trained alone: the others are constants."""
    p, ids, key = drawn(model, rng)
    less = replace(model, frozen=2)
    above = {name: part for name, part in p.items() if name not in (*model.below, "layers")}

    def forward(p_above, ids):
        layers = [part or fixed for part, fixed in zip(p_above["layers"], p["layers"])]
        return less.forward(p | p_above | {"layers": layers}, ids, key=key)

    args = {"p": above | {"layers": [{}, {}, p["layers"][2]]}, "ids": ids}
    gradients = check(Case(forward, less.backward, args, {}, ("p.layers.2.attention.k.bias",), (1, 1)), np.float64, rng)
    assert gradients and all(gradient.passed for gradient in gradients), [g for g in gradients if not g.passed]


@every_model
@heights
def test_nothing_is_kept_of_what_is_frozen(model, height, rng):
    p, ids, key = drawn(model, rng)
    kept = [bytes_of(replace(model, frozen=n).forward(p, ids, key=key)[1], p) for n in (0, height)]
    assert kept[1] < kept[0]
    saved = replace(model, frozen=height).forward(p, ids, key=key)[1]
    assert saved["layers"][:height] == [None] * height
    assert not saved.keys() & {"token", "position", "type", "dropout"}


@every_model
@heights
def test_the_backward_of_a_frozen_layer_is_never_called(model, height, rng, monkeypatch):
    p, ids, key = drawn(model, rng)
    layer, called = {GPT2: pre_norm_layer, LLaMA: llama_layer}.get(type(model), post_norm_layer), []
    backward = layer.backward

    def counted(dy, saved):
        called.append(1)
        return backward(dy, saved)

    monkeypatch.setattr(layer, "backward", counted)
    for n in (0, height):
        called.clear()
        less = replace(model, frozen=n)
        y, saved = less.forward(p, ids, key=key)
        less.backward(rng.normal(size=y.shape), saved)
        assert len(called) == 3 - n


@heights
def test_a_tied_table_is_frozen_for_its_head_too(height, rng):
    p, ids, key = drawn(WRITER, rng)
    model, targets = replace(WRITER, frozen=height), rng.integers(0, 11, (3, 7))
    for kind in (next_token_loss, fused_next_token_loss):
        loss = kind(model)
        value, saved = loss(p, ids, targets, key=key)
        whole, saved_whole = kind(WRITER)(p, ids, targets, key=key)
        g, g_whole = dict(leaves(loss.backward(1.0, saved))), dict(leaves(kind(WRITER).backward(1.0, saved_whole)))
        assert value == whole and "token.weight" in g_whole and "token.weight" not in g
        assert all(np.array_equal(leaf, g_whole[path]) for path, leaf in g.items())
    masked = MaskedLanguageModel(replace(BODY, frozen=height))
    p = Draw(rng).perturbed(masked.init(rng, np.float64))
    logits, saved = masked.forward(p, ids)
    g = masked.backward(rng.normal(size=logits.shape), saved)
    assert "token" not in g["body"] and g["table"].keys() == {"bias"}


@pytest.mark.parametrize("model", [BODY, WRITER], ids=["BERT", "GPT2"])
@pytest.mark.parametrize("height", [-1, 4, True, 1.0, None])
def test_so_many_layers_cannot_be_frozen(model, height):
    with pytest.raises(ValueError, match="frozen must be from 0 to n_layers=3"):
        replace(model, frozen=height)


def test_what_is_shared_by_all_layers_is_felt_by_the_frozen_ones_too(rng):
    with pytest.raises(ValueError, match="none can be frozen"):
        stack(post_norm_layer, 1)([], rng.normal(size=(1, 2, 3)), rng.normal(size=3))


# ---------------------------------------------------------------------------------------------------------- by name


def test_the_parts_that_can_be_frozen(rng):
    layers = ["layers.0", "layers.1", "layers.2"]
    model = TextClassifier(BODY)
    assert parts_of(model, model.init(rng)) == ["token", "position", "type", "norm", *layers]
    assert parts_of(WRITER, WRITER.init(rng)) == ["token", "position", *layers, "norm"]


BELOW = ["token", "position", "type", "norm"]


@pytest.mark.parametrize(
    "names, height",
    [
        ([], 0),
        (["layers.0", "layers.1"], 0),
        (BELOW, 0),
        ([*BELOW[1:], "layers.0"], 0),
        ([*BELOW, "layers.0"], 1),
        (["layers.1", *BELOW, "layers.0"], 2),
        ([*BELOW, "layers.0", "layers.2"], 1),
        ([*BELOW, "layers.0", "layers.1", "layers.2"], 3),
    ],
)
def test_how_high_nothing_is_computed(names, height, rng):
    model = TextClassifier(BODY)
    assert frozen(model, model.init(rng), names) == TextClassifier(replace(BODY, frozen=height))


def test_names_that_no_part_has(rng):
    model = TextClassifier(BODY)
    with pytest.raises(
        ValueError, match="layers.3, tokens cannot be frozen; there are: token, position, type, norm, la"
    ):
        frozen(model, model.init(rng), ["token", "layers.3", "tokens"])
    with pytest.raises(ValueError, match="there is nothing left to train"):
        frozen(WRITER, WRITER.init(rng), ["token", "position", "layers.0", "layers.1", "layers.2", "norm"])


def test_other_gradients_are_dropped(rng):
    model, key = TextClassifier(BODY, 3), np.random.SeedSequence(3)
    p = Draw(rng).perturbed(model.init(rng, np.float64))
    batch = rng.integers(0, 11, (3, 7)), rng.integers(0, 2, (3, 7)), np.ones((3, 1, 1, 7), bool), np.array([0, 2, 1])
    whole = label_loss(model)
    loss = without_frozen(whole, ["body.layers.1", "body.token"])
    (value, saved), (expected, saved_whole) = loss(p, *batch, key=key), whole(p, *batch, key=key)
    g, g_whole = dict(leaves(loss.backward(1.0, saved))), dict(leaves(whole.backward(1.0, saved_whole)))
    dropped = g_whole.keys() - g.keys()
    assert value == expected and loss.count(*batch) == 3
    assert dropped == {path for path in g_whole if path.startswith(("body.layers.1.", "body.token."))}
    assert all(np.array_equal(leaf, g_whole[path]) for path, leaf in g.items())


def test_a_tree_without_some_of_its_parts():
    tree = {"a": {"b": 1, "c": [{"d": 2}, {"d": 3}]}, "ab": {"b": 4}}
    assert dict(leaves(without(tree, {"a.c.0", "ab"}))) == {"a.b": 1, "a.c.1.d": 3}
    assert dict(leaves(without(tree, {"a"}))) == {"ab.b": 4}
    assert len(arrays_in(without({"x": np.ones(2)}, set()))) == 1
    assert SentenceEncoder(BODY).init(np.random.default_rng(0)).keys() == {"body"}
