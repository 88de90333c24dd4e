"""The finite differences themselves: derivatives that are known, how long is looked for them, and along what."""

import numpy as np
import pytest

from minitransformer.gradcheck import EXTENDED, Case, bar, check, differences
from minitransformer.gradcheck.check import Run, derivative
from minitransformer.ops import layer_norm


def slope(f, x, dtype):
    x = np.array([x], dtype)
    return derivative(lambda: f(x)[0], x, (0,))


SLOPES = {  # f, f', where, and the relative error that passes in float64 and in extended precision
    "sin": (np.sin, np.cos, 0.7, 1e-12, 1e-15),
    "exp": (np.exp, np.exp, 0.3, 1e-12, 1e-14),
    "a steep 1/x": (lambda x: 1 / x, lambda x: -1 / (x * x), 0.1, 1e-10, 1e-10),
    "a wave of length 0.16": (lambda x: np.sin(40 * x), lambda x: 40 * np.cos(40 * x), 0.01, 1e-10, 1e-10),
    "|x| beside its kink": (np.abs, np.sign, 1e-3, 1e-12, 1e-15),
}


@pytest.mark.parametrize("name", SLOPES)
@pytest.mark.parametrize("dtype", [np.float64, EXTENDED], ids=["float64", "extended"])
def test_known_derivatives(name, dtype):
    f, df, x, limit, extended_limit = SLOPES[name]
    expected = df(dtype(x))
    if np.finfo(dtype).eps < np.finfo(np.float64).eps:
        limit = extended_limit
    assert abs(slope(f, x, dtype) - expected) <= limit * abs(expected)


@pytest.mark.parametrize("weight", [3e-7, 3e-9, 3e-10])
@pytest.mark.parametrize("dtype", [np.float64, EXTENDED], ids=["float64", "extended"])
def test_beside_a_kink_that_counts_little(weight, dtype):
    """Estimates nearly agree before the step is short enough: what they then err by must be less than what passes."""
    found = slope(lambda x: np.exp(x) + dtype(weight) * np.maximum(x - dtype(2e-5), 0), 0, dtype)
    assert abs(found - 1) <= bar("operation", dtype)


@pytest.mark.parametrize("dtype", [np.float64, EXTENDED], ids=["float64", "extended"])
def test_it_stops_where_estimates_agree_closely(dtype):
    """A smooth function needs some four steps of two calls; all steps at every point would be 26 calls."""
    asked = []

    def sine(x):
        asked.append(x[0])
        return np.sin(x)

    points = np.linspace(0.1, 1.4, 14)
    for x in points:
        slope(sine, x, dtype)
    assert 4 < len(asked) / len(points) < 10


def test_rounding_about_zero_is_not_followed_down_where_larger_gradients_stand_beside_it():
    """What is uneven as rounding is never agrees with itself, but soon with what an error is held against."""
    asked, x = [], np.full(1, 0.3)

    def uneven():
        asked.append(x[0])
        return 1e-16 * np.sin(1e9 * x[0])

    calls = []
    for scale in (0.0, 1e-3):
        asked.clear()
        assert abs(derivative(uneven, x, (0,), scale)) < 1e-10
        calls.append(len(asked))
    assert calls == [26, 6]


def test_a_derivative_along_a_direction_leaves_no_trace(rng):
    x = rng.normal(size=(4, 3)).T
    kept, u = x.copy(), rng.normal(size=(3, 4))
    assert derivative(lambda: np.sum(np.sin(x)), x, u) == pytest.approx(np.sum(np.cos(x) * u), rel=1e-10)
    assert np.array_equal(x, kept)


def test_directions_are_of_length_one_and_elements_are_drawn_once(rng):
    """Along a shorter direction a wrong gradient would err by less."""
    size = Case(lambda x: (2 * x, ()), lambda dy, saved: 2 * dy, {"x": rng.normal(size=(3, 4))}, {}, effort=(5, 4))
    ways = [u for u, _ in differences(Run(size, np.float64, rng), rng)["x"]]
    elements, directions = ways[:5], ways[5:]
    assert len(set(elements)) == 5 and len(directions) == 4
    for u in directions:
        assert u.shape == (3, 4) and np.sum(u * u) == pytest.approx(1)
        assert np.abs(u).max() <= 3 * np.abs(u).min()


def test_steps_that_leave_the_domain_and_narrow_norms_do_not_cry_wolf():
    """A correct log near 0 (large steps cross it), and a norm of nearly equal values (large steps overshoot)."""
    rng = np.random.default_rng(0)
    log = Case(lambda x: (np.log(x), x), lambda dy, x: dy / x, {"x": np.array([0.004, 0.01, 2.0])}, {})
    p = {"weight": rng.normal(size=3), "bias": rng.normal(size=3)}
    narrow = Case(layer_norm, layer_norm.backward, {"p": p, "x": 0.01 * rng.normal(size=(2, 3))}, {})
    for one in (log, narrow):
        found = check(one, np.float64, rng)
        assert found and all(gradient.passed for gradient in found), found
