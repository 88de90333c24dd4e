"""Windows of a long row of ids: each target is what comes next."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from minitransformer.convention import fold
from minitransformer.data.windows import every_window, random_windows, windows_at

KEY = np.random.SeedSequence(5)


@given(st.integers(2, 60), st.integers(1, 12), st.integers(1, 5), st.integers(0, 2**32))
def test_targets_are_one_place_on(length, context, batch, seed):
    ids = np.arange(length) * 7  # each id tells its place
    if length <= context:
        for cut in (lambda: every_window(ids, context), lambda: random_windows(ids, batch, context, KEY)):
            with pytest.raises(ValueError, match=f"the text has {length} tokens, too short .* of {context} and"):
                cut()
        return
    windows = every_window(ids, context), random_windows(ids, batch, context, np.random.SeedSequence(seed))
    assert windows[1][0].shape == (batch, context)
    for inputs, targets in windows:
        assert inputs.shape == targets.shape
        np.testing.assert_array_equal(targets, inputs + 7)
        np.testing.assert_array_equal(np.diff(inputs, axis=1), 7)
        assert inputs.min() >= 0 and targets.max() <= ids[-1]


@given(st.integers(2, 60), st.integers(1, 12))
def test_every_window_is_disjoint_and_none_is_missing(length, context):
    if length <= context:
        return
    inputs, _ = every_window(np.arange(length), context)
    assert inputs.shape == ((length - 1) // context, context)
    np.testing.assert_array_equal(inputs.ravel(), np.arange(inputs.size))  # each place once, in order
    assert length - 1 - inputs.size < context


def test_random_windows_reach_every_place():
    ids = np.arange(10)
    inputs, _ = random_windows(ids, 2000, 4, KEY)
    assert np.bincount(inputs[:, 0], minlength=6).min() > 200
    assert inputs[:, 0].max() == 5  # the last place that has a target for each of its four


def test_random_windows_follow_from_the_key():
    ids = np.arange(1000)
    first, again, other = (random_windows(ids, 8, 4, key)[0] for key in (fold(KEY, 1), fold(KEY, 1), fold(KEY, 2)))
    np.testing.assert_array_equal(first, again)
    assert (first != other).any()


def test_windows_stand_where_they_are_asked_for():
    inputs, targets = windows_at(np.array([3, 1, 4, 1, 5, 9, 2]), np.array([2, 0, 2]), 3)
    assert inputs.tolist() == [[4, 1, 5], [3, 1, 4], [4, 1, 5]]
    assert targets.tolist() == [[1, 5, 9], [1, 4, 1], [1, 5, 9]]
