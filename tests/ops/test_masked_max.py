import numpy as np
import pytest

from minitransformer.ops import masked_max, masked_max_backward


def test_the_largest_of_what_counts(rng):
    x, mask = rng.normal(size=(3, 5, 4)), rng.random((3, 5)) < 0.5
    mask[:, 0] = True
    y, saved = masked_max(x, mask=mask)
    assert np.array_equal(y, [row[kept].max(0) for row, kept in zip(x, mask)])
    dy = rng.normal(size=(3, 4))
    dx = masked_max_backward(dy, saved)
    assert np.array_equal(dx.sum(1), dy) and np.array_equal(dx != 0, (x == y[:, None]) & mask[..., None])


def test_what_does_not_count_may_be_larger(rng):
    x, mask = rng.normal(size=(2, 4, 3)), np.array([[True, True, False, False]] * 2)
    expected, _ = masked_max(x[:, :2], mask=mask[:, :2])
    for number in (100.0, np.inf, np.nan):
        x[:, 2:] = number
        y, saved = masked_max(x, mask=mask)
        assert np.array_equal(y, expected) and not masked_max_backward(y, saved)[:, 2:].any()


def test_what_does_not_count_is_not_above_minus_infinity(rng):
    """The largest that counts may be -∞; an earlier place that does not count is none the less not it."""
    x, mask = rng.normal(size=(1, 4, 2)), np.array([[False, True, False, True]])
    x[:, 1::2, 0] = -np.inf
    y, saved = masked_max(x, mask=mask)
    assert y.tolist() == [[-np.inf, x[0, 1::2, 1].max()]]
    dx = masked_max_backward(np.array([[3.0, 5.0]]), saved)
    assert dx[0, :, 0].tolist() == [0, 3, 0, 0] and sorted(dx[0, :, 1]) == [0, 0, 0, 5] and not dx[0, ::2].any()


def test_negative_numbers_are_above_nothing(rng):
    """Padding is not a zero that would win."""
    y, _ = masked_max(-1 - rng.random((2, 3, 4)), mask=np.array([[True, False, True]] * 2))
    assert (y < -1).all()


def test_where_nothing_counts_it_is_zero_and_nothing_comes_back(rng):
    y, saved = masked_max(rng.normal(size=(2, 3, 4)), mask=np.zeros((2, 3), bool))
    assert not y.any() and not masked_max_backward(rng.normal(size=(2, 4)), saved).any()


def test_of_two_that_are_equal_the_first_one_feels_it():
    y, saved = masked_max(np.array([[[1.0], [2.0], [2.0]]]), mask=np.ones((1, 3), bool))
    assert masked_max_backward(np.array([[5.0]]), saved).ravel().tolist() == [0, 5, 0]


def test_a_mask_of_numbers_is_refused(rng):
    with pytest.raises(TypeError, match="mask must be an array of kind bool"):
        masked_max(rng.normal(size=(2, 3, 4)), mask=np.ones((2, 3)))
