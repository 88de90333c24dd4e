import numpy as np
import pytest

from minitransformer.ops import (
    learned_positions,
    learned_positions_backward,
    sinusoidal_positions,
    sinusoidal_positions_backward,
)


def waves(T, D, positions=None):
    return sinusoidal_positions(np.zeros((1, T, D)), positions=positions)[0][0]


def test_waves_by_hand():
    P = waves(3, 4)
    np.testing.assert_array_equal(P[0], [0, 1, 0, 1])
    np.testing.assert_allclose(P[2], [np.sin(2), np.cos(2), np.sin(0.02), np.cos(0.02)], rtol=1e-14)


@pytest.mark.parametrize("D", [2, 8, 64])
def test_the_product_of_two_positions_hangs_on_their_distance_alone(D):
    """Which holds only if both columns of a pair turn at one frequency."""
    P = waves(40, D)
    for k in (0, 1, 5, 17):
        products = [P[t] @ P[t + k] for t in range(40 - k)]
        np.testing.assert_allclose(products, products[0], rtol=1e-12, atol=1e-12)


def test_every_wave_is_slower_than_the_one_before():
    P = waves(2, 10)
    angles = np.arctan2(P[1, ::2], P[1, 1::2])
    np.testing.assert_allclose(angles, 10000.0 ** (-np.arange(0, 10, 2) / 10), rtol=1e-12)


def test_an_odd_width_and_a_far_position(rng, dtype):
    x = rng.normal(size=(2, 3, 5)).astype(dtype)
    y, saved = sinusoidal_positions(x, positions=np.array([0, 7, 10**6]))
    np.testing.assert_allclose(y[:, 2, 0] - x[:, 2, 0], np.sin(10**6), atol=1e-6)
    dy = rng.normal(size=x.shape).astype(dtype)
    assert np.array_equal(sinusoidal_positions_backward(dy, saved), dy)


def test_a_row_for_every_position(rng):
    weight, x = rng.normal(size=(6, 4)), rng.normal(size=(2, 3, 4))
    y, _ = learned_positions({"weight": weight}, x)
    np.testing.assert_array_equal(y, x + weight[:3])
    each = np.array([[5, 0, 0], [1, 2, 1]])
    y, saved = learned_positions({"weight": weight}, x, positions=each)
    np.testing.assert_array_equal(y, x + weight[each])
    dy = rng.normal(size=x.shape)
    dx, g = learned_positions_backward(dy, saved)
    zero = [0] * 4
    expected = [dy[0, 1] + dy[0, 2], dy[1, 0] + dy[1, 2], dy[1, 1], zero, zero, dy[0, 0]]
    np.testing.assert_allclose(g["weight"], expected, rtol=1e-14)
    assert np.array_equal(dx, dy)


@pytest.mark.parametrize("thing", [sinusoidal_positions, learned_positions], ids=lambda thing: thing.name)
def test_positions_for_all_rows_or_for_each(thing, rng):
    p = [{"weight": rng.normal(size=(9, 4))}] if thing is learned_positions else []
    x, positions = rng.normal(size=(2, 3, 4)), np.array([8, 2, 2])
    (y, saved), (each, saved_each) = (
        thing(*p, x, positions=form) for form in (positions, np.stack([positions, positions]))
    )
    assert np.array_equal(y, each)
    dy = rng.normal(size=x.shape)
    if p:
        g, g_each = (thing.backward(dy, form)[1]["weight"] for form in (saved, saved_each))
        np.testing.assert_allclose(g, g_each, rtol=1e-14)
