"""Every thing there is, made of kernels where there are any: its gradients, and those of whole models."""

from contextlib import nullcontext

import numpy as np
import pytest

from minitransformer.convention import THINGS, Saved
from minitransformer.gradcheck import Draw, bar, check, draw_cases
from minitransformer.gradcheck.cases import checkable
from minitransformer.kernels.cpu import linear_cross_entropy
from minitransformer.models import GPT2, Transformer
from minitransformer.training.losses import next_token_loss, translation_loss
from minitransformer.trees import leaves, tree_map

from .agreement import FLOOR, backend, error
from .calls import KERNELS, as_float32
from .test_attention import tiles


def saved_in(saved):
    """Everything that operations kept, anywhere in a saved tree."""
    if isinstance(saved, Saved):
        return [saved]
    parts = saved.values() if isinstance(saved, dict) else saved if isinstance(saved, (list, tuple)) else ()
    return [each for part in parts for each in saved_in(part)]


@pytest.mark.parametrize("name", checkable())
def test_every_gradient_against_finite_differences(name, monkeypatch):
    """In such small pieces of keys and of the vocabulary that there are several."""
    monkeypatch.setattr(linear_cross_entropy, "PIECE", 2)
    rng, kind = np.random.default_rng(1), THINGS[name].kind
    cases = draw_cases(name, Draw(rng))
    for case in cases if kind in ("operation", "block") else cases[:1]:
        with tiles(2, 3) if kind == "operation" else nullcontext():
            gradients = check(case._replace(effort=(1, 1)), np.float64, rng, bar(kind, np.float64))
        assert gradients
        assert all(gradient.passed for gradient in gradients), [g for g in gradients if not g.passed]


def test_every_kernel_with_a_backward_is_among_them():
    assert {name for name in KERNELS if THINGS[name].gradient} <= set(checkable())


# ------------------------------------------------------------------------------------------------------- whole models


def gpt2(rng):
    model = GPT2(vocab_size=37, context_length=80, n_layers=2, n_heads=3, d_model=12, dropout_rate=0.1)
    ids, targets = rng.integers(0, 37, (2, 3, 75))
    targets[0, :9] = -100
    return next_token_loss(model, label_smoothing=0.1), parameters(model, rng), (ids, targets)


def transformer(rng):
    """The sources are padded, and one is nothing but padding."""
    model = Transformer(vocab_size=23, target_vocab_size=29, n_layers=2, n_heads=2, d_model=8, d_ff=20, shared=False)
    source, there = rng.integers(0, 23, (3, 70)), np.arange(70) < np.array([70, 33, 0])[:, None]
    target, targets = rng.integers(0, 29, (2, 3, 66))
    targets[rng.random(targets.shape) < 0.2] = -100
    return translation_loss(model), parameters(model, rng), (source, there[:, None, None], target, targets)


def parameters(model, rng):
    """Such as float32 has too, and away from where they start."""
    return tree_map(as_float32, Draw(rng).perturbed(model.init(rng, np.float64)))


def loss_and_gradients(made, dtype, by):
    loss, p, batch = made
    with backend(by):
        value, saved = loss(tree_map(lambda leaf: leaf.astype(dtype), p), *batch, key=np.random.SeedSequence(3))
        g = loss.backward(dtype(1), saved)
    made_by = {(each.op, each.backend) for each in saved_in(saved) if each.op in KERNELS}
    assert {backend for _, backend in made_by} == {by} and len(made_by) >= 6
    return {"loss": value} | dict(leaves(g))


@pytest.mark.parametrize("model", [gpt2, transformer], ids=lambda make: make.__name__)
def test_a_model_is_the_same_in_float64(model, rng):
    made = model(rng)
    found, expected = (loss_and_gradients(made, np.float64, by) for by in ("cpu", "reference"))
    gmax = max(np.abs(g).max() for name, g in expected.items() if name != "loss")
    assert found.keys() == expected.keys()
    for name, exact in expected.items():
        assert (found[name].dtype, np.shape(found[name])) == (np.float64, np.shape(exact)), name
        assert np.abs(found[name] - exact).max() <= 1e-12 * (exact if name == "loss" else gmax), name


def test_a_model_in_float32_errs_at_most_twice_as_much(rng):
    """GPT-2 alone: the other has kinks (ReLU), on whose other side rounding puts a unit now and then."""
    made = gpt2(rng)
    exact = loss_and_gradients(made, np.float64, "reference")
    ours, theirs = (loss_and_gradients(made, np.float32, by) for by in ("cpu", "reference"))
    for name in exact:
        assert ours[name].dtype == np.float32
        assert error(ours[name], exact[name]) <= 2 * error(theirs[name], exact[name]) + FLOOR, name
