import numpy as np
import pytest

from minitransformer.ops import masked_mean, masked_mean_backward


def test_the_mean_of_what_counts(rng):
    x, mask = rng.normal(size=(3, 5, 4)), rng.random((3, 5)) < 0.5
    mask[:, 0] = True
    y, _ = masked_mean(x, mask=mask)
    np.testing.assert_allclose(y, [row[kept].mean(0) for row, kept in zip(x, mask)], rtol=1e-12)


def test_where_nothing_counts_it_is_zero_and_nothing_comes_back(rng):
    y, saved = masked_mean(rng.normal(size=(2, 3, 4)), mask=np.zeros((2, 3), bool))
    assert not y.any() and not masked_mean_backward(rng.normal(size=(2, 4)), saved).any()


@pytest.mark.parametrize("number", [np.nan, np.inf])
def test_what_does_not_count_may_be_anything(number, rng):
    x, mask = rng.normal(size=(1, 3, 2)), np.array([[True, False, True]])
    expected, _ = masked_mean(x, mask=mask)
    x[0, 1] = number
    y, saved = masked_mean(x, mask=mask)
    assert np.array_equal(y, expected) and np.isfinite(masked_mean_backward(y, saved)).all()


def test_the_precision_is_kept(rng):
    y, saved = masked_mean(rng.normal(size=(2, 3, 4)).astype("f"), mask=np.ones((2, 3), bool))
    assert y.dtype == np.float32 and masked_mean_backward(y, saved).dtype == np.float32


def test_a_mask_of_numbers_is_refused(rng):
    with pytest.raises(TypeError, match="mask must be an array of kind bool"):
        masked_mean(rng.normal(size=(2, 3, 4)), mask=np.ones((2, 3)))
    with pytest.raises(ValueError, match="mask has shape"):
        masked_mean(rng.normal(size=(2, 3, 4)), mask=np.ones((2, 4), bool))
