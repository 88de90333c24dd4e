import math

import numpy as np
import pytest

from minitransformer.ops import adamw

USUAL = {"learning_rate": 1e-3, "beta1": 0.9, "beta2": 0.999, "eps": 1e-8, "weight_decay": 0.0}


def first_step(w, g, **settings):
    return adamw(w, g, np.zeros_like(w), np.zeros_like(w), t=1, **(USUAL | settings))[0]


def test_three_steps_by_hand(rng):
    """Algorithm 1 of the paper in Python's floats, the decay added."""
    w = x = 0.7
    m = v = m_hand = v_hand = 0.0
    settings = USUAL | {"weight_decay": 0.1, "eps": 1e-3}
    for t in (1, 2, 3):
        g = float(rng.normal())
        w, m, v = (a.item() for a in adamw(*map(np.array, (w, g, m, v)), t=t, **settings))
        m_hand = 0.9 * m_hand + 0.1 * g
        v_hand = 0.999 * v_hand + 0.001 * g**2
        step = m_hand / (1 - 0.9**t) / (math.sqrt(v_hand / (1 - 0.999**t)) + 1e-3)
        x = x - 1e-3 * step - 1e-3 * 0.1 * x
        assert (w, m, v) == pytest.approx((x, m_hand, v_hand), rel=1e-12)


@pytest.mark.parametrize("betas", [(0.9, 0.999), (0.9, 0.95), (0.5, 0.99)], ids=str)
@pytest.mark.parametrize("scale", [1e-5, 1.0, 1e5])
def test_the_first_step_is_the_learning_rate_whatever_the_gradients_scale(scale, betas, rng, dtype):
    w = np.zeros((3, 4), dtype)
    g = (scale * (1 + rng.random((3, 4))) * rng.choice([-1, 1], (3, 4))).astype(dtype)
    new = first_step(w, g, beta1=betas[0], beta2=betas[1])
    np.testing.assert_allclose(new, -1e-3 * np.sign(g), rtol=2e-3)


def test_where_epsilon_is_felt():
    """At |g| = ε the step is half the learning rate: ε stands beside √v̂, after its correction."""
    new = first_step(np.zeros(1), np.full(1, 1e-8))
    np.testing.assert_allclose(new, -0.5e-3, rtol=1e-6)


@pytest.mark.parametrize("scale", [0.0, 1.0, 100.0])
def test_decay_is_decoupled_from_the_gradient(scale, rng):
    """It takes away the same share of w whatever the gradient is; inside g it would be divided by √v̂."""
    w, g = rng.normal(size=(2, 5))
    with_decay, without = (first_step(w, scale * g, weight_decay=decay) for decay in (0.1, 0.0))
    np.testing.assert_allclose(without - with_decay, 1e-3 * 0.1 * w, rtol=1e-9)


def test_no_gradient_and_no_decay_move_nothing(rng, dtype):
    w = rng.normal(size=(2, 3)).astype(dtype)
    assert np.array_equal(first_step(w, np.zeros_like(w)), w)


def test_nothing_is_written_to_or_widened(rng, dtype):
    arrays = [rng.random((2, 3)).astype(dtype) for _ in range(4)]
    for array in arrays:
        array.flags.writeable = False
    from_a_schedule = {name: np.float64(value) for name, value in USUAL.items()}
    for new in adamw(*arrays, t=np.int64(3), **from_a_schedule):
        assert new.dtype == dtype
        assert not any(np.shares_memory(new, array) for array in arrays)
