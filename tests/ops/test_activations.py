"""ReLU, both GELUs and SiLU: operations of one array, element by element."""

import math

import numpy as np
import pytest

from minitransformer.ops import gelu, gelu_tanh, relu, silu

GATES = {"gelu": gelu, "gelu_tanh": gelu_tanh, "silu": silu}


@pytest.mark.parametrize(
    "activation, x, expected",
    [
        (relu, 2.5, 2.5),
        (relu, -2.5, 0.0),
        (gelu, 1.0, 0.5 * (1 + math.erf(1 / math.sqrt(2)))),  # 0.8413447, the normal distribution at one deviation
        (gelu, -2.0, -0.5 * math.erfc(2 / math.sqrt(2)) * 2),
        (gelu_tanh, 1.0, 0.5 * (1 + math.tanh(math.sqrt(2 / math.pi) * 1.044715))),
        (gelu_tanh, -2.0, -(1 + math.tanh(-math.sqrt(2 / math.pi) * (2 + 8 * 0.044715)))),
        (silu, 1.0, 1 / (1 + math.exp(-1))),
        (silu, -2.0, -2 / (1 + math.exp(2))),
    ],
    ids=lambda value: getattr(value, "name", None),
)
def test_values_by_hand(activation, x, expected):
    assert activation(np.array(x))[0] == pytest.approx(expected, rel=1e-14)


def test_published_values():
    """To the digits that tables of the normal distribution give; the approximation is off by 1.5e-4 there."""
    assert gelu(np.array(1.0))[0] == pytest.approx(0.8413447, abs=5e-8)
    assert gelu_tanh(np.array(1.0))[0] == pytest.approx(0.8411920, abs=5e-8)


def test_the_two_gelus_differ_by_up_to_4_7e_4():
    x = np.linspace(-6, 6, 2001)
    difference = np.abs(gelu(x)[0] - gelu_tanh(x)[0])
    assert difference.max() == pytest.approx(4.73e-4, abs=1e-6)
    assert abs(x[difference.argmax()]) == pytest.approx(2.70, abs=0.02)


@pytest.mark.parametrize("name", GATES)
def test_a_gate_opens_as_far_for_x_as_it_closes_for_minus_x(name, rng):
    """y = x s(x) with s(x) + s(-x) = 1:  y(x) - y(-x) = x, and so dy/dx at x and at -x add up to one."""
    x, gate = 3 * rng.normal(size=(2, 5)), GATES[name]
    (there, saved), (back, saved_back) = gate(x), gate(-x)
    np.testing.assert_allclose(there - back, x, rtol=1e-13)
    ones = np.ones_like(x)
    np.testing.assert_allclose(gate.backward(ones, saved) + gate.backward(ones, saved_back), 1, rtol=1e-13)


@pytest.mark.parametrize("activation", [relu, *GATES.values()], ids=lambda thing: thing.name)
def test_far_out_they_are_x_or_zero(activation, rng, dtype):
    x, dy = np.array([1e4, -1e4, 100, -100], dtype), rng.normal(size=4).astype(dtype)
    y, saved = activation(x)
    np.testing.assert_allclose(y, [1e4, 0, 100, 0], rtol=1e-6, atol=1e-30)
    np.testing.assert_allclose(activation.backward(dy, saved), dy * [1, 0, 1, 0], rtol=1e-6, atol=1e-30)


def test_the_kink_of_relu(dtype):
    """At zero the slope is taken to be zero, at minus zero too."""
    x = np.array([0.0, -0.0, np.finfo(dtype).tiny, -np.finfo(dtype).tiny], dtype)
    y, saved = relu(x)
    assert np.array_equal(y, [0, 0, np.finfo(dtype).tiny, 0])
    assert np.array_equal(relu.backward(np.full(4, 3, dtype), saved), [0, 0, 3, 0])


def test_silu_keeps_its_precision_where_it_is_small():
    """By tanh, σ(-16) would be 6 % off in float32, and σ(-20) zero."""
    from minitransformer.ops import silu

    x = np.linspace(-60, 20, 161)
    y, y32 = silu(x)[0], silu(x.astype(np.float32))[0]
    assert np.abs(y32 - y).max() > 0 and np.all(np.abs(y32 - y) <= 1e-5 * np.abs(y))
