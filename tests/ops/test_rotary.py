import numpy as np
import pytest

from minitransformer.models.frequencies import check_scaling, frequencies
from minitransformer.ops import rotary, rotary_backward
from minitransformer.ops.rotary import PAIRINGS

TURNS = np.array([1.0, 0.1, 0.01])


def turned(x, **static):
    return rotary(x, frequencies=TURNS, **static)[0]


@pytest.mark.parametrize("pairing, a, b", [("halves", 1, 4), ("neighbours", 2, 3)])
def test_one_point_by_hand(pairing, a, b, rng):
    """The second point of three, at position 7, turned by 0.7."""
    x = np.zeros((1, 1, 1, 6))
    x[..., a], x[..., b] = 2.0, -1.0
    y = turned(x, positions=np.array([7]), pairing=pairing)[0, 0, 0]
    assert y[a] == pytest.approx(2 * np.cos(0.7) + np.sin(0.7), rel=1e-14)
    assert y[b] == pytest.approx(2 * np.sin(0.7) - np.cos(0.7), rel=1e-14)
    assert np.flatnonzero(y).tolist() == [a, b]


@pytest.mark.parametrize("pairing", PAIRINGS)
def test_scores_know_the_distance_alone(pairing, rng):
    q, k = rng.normal(size=(2, 2, 3, 5, 6))
    here, there = (
        turned(q, positions=p, pairing=pairing) @ turned(k, positions=p, pairing=pairing).swapaxes(2, 3)
        for p in (np.arange(5), np.arange(5) + 31)
    )
    np.testing.assert_allclose(here, there, rtol=0, atol=1e-13)
    assert np.abs(here - q @ k.swapaxes(2, 3)).max() > 0.1


def test_the_two_pairings_are_one_another_reordered(rng):
    x = rng.normal(size=(2, 3, 4, 6))
    order = [0, 2, 4, 1, 3, 5]
    assert np.array_equal(turned(x, pairing="neighbours")[..., order], turned(x[..., order], pairing="halves"))
    assert not np.allclose(turned(x, pairing="neighbours"), turned(x, pairing="halves"))


def test_every_row_has_its_positions(rng, dtype):
    x, positions = rng.normal(size=(2, 3, 4, 6)).astype(dtype), np.array([[0, 3, 1, 1], [9, 0, 2, 5]])
    y, saved = rotary(x, frequencies=TURNS, positions=positions)
    assert y.dtype == dtype
    for row, where in enumerate(positions):
        assert np.array_equal(y[row : row + 1], turned(x[row : row + 1], positions=where))
    back = rotary_backward(y, saved)
    np.testing.assert_allclose(back, x, rtol=0, atol=10 * np.finfo(dtype).eps)
    assert back.dtype == dtype


@pytest.mark.parametrize(
    "x, static, message",
    [
        (np.ones((1, 1, 2, 5)), {}, "do not turn the 5 columns"),
        (np.ones((1, 1, 2, 8)), {}, r"\(3,\) frequencies do not turn the 8 columns"),
        (np.ones((1, 1, 2, 6)), {"pairing": "thirds"}, "pairing is halves or neighbours, not 'thirds'"),
        (np.ones((1, 1, 2, 6)), {"positions": np.arange(3)}, "positions have shape"),
    ],
)
def test_what_does_not_fit(x, static, message):
    with pytest.raises(ValueError, match=message):
        turned(x, **static)


# --------------------------------------------------------------------------------------------------- the frequencies


def test_frequencies_without_a_scaling():
    np.testing.assert_allclose(frequencies(6, 10000.0), [1, 10000 ** (-1 / 3), 10000 ** (-2 / 3)], rtol=1e-15)


def test_all_positions_move_together():
    np.testing.assert_allclose(frequencies(8, 50.0, {"kind": "linear", "factor": 4.0}), frequencies(8, 50.0) / 4)


def test_what_turns_often_stays_and_what_turns_seldom_is_slowed():
    """With a context of 1,000: at least 4 times stays, at most once is slowed eightfold, 2.5 times is in the middle."""
    scaling = {"kind": "llama3", "factor": 8.0, "low": 1.0, "high": 4.0, "context": 1000}
    base, width = 1000.0, 200
    before, after = frequencies(width, base), frequencies(width, base, scaling)
    turns = 1000 * before / (2 * np.pi)
    assert (after[turns >= 4] == before[turns >= 4]).all() and (turns >= 4).any()
    np.testing.assert_allclose(after[turns <= 1], before[turns <= 1] / 8, rtol=1e-15)
    middle = np.abs(turns - 2.5).argmin()
    kept = (turns[middle] - 1) / 3
    assert after[middle] == pytest.approx(before[middle] * (kept + (1 - kept) / 8), rel=1e-14) and 0.4 < kept < 0.6
    assert (np.diff(after) < 0).all()


@pytest.mark.parametrize(
    "scaling, message",
    [
        ({"kind": "yarn", "factor": 2.0}, "there are: linear, llama3"),
        ("linear", "there are: linear, llama3"),
        ({"kind": "linear"}, "linear scaling takes factor"),
        ({"kind": "linear", "factor": 0.0}, "numbers above 0"),
        ({"kind": "linear", "factor": float("nan")}, "numbers above 0"),
        ({"kind": "linear", "factor": 2.0, "low": 1.0}, "linear scaling takes factor"),
        ({"kind": "llama3", "factor": 8.0, "low": 4.0, "high": 4.0, "context": 8}, "needs low < high"),
    ],
)
def test_scalings_that_are_none(scaling, message):
    with pytest.raises(ValueError, match=message):
        check_scaling(scaling)
