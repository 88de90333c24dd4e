import numpy as np
import pytest

from minitransformer.ops import dropout, locked_dropout, locked_dropout_backward

KEY = np.random.SeedSequence(3)


@pytest.mark.parametrize("axis", [0, 1, 2, -1])
def test_the_same_all_along_the_axis(axis, rng):
    x = 1 + rng.random((5, 6, 7))
    y, saved = locked_dropout(x, axis=axis, rate=0.4, key=KEY)
    kept = y != 0
    assert (kept == np.take(kept, [0], axis)).all() and kept.any() and not kept.all()
    np.testing.assert_allclose(y[kept], x[kept] / 0.6, rtol=1e-14)
    others = [i for i in range(3) if i != axis % 3]
    assert kept.all(axis).std() > 0 and all((kept != np.take(kept, [0], i)).any() for i in others)
    dy = rng.normal(size=x.shape)
    assert np.array_equal(locked_dropout_backward(dy, saved), np.where(kept, dy / 0.6, 0))


def test_along_an_axis_of_one_it_is_dropout(rng):
    x = rng.normal(size=(4, 1, 5))
    assert np.array_equal(locked_dropout(x, axis=1, rate=0.4, key=KEY)[0], dropout(x, rate=0.4, key=KEY)[0])


def test_a_longer_sequence_loses_the_same_units(rng):
    """What is dropped does not hang on how long the axis is."""
    x = 1 + rng.random((3, 8, 5))
    y, short = (locked_dropout(part, axis=1, rate=0.5, key=KEY)[0] for part in (x, x[:, :3]))
    assert np.array_equal(y[:, :3], short)


@pytest.mark.parametrize("rate, key", [(0.5, None), (0.0, KEY)])
def test_evaluation_changes_nothing(rate, key, rng):
    x = rng.normal(size=(2, 3, 4))
    assert np.array_equal(locked_dropout(x, axis=1, rate=rate, key=key)[0], x)


def test_a_rate_of_one_is_refused(rng):
    with pytest.raises(ValueError, match="a dropout rate must be at least 0 and below 1, not 1"):
        locked_dropout(rng.normal(size=(2, 3, 4)), axis=1, rate=1, key=KEY)
