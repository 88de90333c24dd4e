import numpy as np
import pytest

from minitransformer.ops import softmax, softmax_backward


def both(x, dy):
    y, saved = softmax(x)
    return y, softmax_backward(dy, saved)


def test_values_and_gradient_by_hand():
    y, dx = both(np.array([0, np.log(2)]), np.array([1.0, 0.0]))
    np.testing.assert_allclose(y, [1 / 3, 2 / 3], rtol=1e-15)
    np.testing.assert_allclose(dx, [2 / 9, -2 / 9], rtol=1e-14)  # dx₀ = y₀ (1 - y₀), dx₁ = -y₀ y₁


def test_rows_add_up_to_one_and_a_shift_changes_nothing(rng):
    x = 5 * rng.normal(size=(2, 3, 7))
    y, _ = softmax(x)
    np.testing.assert_allclose(y.sum(-1), 1, rtol=1e-14)
    np.testing.assert_allclose(softmax(x + rng.normal(size=(2, 3, 1)))[0], y, rtol=1e-13)


def test_one_element(rng, dtype):
    x = 1e4 * rng.normal(size=(3, 1)).astype(dtype)
    y, dx = both(x, rng.normal(size=(3, 1)).astype(dtype))
    assert (y == 1).all() and (dx == 0).all()


@pytest.mark.parametrize("value", [0.0, 0.1, 1e4, -1e4, 1e38, -1e38])
def test_rows_of_equal_values(value, rng, dtype):
    y, dx = both(np.full((2, 5), value, dtype), dy := rng.normal(size=(2, 5)).astype(dtype))
    np.testing.assert_allclose(y, 0.2, rtol=1e-6)
    np.testing.assert_allclose(dx, 0.2 * (dy - dy.mean(-1, keepdims=True)), atol=1e-6)


def test_large_logits(rng, dtype):
    x = np.array([[1e4, -1e4, 0], [-1e4, -1e4 - 1, -2e4], [1e4, 1e4, -1e4]], dtype)
    y, dx = both(x, rng.normal(size=x.shape).astype(dtype))
    e = np.exp(-1)
    np.testing.assert_allclose(y, [[1, 0, 0], [1 / (1 + e), e / (1 + e), 0], [0.5, 0.5, 0]], atol=1e-6)
    assert np.isfinite(dx).all()


def test_a_row_of_nothing_gives_zeros_and_zero_gradient(rng, dtype):
    x = np.array([[-np.inf, -np.inf], [-np.inf, 3]], dtype)
    y, dx = both(x, rng.normal(size=x.shape).astype(dtype))
    assert np.array_equal(y, [[0, 0], [0, 1]]) and not dx.any()


def test_no_elements_at_all():
    y, dx = both(np.zeros((2, 0)), np.zeros((2, 0)))
    assert y.shape == dx.shape == (2, 0)
