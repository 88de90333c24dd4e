import numpy as np
import pytest

from minitransformer.ops import layer_norm, layer_norm_backward, rms_norm, rms_norm_backward

from ..arrays import shares_memory


def plain(width, dtype=float):
    return {"weight": np.ones(width, dtype), "bias": np.zeros(width, dtype)}


@pytest.mark.parametrize("width", [2, 3, 8])
def test_layer_norm_rows_have_mean_zero_and_variance_one(width, rng):
    """The variance of all D values: one that divided by D - 1 would leave mean squares of (D - 1)/D."""
    y, _ = layer_norm(plain(width), 7 + 3 * rng.normal(size=(2, 5, width)), eps=0.0)
    np.testing.assert_allclose(y.mean(-1), 0, atol=1e-13)
    np.testing.assert_allclose((y * y).mean(-1), 1, rtol=1e-12)


def test_rms_norm_rows_have_mean_square_one(rng):
    y, _ = rms_norm({"weight": np.ones(6)}, 7 + 3 * rng.normal(size=(2, 5, 6)), eps=0.0)
    np.testing.assert_allclose((y * y).mean(-1), 1, rtol=1e-13)


def test_by_hand():
    x, p = np.array([1.0, 3.0]), {"weight": np.array([2.0, 10.0]), "bias": np.array([0.5, -1.0])}
    np.testing.assert_allclose(layer_norm(p, x, eps=3.0)[0], [2 * -0.5 + 0.5, 10 * 0.5 - 1])  # r = 1/√(1 + 3)
    np.testing.assert_allclose(rms_norm({"weight": p["weight"]}, x, eps=4.0)[0], [2 / 3, 10])  # r = 1/√(5 + 4)


def test_the_gradients_of_a_single_row_are_fresh(rng):
    """A sum over no rows must not be dy itself."""
    p, (x, dy) = plain(4), rng.normal(size=(2, 4))
    for thing in (layer_norm, rms_norm):
        _, g = thing.backward(dy, thing(p, x)[1])
        assert not any(shares_memory(leaf, [x, dy, *p.values()]) for leaf in g.values())


def test_what_they_do_not_feel(rng):
    """Layer normalisation feels neither shift nor scale of a row, RMS normalisation feels the shift."""
    x = rng.normal(size=(3, 5))
    p = {"weight": rng.normal(size=5), "bias": rng.normal(size=5)}
    moved = 4 * x + rng.normal(size=(3, 1))
    np.testing.assert_allclose(layer_norm(p, moved, eps=0.0)[0], layer_norm(p, x, eps=0.0)[0], rtol=1e-11)
    np.testing.assert_allclose(rms_norm(p, 4 * x, eps=0.0)[0], rms_norm(p, x, eps=0.0)[0], rtol=1e-13)
    assert np.abs(rms_norm(p, moved)[0] - rms_norm(p, x)[0]).max() > 0.1


@pytest.mark.parametrize("value", [0.0, 0.1, -1.0, 300.7, 12345.678])
def test_layer_norm_of_equal_values_is_beta(value, rng, dtype):
    """A mean that was rounded leaves a remainder, which 1/√ε makes 300 times larger."""
    p = {"weight": rng.normal(size=7).astype(dtype), "bias": rng.normal(size=7).astype(dtype)}
    y, saved = layer_norm(p, np.full((2, 7), value, dtype))
    np.testing.assert_allclose(y, np.broadcast_to(p["bias"], (2, 7)), atol=1e-6)
    dx, g = layer_norm_backward(rng.normal(size=y.shape).astype(dtype), saved)
    assert np.isfinite(dx).all() and np.abs(g["weight"]).max() < 1e-5


def test_rms_norm_of_zeros_is_zero(rng, dtype):
    y, saved = rms_norm({"weight": np.ones(4, dtype)}, np.zeros((2, 4), dtype))
    dy = rng.normal(size=y.shape).astype(dtype)
    dx, g = rms_norm_backward(dy, saved)
    assert not y.any() and not g["weight"].any()
    np.testing.assert_allclose(dx, 1000 * dy, rtol=1e-5)  # 1/√ε


@pytest.mark.parametrize("scale", [1e4, 1e-4])
def test_large_and_small_rows(scale, rng, dtype):
    x = np.array([[1, -1, 1, -1]], dtype) * dtype.type(scale)
    y, saved = layer_norm(plain(4, dtype), x)
    np.testing.assert_allclose(y, np.sign(x) / np.sqrt(1 + 1e-5 / scale**2), rtol=1e-5)
    dx, _ = layer_norm_backward(rng.normal(size=y.shape).astype(dtype), saved)
    assert np.isfinite(dx).all()


def test_gradients_of_a_layer_norm_do_not_move_its_mean_or_its_scale(rng):
    """y feels neither shift nor scale of x: its gradient is at right angles to both."""
    x = rng.normal(size=(3, 5))
    p = {"weight": rng.normal(size=5), "bias": rng.normal(size=5)}
    dx, _ = layer_norm_backward(rng.normal(size=x.shape), layer_norm(p, x, eps=0.0)[1])
    np.testing.assert_allclose(dx.sum(-1), 0, atol=1e-13)
    np.testing.assert_allclose((dx * (x - x.mean(-1, keepdims=True))).sum(-1), 0, atol=1e-13)
