"""The optimizer, schedules, clipping, and a batch in pieces."""

import math
from dataclasses import replace

import numpy as np
import pytest

from minitransformer.convention import fold
from minitransformer.models import AWDLSTM, BERT, GPT2, MaskedLanguageModel, PreTraining, Transformer
from minitransformer.ops import cross_entropy
from minitransformer.threads import workers
from minitransformer.training.clipping import clip_by_global_norm
from minitransformer.training.language_model_losses import carried_next_token_loss
from minitransformer.training.losses import (
    fused_next_token_loss,
    label_loss,
    masked_token_loss,
    next_token_loss,
    pretraining_loss,
    translation_loss,
)
from minitransformer.training.optimizer import AdamW, matrices
from minitransformer.training.parallel import cut, mean_loss, value_and_gradient
from minitransformer.training.schedules import (
    inverse_square_root,
    published_peak,
    slanted_triangular,
    warmup_cosine,
    warmup_linear,
)
from minitransformer.trees import leaves, tree_map

from ..arrays import same_bits
from .thawing import thawing

MODEL = GPT2(vocab_size=13, context_length=7, n_layers=2, n_heads=2, d_model=6, dropout_rate=0.0)


def batch(rng, rows=5, length=7):
    """Unequal numbers of targets that count, one row with none."""
    ids, targets = rng.integers(0, 13, (2, rows, length))
    targets[np.arange(length) >= rng.integers(1, length, rows)[:, None]] = -100
    targets[1] = -100
    return ids, targets


# ------------------------------------------------------------------------------------------------------- optimizer


def test_decay_acts_on_these_and_no_others():
    p = MODEL.init(np.random.default_rng(0))
    decayed = {path for path, w in leaves(p) if matrices(path, w)}
    layer = {f"attention.{part}.weight" for part in ("q", "k", "v", "out")}
    layer |= {"feed_forward.up.weight", "feed_forward.down.weight"}
    assert decayed == {"token.weight", "position.weight"} | {f"layers.{i}.{name}" for i in range(2) for name in layer}


def test_a_zero_gradient_leaves_biases_and_norms_and_shrinks_matrices():
    p = tree_map(lambda w: w + 1, MODEL.init(np.random.default_rng(0), np.float64))
    before = {path: w.copy() for path, w in leaves(p)}
    AdamW(weight_decay=0.1).step(p, tree_map(np.zeros_like, p), 0.01)
    for path, w in leaves(p):
        expected = before[path] * (1 - 0.001 if matrices(path, w) else 1)
        np.testing.assert_allclose(w, expected, rtol=1e-14, err_msg=path)


def test_a_gradient_counts_as_it_is_unless_it_is_clipped():
    """To the moments: how long a gradient is, the first step does not show."""
    moments = []
    for factor in ({}, {"factor": 0.5}):
        optimizer = AdamW()
        optimizer.step({"w": np.zeros(2)}, {"w": np.array([1.0, -4.0])}, 0.1, **factor)
        moments.append(optimizer.m["w"])
    np.testing.assert_allclose(moments, [[0.1, -0.4], [0.05, -0.2]], rtol=1e-14)


def test_the_first_step_is_the_rate_whatever_the_gradient():
    for scale in (1e-4, 1.0, 1e6):
        p = {"b": np.zeros(3)}
        AdamW(betas=(0.9, 0.95), weight_decay=0.1).step(p, {"b": scale * np.array([1.0, -2, 3])}, 0.01)
        np.testing.assert_allclose(p["b"], [-0.01, 0.01, -0.01], rtol=1e-3)


def test_a_parameter_without_a_gradient_stays():
    p = MODEL.init(np.random.default_rng(0))
    before = p["token"]["weight"].copy()
    g = {"norm": tree_map(np.ones_like, p["norm"])}
    optimizer = AdamW()
    optimizer.step(p, g, 0.1)
    assert p["token"]["weight"].tobytes() == before.tobytes()
    assert set(optimizer.m) == {"norm.weight", "norm.bias"} and (p["norm"]["bias"] != 0).all()


@pytest.mark.parametrize("at", [0, 2, 4, 5, 7, 12])
def test_it_goes_on_from_what_a_checkpoint_kept(at, rng):
    """Bit for bit, whatever has been frozen until then."""
    (p, gradients), optimizer, other = thawing(rng), AdamW(weight_decay=0.1), AdamW(weight_decay=0.1)
    for g in gradients[:at]:
        optimizer.step(p, g, 0.1)
    q = tree_map(np.copy, p)
    other.restore(at, tree_map(np.copy, optimizer.arrays()), q)
    for g in gradients[at:]:
        optimizer.step(p, g, 0.1)
        other.step(q, g, 0.1)
    assert same_bits([p, optimizer.arrays()], [q, other.arrays()])


def test_moments_that_do_not_fit_are_refused(rng):
    (p, gradients), optimizer = thawing(rng), AdamW()
    for g in gradients[:5]:
        optimizer.step(p, g, 0.1)
    whole = optimizer.arrays()
    assert {name for name in whole if name[0] == "t"} == {"t.between", "t.late"}
    for name, said in (("m.late", "missing: m.late"), ("v.always", "missing: v.always")):
        with pytest.raises(ValueError, match=said):
            AdamW().restore(5, {other: array for other, array in whole.items() if other != name}, p)
    with pytest.raises(ValueError, match="not expected: m.another"):
        AdamW().restore(5, whole | {"m.another": p["late"]}, p)
    with pytest.raises(ValueError, match="v.late has shape"):
        AdamW().restore(5, whole | {"v.late": p["late"][:1]}, p)
    with pytest.raises(ValueError, match="no moments"):
        AdamW().restore(5, {}, p)


def test_float32_stays_float32():
    p = MODEL.init(np.random.default_rng(0))
    optimizer = AdamW()
    optimizer.step(p, tree_map(np.ones_like, p), np.float64(0.1))
    assert {w.dtype for _, w in leaves(p)} == {m.dtype for m in optimizer.v.values()} == {np.dtype(np.float32)}


# ------------------------------------------------------------------------------------------------------- schedules


def test_warmup_then_cosine():
    rate = warmup_cosine(peak=1e-3, end=1e-4, warmup=100, steps=2000)
    assert rate(0) == 1e-5 and rate(49) == 5e-4 and rate(99) == 1e-3
    assert rate(1049) == pytest.approx(5.5e-4) and rate(1999) == pytest.approx(1e-4) and rate(5000) == rate(1999)
    rates = [rate(step) for step in range(100, 2000)]
    assert rates == sorted(rates, reverse=True)


def test_warmup_then_a_line():
    rate = warmup_linear(peak=1.0, end=0.0, warmup=10, steps=20)
    assert [round(rate(step), 10) for step in (0, 9, 10, 14, 19)] == [0.1, 1.0, 0.9, 0.5, 0.0]
    rate = warmup_linear(peak=1.0, end=0.2, warmup=10, steps=20)
    assert [round(rate(step), 10) for step in (0, 9, 10, 14, 19)] == [0.1, 1.0, 0.92, 0.6, 0.2]


def test_no_warmup_and_a_run_of_one_step():
    assert warmup_cosine(peak=1.0, end=0.1, warmup=0, steps=1)(0) == pytest.approx(0.1)
    assert warmup_linear(peak=1.0, end=0.5, warmup=3, steps=3)(2) == 1.0


def test_inverse_square_root_peaks_after_the_warmup():
    rate = inverse_square_root(peak=0.3, warmup=4000)
    assert rate(3999) == 0.3 and max(range(20000), key=rate) == 3999
    assert rate(0) == pytest.approx(0.3 / 4000) and rate(999) == pytest.approx(0.3 / 4)
    assert rate(15999) == pytest.approx(0.3 / 2) and rate(35999) == pytest.approx(0.3 / 3)
    assert inverse_square_root(peak=0.3, warmup=0)(3) == pytest.approx(0.15)


@pytest.mark.parametrize(("d_model", "warmup"), [(512, 4000), (1024, 16000), (7, 1)])
def test_with_the_published_peak_it_is_the_published_equation(d_model, warmup):
    rate = inverse_square_root(peak=published_peak(d_model=d_model, warmup=warmup), warmup=warmup)
    for t in (1, 2, 3999, 4000, 4001, 16000, 100000):
        expected = d_model**-0.5 * min(t**-0.5, t * warmup**-1.5)  # Vaswani et al. 2017, equation 3
        assert rate(t - 1) == pytest.approx(expected, rel=1e-12)


@pytest.mark.parametrize("steps, cut, ratio", [(400, 0.1, 32), (37, 0.3, 8), (10, 0.1, 32)])
def test_the_slanted_triangle_is_the_published_equation(steps, cut, ratio):
    rate = slanted_triangular(peak=0.01, steps=steps, cut=cut, ratio=ratio)
    for t in range(steps):
        top = math.floor(steps * cut)  # Howard & Ruder 2018, equation 3
        p = t / top if t < top else 1 - (t - top) / (top * (1 / cut - 1))
        assert rate(t) == pytest.approx(0.01 * (1 + max(p, 0) * (ratio - 1)) / ratio, rel=1e-12)
    assert rate(0) == pytest.approx(0.01 / ratio) and max(range(steps), key=rate) == top and rate(top) == 0.01
    assert rate(10 * steps) == pytest.approx(0.01 / ratio)


def test_the_published_triangle_rises_in_a_tenth_of_the_steps_to_32_times_its_least():
    rate = slanted_triangular(peak=3.2, steps=100)
    assert rate(0) == rate(100) == pytest.approx(0.1) and max(range(100), key=rate) == 10


def test_a_triangle_needs_a_step_to_rise():
    with pytest.raises(ValueError, match="of 5 steps, a share of 0.1 is none"):
        slanted_triangular(peak=0.01, steps=5)


# -------------------------------------------------------------------------------------------------------- clipping


def test_clipping_shortens_the_whole_gradient_and_keeps_its_direction():
    rng = np.random.default_rng(0)
    g = {"a": rng.normal(size=(3, 4)), "b": [rng.normal(size=5)]}
    length = math.sqrt((g["a"] ** 2).sum() + (g["b"][0] ** 2).sum())
    clipped, norm = clip_by_global_norm(g, 0.5)
    assert norm == pytest.approx(length)
    np.testing.assert_allclose(clipped["a"], g["a"] * 0.5 / length)
    np.testing.assert_allclose(clipped["b"][0], g["b"][0] * 0.5 / length)
    assert clip_by_global_norm(g, 100.0) == (g, norm)


# ---------------------------------------------------------------------------------------------------------- pieces


@pytest.mark.parametrize("seed", range(3))
@pytest.mark.parametrize("n", [1, 2, 3, 5, 9])
def test_pieces_with_unequal_targets_give_the_gradient_of_the_whole(seed, n):
    rng = np.random.default_rng(seed)
    p, loss = MODEL.init(rng, np.float64), next_token_loss(MODEL)
    whole = batch(rng)
    expected, saved = loss(p, *whole)
    expected_g = loss.backward(1.0, saved)
    value, g = value_and_gradient(loss, p, cut(whole, n))
    assert value == pytest.approx(expected, rel=1e-13)
    assert mean_loss(loss, p, cut(whole, n)) == pytest.approx(expected, rel=1e-13)
    gmax = max(np.abs(leaf).max() for _, leaf in leaves(expected_g))
    for (path, a), (_, b) in zip(leaves(g), leaves(expected_g), strict=True):
        assert np.abs(a - b).max() <= 1e-13 * gmax, path


def test_only_translations_are_smoothed_unasked():
    """As Vaswani et al. 2017 do, section 5.4; a loss of what comes next, or of labels, is what its name says."""
    assert translation_loss(MODEL).label_smoothing == 0.1
    assert {loss(MODEL).label_smoothing for loss in (next_token_loss, fused_next_token_loss, label_loss)} == {0.0}


def test_a_loss_is_the_cross_entropy_of_what_its_model_says(rng):
    """With the same key, and whatever else the model is asked with; of the targets, smoothed as the loss is told."""
    key, (ids, targets), types = np.random.SeedSequence(1), batch(rng), rng.integers(0, 2, (5, 7))
    smoothed, mask = {"label_smoothing": 0.2}, (np.arange(7) < rng.integers(3, 8, (5, 1)))[:, None, None]

    def hold(loss, p, args, logits, smoothing=smoothed):
        value, _ = loss(p, *args, targets, key=key)
        value = value[0] if isinstance(value, tuple) else value
        assert value == pytest.approx(cross_entropy(logits, targets, **smoothing)[0], rel=1e-12)

    model = replace(MODEL, dropout_rate=0.3)
    p, body = model.init(rng, np.float64), BERT(13, 7, n_layers=1, n_heads=2, d_model=6, d_ff=5, dropout_rate=0.3)
    for kind in (next_token_loss, fused_next_token_loss):
        hold(kind(model, **smoothed), p, [ids], model.forward(p, ids, key=key)[0])
    model = Transformer(13, n_layers=1, n_heads=2, d_model=6, d_ff=5, dropout_rate=0.3)
    p, said = model.init(rng, np.float64), rng.integers(0, 13, (5, 7))
    logits, _ = model.forward(p, ids, said, source_mask=mask, key=key)
    hold(translation_loss(model, **smoothed), p, [ids, mask, said], logits)
    model = MaskedLanguageModel(body)
    p = model.init(rng, np.float64)
    logits, _ = model.forward(p, ids, types=types, mask=mask, key=key)
    for kind in (label_loss, masked_token_loss):
        hold(kind(model, **smoothed), p, [ids, types, mask], logits)
    model = AWDLSTM(13, n_layers=1, d_model=6, d_hidden=5)
    p = model.init(rng, np.float64)
    hold(carried_next_token_loss(model), p, [ids], model.forward(p, ids, key=key)[0][0], {})


def test_both_tasks_of_pretraining_are_the_cross_entropies_of_what_the_model_says(rng):
    model = PreTraining(BERT(13, 7, n_layers=1, n_heads=2, d_model=6, d_ff=5, dropout_rate=0.3))
    p, key, (ids, targets) = model.init(rng, np.float64), np.random.SeedSequence(1), batch(rng)
    types, origins, mask = rng.integers(0, 2, (5, 7)), rng.integers(0, 2, 5), np.tile(np.arange(7) < 6, (5, 1, 1, 1))
    said, follows = model.forward(p, ids, types=types, mask=mask, key=key)[0]
    found, _ = pretraining_loss(model)(p, ids, types, mask, targets, origins, key=key)
    expected = cross_entropy(said, targets)[0], cross_entropy(follows, origins)[0]
    assert found == pytest.approx(expected, rel=1e-12)


def test_a_mean_of_means_is_another_loss():
    """The bug that the weights are there for: on this batch it is far off, so the test above can fail."""
    rng = np.random.default_rng(0)
    p, loss = tree_map(lambda w: w + rng.normal(0, 0.5, w.shape), MODEL.init(rng, np.float64)), next_token_loss(MODEL)
    whole = batch(rng)
    means = [float(loss(p, *piece)[0]) for piece in cut(whole, 3)]
    assert abs(np.mean(means) - float(loss(p, *whole)[0])) > 0.01


def test_there_are_no_more_pieces_than_rows():
    pieces = cut((np.arange(5), np.arange(10).reshape(5, 2)), 8)
    assert [(len(ids), len(targets)) for ids, targets in pieces] == [(1, 1)] * 5


def test_a_batch_without_a_single_target():
    p, loss = MODEL.init(np.random.default_rng(0)), next_token_loss(MODEL)
    ids = np.zeros((4, 3), int)
    value, g = value_and_gradient(loss, p, cut((ids, np.full_like(ids, -100)), 2))
    assert value == 0 and all((leaf == 0).all() for _, leaf in leaves(g))


def test_threads_change_no_bit():
    rng = np.random.default_rng(1)
    model = GPT2(vocab_size=257, context_length=33, n_layers=2, n_heads=3, d_model=33, dropout_rate=0.1)
    p, loss = model.init(rng), next_token_loss(model)
    ids = rng.integers(0, 257, (2, 6, 33))
    pieces, keys = cut(tuple(ids), 4), [fold(np.random.SeedSequence(1), i) for i in range(4)]
    results = []
    for threads in (1, 2, 5):
        with workers(threads) as map:
            value, g = value_and_gradient(loss, p, pieces, keys, map)
        results.append((value, [(path, leaf.tobytes()) for path, leaf in leaves(g)]))
    assert results[0] == results[1] == results[2]
    other = value_and_gradient(loss, p, pieces, keys[::-1])[0]
    assert other != results[0][0]


def test_the_number_is_asked_for_after_the_backward():
    """On a device, who asks for the loss waits for it: the backward is to be in the queue by then."""
    asked = []

    class Later:
        def __float__(self):
            return asked.append("the loss") or 3.0

    class Loss:
        count = staticmethod(len)

        def __call__(self, p, part, *, key):
            return Later(), None

        def backward(self, dloss, saved):
            return asked.append("the gradient") or {}

    assert value_and_gradient(Loss(), {}, [([1, 2],)]) == (3.0, {})
    assert asked == ["the gradient", "the loss"]
