"""exp and the largest of a row, as compiled into a kernel."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.special import erfcx, ndtr

from minitransformer.gradcheck import has_extended
from minitransformer.kernels.cpu.compiled import compiled
from minitransformer.kernels.cpu.functions import ERFCX, LANES, exp_negative, largest, normal, sigmoid, tanh


@compiled
def plainly(x, y):
    for i in range(x.size):
        y[i] = exp_negative(x[i])


@compiled(sums=True)
def beside_sums(x, y):
    """Where the order of a sum is free, exp must stay what it is, digit by digit."""
    total = x.dtype.type(0)
    for i in range(x.size):
        y[i] = exp_negative(x[i])
        total += y[i]
    return total


@compiled
def sigmoids(x, y):
    for i in range(x.size):
        y[i] = sigmoid(x[i])


@compiled
def tanhs(x, y):
    for i in range(x.size):
        y[i] = tanh(x[i])


@compiled
def one_at_a_time(x):
    """Not in a loop, so not vectorised."""
    return exp_negative(x)


@compiled
def top(row):
    return largest(row, np.empty(LANES, row.dtype))


def exp_of(kernel, x):
    y = np.empty_like(x)
    kernel(x, y)
    return y


precisions = pytest.mark.parametrize("dtype", [np.float32, np.float64], ids=["float32", "float64"])
kernels = pytest.mark.parametrize("kernel", [plainly, beside_sums], ids=["alone", "beside sums"])
ENDS = {np.float32: -87.33654, np.float64: -708.3964185322641}


def off(dtype, x, y):
    """How many units in the last place y is away from exp(x)."""
    exact = np.exp(x.astype(np.longdouble))
    return np.abs(y - exact) / np.spacing(exact.astype(dtype)).astype(np.longdouble)


def everywhere(dtype, rng):
    """Numbers of every size that has an exp, and those about the middle between multiples of ln 2, where n changes.

    And such as rounding made a little larger than 0.
    """
    low = ENDS[dtype]
    spread = rng.uniform(low, 0.1, 200_000)
    small = np.exp2(rng.uniform(-80, 0, 50_000)) * rng.choice([-1, -1, 0.1], 50_000)
    halves = (np.arange(np.ceil(low / np.log(2)), 0) + 0.5) * np.log(2)
    near = (halves[:, None] * (1 + np.linspace(-4, 4, 33) * np.finfo(dtype).eps)).ravel()
    x = np.concatenate([spread, small, near, np.arange(np.ceil(low), 1), [low]]).astype(dtype)
    return x[x >= low]


@kernels
@precisions
def test_within_two_units_in_the_last_place(dtype, kernel, rng):
    assert has_extended() or dtype == np.float32, "this machine has nothing wider to hold float64's exp to"
    x = everywhere(dtype, rng)
    y = exp_of(kernel, x)
    assert len(x) > 250_000
    assert off(dtype, x, y).max() <= 2


@precisions
def test_one_at_a_time(dtype, rng):
    x = everywhere(dtype, rng)[::1000]
    y = np.array([one_at_a_time(each) for each in x])
    assert off(dtype, x, y).max() <= 2 and np.array_equal(y, y.astype(dtype))


@kernels
@precisions
def test_exact_where_it_can_be(dtype, kernel):
    x = np.array([0.0, -0.0, -np.inf, np.nan, -1e30, np.finfo(dtype).min], dtype)
    expected = np.array([1.0, 1.0, 0.0, np.nan, 0.0, 0.0], dtype)
    for shift in range(len(x)):  # each number in each lane
        np.testing.assert_array_equal(exp_of(kernel, np.roll(x, shift)), np.roll(expected, shift))
    tiny = np.array([np.finfo(dtype).smallest_subnormal, -np.finfo(dtype).tiny], dtype)
    assert (exp_of(kernel, tiny) == 1).all()


@kernels
@precisions
def test_its_end(dtype, kernel):
    """The last x whose exp is a normal number; a step beyond, 0, and never anything else."""
    x = np.full(41, np.log(np.longdouble(np.finfo(dtype).tiny)), np.longdouble).astype(dtype)
    for i in range(20):  # from 20 steps inside to 20 steps outside
        x[: 20 - i] = np.nextafter(x[: 20 - i], dtype(0))
        x[21 + i :] = np.nextafter(x[21 + i :], dtype(-np.inf))
    y = exp_of(kernel, x)
    outside = y == 0
    assert outside[-18:].all() and not outside[:18].any() and (np.diff(outside.astype(int)) >= 0).all()
    assert (off(dtype, x[~outside], y[~outside]) <= 2).all()


@precisions
def test_no_large_step_down_anywhere(dtype):
    """exp rises. From one number to the next it may fall by its error, also where n changes, and by no more."""
    middles = (np.arange(np.ceil(ENDS[dtype] / np.log(2)), 0) + 0.5) * np.log(2)
    x = np.sort(middles.astype(dtype)[:, None] * (1 + np.arange(-40, 41) * np.finfo(dtype).eps).astype(dtype), axis=1)
    y = np.stack([exp_of(plainly, np.ascontiguousarray(row)) for row in x])
    assert (np.diff(y, axis=1) >= -4 * np.spacing(y[:, 1:])).all() and (np.diff(x, axis=1) > 0).mean() > 0.9


def test_only_kernels_can_call_them():
    for function in (exp_negative, normal, sigmoid, tanh):
        with pytest.raises(TypeError, match=f"{function.__name__} is for kernels"):
            function(-1.0)


# --------------------------------------------------------------------------------------------------------- the sigmoid


@precisions
def test_the_sigmoid_within_four_units_in_the_last_place(dtype, rng):
    low = ENDS[dtype]
    x = np.concatenate([rng.uniform(low, -low, 200_000), rng.normal(size=200_000), [0.0, -0.0]]).astype(dtype)
    exact = 1 / (1 + np.exp(-x.astype(np.longdouble)))
    error = np.abs(exp_of(sigmoids, x) - exact) / np.spacing(exact.astype(dtype))
    assert error.max() <= 4


@precisions
def test_tanh_within_four_units_in_the_last_place(dtype, rng):
    """Of numbers of every size, the smallest too, of which it is nearly the number itself."""
    small = np.exp2(rng.uniform(-80, 3, 200_000)) * rng.choice([-1, 1], 200_000)
    x = np.concatenate([small, rng.uniform(-30, 30, 100_000), rng.normal(size=100_000), [0.0, -0.0]]).astype(dtype)
    exact = np.tanh(x.astype(np.longdouble))
    error = np.abs(exp_of(tanhs, x) - exact) / np.spacing(np.abs(exact).astype(dtype))
    assert error.max() <= 4


@precisions
def test_tanh_of_what_is_large_or_no_number(dtype):
    x = np.array([np.inf, -np.inf, np.nan, 1e30, -1e30], dtype)
    np.testing.assert_array_equal(exp_of(tanhs, x), np.array([1, -1, np.nan, 1, -1], dtype))


@precisions
def test_the_sigmoid_of_what_is_large_or_no_number(dtype):
    x = np.array([np.inf, -np.inf, np.nan, 1e30, -1e30], dtype)
    np.testing.assert_array_equal(exp_of(sigmoids, x), np.array([1, 0, np.nan, 1, 0], dtype))


# ---------------------------------------------------------------------------------------------- the normal distribution


@compiled
def normals(x, cdf, pdf):
    for i in range(x.size):
        cdf[i], pdf[i] = normal(x[i])


def test_where_the_coefficients_come_from():
    """The polynomial through the Chebyshev points of what it stands for."""
    exact = np.polynomial.Chebyshev.interpolate(lambda t: erfcx((1 / t - 1) / 0.4) / t, 10, domain=[0, 1])
    found = np.polynomial.Polynomial(ERFCX)
    t = np.linspace(1e-6, 1, 100_001)
    np.testing.assert_allclose(found(t), exact(t), rtol=3e-9)
    np.testing.assert_allclose(found(t), erfcx((1 / t - 1) / 0.4) / t, rtol=2e-8)


@precisions
def test_the_normal_distribution(dtype, rng):
    """To some units in the last place, and those that x²/2 brings, whose rounding its exponential feels whole."""
    x = np.concatenate([rng.normal(0, 4, 200_000), rng.normal(size=200_000), [0.0, -0.0, 30, -30]]).astype(dtype)
    cdf, pdf = np.empty_like(x), np.empty_like(x)
    normals(x, cdf, pdf)
    wide = x.astype(np.float64)
    eps = np.finfo(dtype).eps
    felt = 8 + 2 * wide * wide
    for found, exact in ((cdf, ndtr(wide)), (pdf, np.exp(-wide * wide / 2) / np.sqrt(2 * np.pi))):
        large = exact > 1e4 * np.finfo(dtype).tiny
        assert (np.abs(found - exact)[large] <= (felt * eps * exact)[large]).all()
        assert (found[~large] >= 0).all() and found[~large].max(initial=0) < 1e5 * np.finfo(dtype).tiny


@precisions
def test_the_normal_distribution_of_what_is_large_or_no_number(dtype):
    x = np.array([np.inf, -np.inf, np.nan, 1e30, -1e30], dtype)
    cdf, pdf = np.empty_like(x), np.empty_like(x)
    with np.errstate(over="ignore"):
        normals(x, cdf, pdf)
    np.testing.assert_array_equal(cdf, np.array([1, 0, np.nan, 1, 0], dtype))
    np.testing.assert_array_equal(pdf, np.array([0, 0, np.nan, 0, 0], dtype))


# --------------------------------------------------------------------------------------------------------- the largest


@precisions
@given(st.integers(0, 3 * LANES + 2), st.integers(0, 2**32 - 1))
def test_the_largest_of_a_row(dtype, n, seed):
    row = np.random.default_rng(seed).normal(size=n).astype(dtype)
    assert top(row) == row.max(initial=-np.inf)


@pytest.mark.parametrize("n", [1, 2, LANES - 1, LANES, LANES + 1, 2 * LANES])
def test_the_largest_wherever_it_stands(n):
    for at in range(n):
        row = np.full(n, -3.0)
        row[at] = -2.0
        assert top(row) == -2.0


@pytest.mark.parametrize("n", [2, LANES, LANES + 1, 3 * LANES + 1])
def test_a_nan_hides_no_other_number_but_itself(n):
    """It may be passed over, and must not become the largest by half: what is then subtracted is a number."""
    for at in range(n):
        row = np.arange(n, dtype=np.float64)
        row[at] = np.nan
        assert top(row) == (n - 1 if at != n - 1 else n - 2)
    assert top(np.full(n, np.nan)) == -np.inf
    assert top(np.full(n, -np.inf)) == -np.inf and top(np.array([np.inf] + [0.0] * n)) == np.inf
