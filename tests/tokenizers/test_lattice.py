"""The sum over all cuts of a word, held to the cuts one by one; and its backward, to finite differences."""

import numpy as np
import pytest

from minitransformer.gradcheck import Case, bar, check, has_extended
from minitransformer.tokenizers.lattice import NONE, best_sum, edges, log_sum, log_sum_backward

PIECES = ["a", "b", "c", "ab", "bc", "abc", "aa", "cab", "ca"]
IDS = {piece: id for id, piece in enumerate(PIECES)}
WORDS = ["abcab", "aabca", "ccccc"]
LONGEST = 3
EXTENDED = [np.longdouble] if has_extended() else []


def cuts(word):
    """Every way to cut a word into pieces, as lists of ids"""
    if not word:
        return [[]]
    lengths = [n for n in range(1, min(LONGEST, len(word)) + 1) if word[:n] in IDS]
    return [[IDS[word[:n]], *rest] for n in lengths for rest in cuts(word[n:])]


@pytest.fixture
def scores(rng):
    return rng.normal(size=len(PIECES))


def test_the_sum_is_that_of_all_cuts(scores):
    found, _ = log_sum(scores, edges=edges(WORDS, IDS, LONGEST))
    for word, log_z in zip(WORDS, found, strict=True):
        of_cuts = [scores[cut].sum() for cut in cuts(word)]
        assert np.isclose(log_z, np.logaddexp.reduce(of_cuts), rtol=0, atol=1e-12)
    assert len(cuts("abcab")) > 5


def test_the_best_is_the_best_of_all_cuts(scores):
    found = best_sum(scores, edges=edges(WORDS, IDS, LONGEST))
    assert np.allclose(found, [max(scores[cut].sum() for cut in cuts(word)) for word in WORDS], rtol=0, atol=1e-12)
    lattice = edges(["ab"], {"a": 0}, LONGEST)
    assert best_sum(scores, edges=lattice) == [-np.inf] and lattice.tolist() == [[[0], [NONE]], [[NONE], [NONE]]]


def test_a_path_that_is_all_but_impossible_takes_nothing_from_another():
    lattice = edges(["ab"], {"a": 0, "b": 1, "ab": 2}, LONGEST)
    for scores, expected in (([-1.0, -1.0, -900.0], -2), ([-1.0, -900.0, -1.0], -1)):
        assert log_sum(np.array(scores), edges=lattice)[0] == [expected]


def test_the_backward_is_what_is_expected(scores):
    """How often each piece comes, over all cuts and their probabilities."""
    times = np.array([2.0, 0.5, 3.0])
    _, saved = log_sum(scores, edges=edges(WORDS, IDS, LONGEST))
    expected = np.zeros(len(PIECES))
    for word, often in zip(WORDS, times, strict=True):
        of_cuts = np.array([scores[cut].sum() for cut in cuts(word)])
        for cut, probability in zip(cuts(word), np.exp(of_cuts - np.logaddexp.reduce(of_cuts)), strict=True):
            np.add.at(expected, cut, often * probability)
    assert np.allclose(log_sum_backward(times, saved), expected, rtol=0, atol=1e-12)


@pytest.mark.parametrize("words", [WORDS, ["a"], ["bc", "cb"], ["abc"]])
def test_the_gradient(words, scores, rng):
    case = Case(log_sum, log_sum_backward, {"scores": scores}, {"edges": edges(words, IDS, LONGEST)})
    for dtype in (np.float64, *EXTENDED):
        found = check(case, dtype, rng, bar("operation", dtype))
        assert all(gradient.passed for gradient in found), found


def test_precision_follows_the_scores(scores):
    """A word that nothing reaches on the way, and one without any path, in float32 as in float64."""
    lattice = edges(["aab", "abb"], {"a": 0, "ab": 3}, LONGEST)
    expected, saved = log_sum(scores, edges=lattice)
    felt = log_sum_backward(np.array([2.0, 1.0]), saved)
    assert np.isfinite(expected[0]) and expected[1] == -np.inf
    found, saved = log_sum(scores.astype("f"), edges=lattice)
    for array in (found, *saved[:2], best_sum(scores.astype("f"), edges=lattice)):
        assert array.dtype == np.float32 and not np.isnan(array).any()
    np.testing.assert_allclose(found, expected, rtol=1e-5)
    again = log_sum_backward(np.array([2, 1], "f"), saved)
    assert again.dtype == np.float32
    np.testing.assert_allclose(again, felt, rtol=1e-5, atol=1e-6)
