import numpy as np
import pytest

from minitransformer.ops import counted_targets, cross_entropy, cross_entropy_backward


def both(logits, targets, dloss=1.0, **static):
    loss, saved = cross_entropy(logits, targets, **static)
    return loss, cross_entropy_backward(dloss, saved)


def by_hand(logits, targets, label_smoothing=0.0, ignore_index=-100):
    """Row by row, as the definition reads."""
    V, losses = logits.shape[-1], []
    for row, target in zip(logits.reshape(-1, V), targets.ravel()):
        if target != ignore_index:
            logp = row - np.log(np.sum(np.exp(row)))
            wanted = np.full(V, label_smoothing / V)
            wanted[target] += 1 - label_smoothing
            losses.append(-np.sum(wanted * logp))
    return np.mean(losses)


@pytest.mark.parametrize("label_smoothing", [0.0, 0.3])
@pytest.mark.parametrize("shape", [(), (1,), (4,), (2, 3)], ids=str)
def test_values_by_hand(shape, label_smoothing, rng):
    logits, targets = rng.normal(size=(*shape, 5)), np.array(rng.integers(0, 5, shape))
    loss, _ = both(logits, targets, label_smoothing=label_smoothing)
    assert loss == pytest.approx(by_hand(logits, targets, label_smoothing), rel=1e-13)


@pytest.mark.parametrize("label_smoothing", [0.0, 0.3])
@pytest.mark.parametrize("V", [1, 2, 7])
def test_uniform_logits_cost_ln_V(V, label_smoothing, rng, dtype):
    logits, targets = np.full((3, V), 1e4, dtype), rng.integers(0, V, 3)
    loss, dlogits = both(logits, targets, label_smoothing=label_smoothing)
    assert loss == pytest.approx(np.log(V), rel=1e-6, abs=1e-7)
    wanted = (1 - label_smoothing) * np.eye(V)[targets] + label_smoothing / V
    np.testing.assert_allclose(dlogits, (1 / V - wanted) / 3, atol=1e-7)


def test_large_logits(dtype):
    logits = np.array([[1e4, -1e4, 0], [1e4, -1e4, 0], [-1e4, -1e4, -1e4]], dtype)
    loss, dlogits = both(logits, np.array([0, 1, 2]))
    assert loss == pytest.approx((0 + 2e4 + np.log(3)) / 3, rel=1e-6)
    np.testing.assert_allclose(3 * dlogits, [[0, 0, 0], [1, -1, 0], [1 / 3, 1 / 3, -2 / 3]], atol=1e-6)


def test_each_row_of_the_gradient_adds_up_to_zero(rng):
    _, dlogits = both(3 * rng.normal(size=(2, 3, 5)), rng.integers(0, 5, (2, 3)), label_smoothing=0.1)
    np.testing.assert_allclose(dlogits.sum(-1), 0, atol=1e-15)


@pytest.mark.parametrize("label_smoothing", [0.0, 0.3])
@pytest.mark.parametrize("ignore_index", [-100, -1, 2])
def test_a_row_that_does_not_count_might_as_well_not_be_there(ignore_index, label_smoothing, rng):
    logits, targets = rng.normal(size=(7, 5)), rng.choice([0, 1, 3, 4], 7)
    out = np.array([True, False, True, False, False, True, False])
    static = {"label_smoothing": label_smoothing, "ignore_index": ignore_index}
    poisoned = np.where(out[:, None], rng.choice([1e4, -1e4], (7, 1)), logits)
    loss, dlogits = both(poisoned, np.where(out, ignore_index, targets), **static)
    expected, dexpected = both(logits[~out], targets[~out], **static)
    assert loss == pytest.approx(expected, rel=1e-14)
    np.testing.assert_allclose(dlogits[~out], dexpected, rtol=1e-13)
    assert not dlogits[out].any()
    assert counted_targets(np.where(out, ignore_index, targets), ignore_index) == 4


@pytest.mark.parametrize("label_smoothing", [0.0, 0.3])
def test_all_ignored(label_smoothing, rng, dtype):
    logits, targets = rng.normal(size=(2, 3, 5)).astype(dtype), np.full((2, 3), -100)
    loss, dlogits = both(logits, targets, label_smoothing=label_smoothing)
    assert loss == 0 and not dlogits.any() and dlogits.shape == logits.shape


def test_a_float64_dloss_does_not_widen(rng):
    logits, targets = rng.normal(size=(2, 5)).astype("f"), np.array([1, 4])
    _, dlogits = both(logits, targets, dloss=np.float64(0.3))
    assert dlogits.dtype == np.float32
    np.testing.assert_allclose(dlogits, 0.3 * both(logits, targets)[1], rtol=1e-6)
