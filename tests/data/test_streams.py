import numpy as np
import pytest

from minitransformer.data.streams import pieces, streams


def test_as_the_docstring_draws_it():
    rows = streams(np.arange(10), 2)
    assert rows.tolist() == [[0, 1, 2, 3, 4], [5, 6, 7, 8, 9]]
    assert [ids.tolist() for ids, _ in pieces(rows, 2)] == [[[0, 1], [5, 6]], [[2, 3], [7, 8]]]
    assert [targets.tolist() for _, targets in pieces(rows, 2)] == [[[1, 2], [6, 7]], [[3, 4], [8, 9]]]


@pytest.mark.parametrize("n, length", [(1, 4), (3, 7), (4, 100)])
@pytest.mark.parametrize("vary", [False, True])
def test_each_piece_goes_on_where_the_last_has_ended(n, length, vary, rng):
    rows = streams(rng.integers(0, 9, 211), n)
    cut = pieces(rows, length, rng if vary else None)
    for part in range(2):  # nothing is left out, and nothing read twice
        whole = rows[:, part : rows.shape[1] - 1 + part]
        assert np.array_equal(np.concatenate([piece[part] for piece in cut], 1), whole)


def test_lengths_vary_about_the_one_that_is_asked_for(rng):
    lengths = np.array([ids.shape[1] for ids, _ in pieces(np.zeros((1, 50_000), int), 60, rng)[:-1]])
    half = lengths < 45
    assert abs(lengths[~half].mean() - 60) < 1.5 and 4 < lengths[~half].std() < 6
    assert 0.02 < half.mean() < 0.09 and abs(lengths[half].mean() - 30) < 4
    assert min(ids.shape[1] for ids, _ in pieces(np.zeros((1, 500), int), 4, rng)[:-1]) >= 5


@pytest.mark.parametrize("length", [0, 3, 5])
def test_a_text_that_is_too_short(length):
    """A stream of one token has nothing to be told."""
    with pytest.raises(ValueError, match=f"the text has {length} tokens, too short for 3 streams"):
        streams(np.arange(length), 3)


@pytest.mark.parametrize("wrong", [0, -1])
def test_at_least_one(wrong):
    """Pieces of nothing would never come to an end."""
    with pytest.raises(ValueError, match=f"n={wrong} must be at least 1"):
        streams(np.arange(9), wrong)
    with pytest.raises(ValueError, match=f"length={wrong} must be at least 1"):
        pieces(np.zeros((1, 9), int), wrong)
