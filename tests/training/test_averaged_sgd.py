"""Gradient descent with averages, beside a plain loop; and when averaging begins."""

import numpy as np
import pytest

from minitransformer.training.averaged_sgd import AveragedSGD
from minitransformer.trees import leaves, tree_map

from ..arrays import same_bits


def set_out(rng):
    """Parameters, and nine gradients of them"""
    p = {"a": rng.normal(size=(2, 3)), "b": [{"c": rng.normal(size=4)}]}
    return p, [tree_map(lambda w: rng.normal(size=w.shape), p) for _ in range(9)]


def test_beside_a_plain_loop(rng):
    """Every step by hand; the mean is that of the parameters after steps 4, 5, ..., 9."""
    p, gradients = set_out(rng)
    w, seen = p["a"].copy(), []
    optimizer = AveragedSGD(weight_decay=0.1, rate_factor=lambda path: 0.5 if path == "a" else 1.0)
    for step, g in enumerate(gradients, 1):
        if step == 4:
            optimizer.begin()
        optimizer.step(p, g, 0.2, factor=0.3)
        w = w - 0.5 * 0.2 * (0.3 * g["a"] + 0.1 * w)
        seen += [w] * (step >= 4)
        np.testing.assert_allclose(p["a"], w, rtol=1e-12)
        expected = np.mean(seen, 0) if seen else w
        np.testing.assert_allclose(optimizer.averaged(p)["a"], expected, rtol=1e-12)
    assert optimizer.t == 9 and optimizer.n == 6 and not np.allclose(expected, w)


def test_a_mean_is_nearer_than_where_it_goes_round(rng):
    """The least of (w - 3)², of which every gradient errs: the steps never rest, their mean does."""
    p, optimizer = {"w": np.zeros(50)}, AveragedSGD()
    for step in range(600):
        if step == 100:
            optimizer.begin()
        optimizer.step(p, {"w": 2 * (p["w"] - 3) + rng.normal(size=50)}, 0.2)
    last, mean = (np.abs(each["w"] - 3).mean() for each in (p, optimizer.averaged(p)))
    assert mean < 0.25 * last


@pytest.mark.parametrize(
    "patience, losses, begins",
    [
        (2, [5, 4, 3, 2, 1, 0], None),
        (2, [5, 4, 4.5, 3], None),  # above its predecessor, but not above one of more than two before
        (2, [5, 3, 4, 4, 3.5], 5),  # above the 3, as soon as that is not one of the last two
        (1, [5, 3, 4, 4], 4),
        (0, [5, 3, 4], 3),
        (0, [5, 3, 4, 5], 3),  # once it has begun, no loss begins it again
        (5, [1, 9, 9, 9, 9, 9, 9], 7),
    ],
)
def test_when_averaging_begins(patience, losses, begins):
    optimizer = AveragedSGD(patience=patience)
    told = [optimizer.see(loss) for loss in losses]
    assert told == [i + 1 == begins for i in range(len(losses))]
    assert (optimizer.n is None) == (begins is None)


def test_a_parameter_without_a_gradient_stays_and_one_that_thaws_was_the_same_until_then(rng):
    p, gradients = set_out(rng)
    before, optimizer = p["a"].copy(), AveragedSGD()
    optimizer.begin()
    for g in gradients[:3]:
        optimizer.step(p, {"b": g["b"]}, 0.1)
    assert np.array_equal(p["a"], before) and np.array_equal(optimizer.averaged(p)["a"], before)
    optimizer.step(p, gradients[3], 0.1)
    np.testing.assert_allclose(optimizer.averaged(p)["a"], (3 * before + p["a"]) / 4, rtol=1e-12)


def test_one_that_is_frozen_again_stays_and_counts_at_every_step(rng):
    (p, gradients), optimizer, seen = set_out(rng), AveragedSGD(), []
    optimizer.begin()
    for step, g in enumerate(gradients):
        optimizer.step(p, {"b": g["b"]} if step in (3, 4, 8) else g, 0.1)
        seen.append(p["a"].copy())
        np.testing.assert_allclose(optimizer.averaged(p)["a"], np.mean(seen, 0), rtol=1e-12)


def test_a_step_is_the_rate_times_the_gradient_unless_it_is_told_more():
    p = {"w": np.zeros(2)}
    AveragedSGD().step(p, {"w": np.array([1.0, -2.0])}, 0.5)
    assert p["w"].tolist() == [-0.5, 1.0]


def test_float32_stays_float32(rng):
    p, gradients = set_out(rng)
    p, optimizer = tree_map(lambda w: w.astype("f"), p), AveragedSGD(weight_decay=0.1)
    optimizer.begin()
    optimizer.step(p, tree_map(lambda w: w.astype("f"), gradients[0]), np.float64(0.1), np.float64(0.5))
    assert {leaf.dtype for _, leaf in [*leaves(p), *leaves(optimizer.averaged(p))]} == {np.dtype(np.float32)}


@pytest.mark.parametrize("at", [0, 2, 5])
def test_it_goes_on_from_what_a_checkpoint_kept(at, rng):
    """Bit for bit, whether averaging has begun or not."""
    p, gradients = set_out(rng)
    q, optimizer = tree_map(np.copy, p), AveragedSGD(patience=1)
    other = AveragedSGD(patience=1)
    for step, g in enumerate(gradients):
        if step == at:
            other.restore(optimizer.t, tree_map(np.copy, optimizer.arrays()), p)
            q = tree_map(np.copy, p)
        optimizer.step(p, g, 0.1)
        optimizer.see([3, 1, 2, 2, 1, 1, 1, 1, 1][step])
        if step >= at:
            other.step(q, g, 0.1)
            other.see([3, 1, 2, 2, 1, 1, 1, 1, 1][step])
    assert same_bits([p, optimizer.averaged(p)], [q, other.averaged(q)]) and optimizer.n == other.n == 5
    assert other.t == optimizer.t == len(gradients)


def test_a_parameter_that_was_never_averaged_is_none_of_what_a_checkpoint_kept(rng):
    p, gradients = set_out(rng)
    optimizer, other = AveragedSGD(), AveragedSGD()
    optimizer.begin()
    optimizer.step(p, {"b": gradients[0]["b"]}, 0.1)
    other.restore(1, optimizer.arrays(), p)
    assert other.mean.keys() == {"b.0.c"} and same_bits(optimizer.averaged(p), other.averaged(p))


def test_means_of_other_parameters_are_refused(rng):
    p, gradients = set_out(rng)
    optimizer = AveragedSGD()
    optimizer.begin()
    optimizer.step(p, gradients[0], 0.1)
    with pytest.raises(ValueError, match=r"not expected: a"):
        AveragedSGD().restore(1, optimizer.arrays(), {"b": p["b"]})
    with pytest.raises(ValueError, match=r"a has shape \(2, 3\)"):
        AveragedSGD().restore(1, optimizer.arrays(), {**p, "a": p["a"][:1]})
