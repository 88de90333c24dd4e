import numpy as np
import pytest

from minitransformer.convention import fold
from minitransformer.ops import dropout, dropout_backward

N = 100_000


@pytest.fixture(params=range(3), ids="key{}".format)
def key(request):
    return fold(np.random.SeedSequence(request.param), 7)


@pytest.mark.parametrize("rate", [0.01, 0.1, 0.5, 0.9])
def test_the_rate_is_kept(rate, key):
    """The number of zeros is binomial: within five deviations of its mean."""
    y, _ = dropout(np.ones(N), rate=rate, key=key)
    assert abs((y == 0).sum() - rate * N) <= 5 * np.sqrt(N * rate * (1 - rate))
    assert set(np.unique(y)) == {0, 1 / (1 - rate)}


def test_the_expectation_is_x(rng):
    """Over many keys the mean of y is x, within five deviations of a mean."""
    x, rate, n = rng.normal(size=(2, 3)), 0.3, 2000
    mean = np.mean([dropout(x, rate=rate, key=fold(np.random.SeedSequence(0), i))[0] for i in range(n)], 0)
    assert (np.abs(mean - x) <= 5 * np.abs(x) * np.sqrt(rate / (1 - rate) / n)).all()


@pytest.mark.parametrize("rate, key", [(0.5, None), (0.0, np.random.SeedSequence(1)), (0.0, None)])
def test_evaluation_changes_nothing(rate, key, rng):
    x = rng.normal(size=(3, 4))
    y, saved = dropout(x, rate=rate, key=key)
    dy = rng.normal(size=x.shape)
    assert np.array_equal(y, x) and np.array_equal(dropout_backward(dy, saved), dy)


def test_what_is_dropped_hangs_on_the_key_alone(key, rng):
    """Not on the values, their precision, their shape, their layout, or on how many come after."""
    x = 1 + rng.random(24)
    dropped = dropout(x, rate=0.5, key=key)[0] == 0
    for other in (x + 1, x.astype("f"), x.reshape(2, 3, 4), x.reshape(4, 6).T.copy().T, 1 + rng.random(50)):
        assert np.array_equal((dropout(other, rate=0.5, key=key)[0] == 0).ravel()[:24], dropped)
    other_key = dropout(x, rate=0.5, key=fold(key, 0))[0] == 0
    assert not np.array_equal(other_key, dropped)


def test_the_backward_drops_the_same(key, rng):
    x, dy = 1 + rng.random((4, 5)), rng.normal(size=(4, 5))
    y, saved = dropout(x, rate=0.4, key=key)
    np.testing.assert_allclose(dropout_backward(dy, saved), dy * y / x, rtol=1e-14)


def test_what_is_dropped_is_gone_whatever_it_was(key):
    y, _ = dropout(np.full(100, np.inf), rate=0.5, key=key)
    assert set(np.unique(y)) == {0, np.inf}
