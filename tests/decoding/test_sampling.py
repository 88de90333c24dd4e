"""From logits to an id."""

import itertools

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from minitransformer.decoding import choose, log_probabilities, probabilities, sample

# Quarters, so that equal logits are common, and -∞ for what may not come.
LOGITS = st.lists(st.integers(-12, 12).map(lambda n: n / 4) | st.just(-np.inf), min_size=1, max_size=9).filter(
    lambda logits: max(logits) > -np.inf
)


def softmax(logits):
    p = np.exp(np.array(logits) - max(logits))
    return p / p.sum()


def fewest_that_reach(p, least):
    """All smallest sets of ids whose probabilities add up to at least this, by trying every set."""
    for size in range(1, len(p) + 1):
        sets = [ids for ids in itertools.combinations(range(len(p)), size) if sum(p[i] for i in ids) >= least]
        if sets:
            best = max(sum(p[i] for i in ids) for ids in sets)
            return [ids for ids in sets if sum(p[i] for i in ids) >= best - 1e-12]
    raise AssertionError(f"{p} does not reach {least}")


def kept_ids(p):
    return set(np.flatnonzero(p).tolist())


@given(LOGITS, st.floats(0.05, 5))
def test_temperature_divides_the_logits(logits, temperature):
    expected = softmax(np.array(logits) / temperature)
    np.testing.assert_allclose(probabilities(np.array(logits), temperature=temperature), expected, rtol=1e-12)


@given(LOGITS, st.integers(1, 10))
def test_top_k_keeps_the_k_largest_and_what_equals_the_last(logits, k):
    found = probabilities(np.array(logits), top_k=k)
    p = softmax(logits)
    smallest = sorted(p)[-min(k, len(p))]
    expected = np.where(p >= smallest, p, 0)
    np.testing.assert_allclose(found, expected / expected.sum(), rtol=1e-12)


@given(LOGITS, st.floats(0.01, 0.99))
def test_top_p_keeps_every_smallest_set_that_reaches_p(logits, top_p):
    """Against all subsets. Where ties allow several smallest sets, the tokens of all of them stay."""
    p = softmax(logits)
    if any(abs(sum(subset) - top_p) < 1e-9 for n in range(len(p)) for subset in itertools.combinations(p, n)):
        top_p += 3.14159e-6  # decided by rounding: move off
    expected = {i for ids in fewest_that_reach(p, top_p) for i in ids}
    found = probabilities(np.array(logits), top_p=top_p)
    assert kept_ids(found) == expected
    np.testing.assert_allclose(found[sorted(expected)], p[sorted(expected)] / p[sorted(expected)].sum(), rtol=1e-12)


@given(LOGITS, st.integers(1, 9), st.floats(0.01, 0.99))
def test_top_p_is_taken_of_what_top_k_left(logits, k, top_p):
    logits = np.array(logits)
    after_k = probabilities(logits, top_k=k)
    with np.errstate(divide="ignore"):
        expected = probabilities(np.log(after_k), top_p=top_p)
    found = probabilities(logits, top_k=k, top_p=top_p)
    np.testing.assert_allclose(found.sum(), 1, rtol=1e-12)
    assert kept_ids(found) <= kept_ids(after_k)
    if not any(abs(total - top_p) < 1e-9 for total in np.cumsum(np.sort(after_k)[::-1])):  # decided by rounding
        assert kept_ids(found) == kept_ids(expected)


@pytest.mark.parametrize(
    ("top_p", "ids"),
    [
        (1e-300, {1}),  # never nothing
        (0.3, {1}),
        (0.5, {1}),  # reached exactly: no more is needed
        (0.5000001, {0, 1}),
        (0.75, {0, 1}),
        (0.76, {0, 1, 2, 3}),  # two tied: both or none
        (1.0, {0, 1, 2, 3}),
    ],
)
def test_known_top_p(top_p, ids):
    assert kept_ids(probabilities(np.log([0.25, 0.5, 0.125, 0.125]), top_p=top_p)) == ids


def test_top_p_of_one_keeps_even_what_rounding_would_lose():
    """Added to the others, e^-50 changes nothing; it may come all the same."""
    assert kept_ids(probabilities(np.array([0.0, 1.0, -50.0]), top_p=1.0)) == {0, 1, 2}


@given(LOGITS, st.floats(0, 1) | st.sampled_from([0.0, 1.0]))
def test_min_p_keeps_what_is_likely_enough_beside_the_likeliest(logits, min_p):
    """By trying every id; what equals the border stays."""
    p = softmax(logits)
    expected = {i for i in range(len(p)) if p[i] >= min_p * max(p) * (1 - 1e-14)}
    found = probabilities(np.array(logits), min_p=min_p)
    assert kept_ids(found) | {i for i in expected if p[i] == 0} == expected
    np.testing.assert_allclose(found[sorted(expected)], p[sorted(expected)] / p[sorted(expected)].sum(), rtol=1e-12)


@pytest.mark.parametrize(("min_p", "ids"), [(0.0, {0, 1, 2, 3}), (0.25, {0, 1, 2, 3}), (0.26, {0, 1}), (1.0, {1})])
def test_known_min_p(min_p, ids):
    """A quarter of the likeliest is still in."""
    assert kept_ids(probabilities(np.log2([0.25, 0.5, 0.125, 0.125]) * np.log(2), min_p=min_p * (1 - 1e-15))) == ids


@given(LOGITS, st.integers(1, 9), st.floats(0.05, 0.95), st.floats(0.05, 0.95), st.sampled_from([0.5, 2.0]))
def test_min_p_comes_last(logits, k, top_p, min_p, temperature):
    """After temperature, top-k and top-p: those it leaves are those that are likely enough among what they leave."""
    settings = {"temperature": temperature, "top_k": k, "top_p": top_p}
    before = probabilities(np.array(logits), **settings)
    expected = np.where(before >= min_p * before.max() * (1 - 1e-14), before, 0)
    found = probabilities(np.array(logits), min_p=min_p * (1 - 1e-14), **settings)
    np.testing.assert_allclose(found, expected / expected.sum(), rtol=1e-12)


@given(LOGITS, st.floats(0.1, 10), st.data())
def test_the_penalty_divides_what_is_positive_and_multiplies_what_is_not(logits, penalty, data):
    """Once, however often an id was there; and before the temperature."""
    ids = data.draw(st.lists(st.integers(0, len(logits) - 1), max_size=6))
    expected = [
        (logit / penalty if logit > 0 else logit * penalty) if i in ids else logit for i, logit in enumerate(logits)
    ]
    for temperature in (0, 0.5, 1.0):
        found = probabilities(np.array(logits), ids, temperature=temperature, repetition_penalty=penalty)
        np.testing.assert_allclose(found, probabilities(np.array(expected), temperature=temperature), rtol=1e-12)


@pytest.mark.parametrize("ids", [[], [0], [2], [1, 1], [0, 1, 2]])
def test_a_penalty_above_one_makes_nothing_likelier_that_was_there(ids):
    """Not even what is negative, which the published division alone would."""
    logits = np.array([1.0, 2.0, -3.0])
    before, after = softmax(logits), probabilities(logits, ids, repetition_penalty=1.5)
    scale = np.log(before / after)
    lowered = set(np.flatnonzero(scale > scale.min() + 1e-9).tolist())
    assert lowered == (set(ids) if len(set(ids)) < 3 else {1, 2})  # of all three, beside the one lowered least


def test_greedy_hears_of_the_penalty():
    assert sample(np.array([1.0, 1.5, -1.0]), 0.5, [1], temperature=0, repetition_penalty=2.0) == 0
    assert sample(np.array([-1.0, -1.5]), 0.5, [0], temperature=0, repetition_penalty=2.0) == 1


@pytest.mark.parametrize("ids", [[3], [-1], [0, 7]])
def test_the_penalty_knows_no_foreign_ids(ids):
    with pytest.raises(ValueError, match="outside the vocabulary of 3"):
        probabilities(np.zeros(3), ids, repetition_penalty=2.0)


@given(st.lists(LOGITS.map(lambda logits: (logits * 9)[:9]), min_size=1, max_size=4))
def test_log_probabilities_are_those_of_each_row(rows):
    rows = np.array(rows)
    with np.errstate(divide="ignore"):
        expected = np.log([softmax(row) for row in rows])
    np.testing.assert_allclose(log_probabilities(rows), expected, rtol=1e-12, atol=1e-12)
    assert np.all(log_probabilities(rows + 1000.0) <= 0)
    with pytest.raises(ValueError, match="the largest of the logits is nan"):
        log_probabilities(np.append(rows, np.full((1, 9), np.nan), 0))


@pytest.mark.parametrize("k", [8, 4000])
def test_top_k_of_many(k):
    """Of many, the selection takes another way than of few."""
    logits = np.random.default_rng(0).permutation(5000) / 1000
    assert np.array_equal(np.flatnonzero(probabilities(logits, top_k=k)), np.sort(np.argsort(-logits)[:k]))


def test_top_k_of_one_is_every_largest():
    assert probabilities(np.array([1.0, 3.0, 3.0, 2.0]), top_k=1).tolist() == [0, 0.5, 0.5, 0]


@given(LOGITS, st.floats(0, 1, exclude_max=True))
def test_temperature_zero_is_the_argmax(logits, u):
    logits = np.array(logits)
    assert sample(logits, u, temperature=0) == np.argmax(logits)
    assert sample(logits, u, temperature=0, top_k=3, top_p=0.5) == np.argmax(logits)


@pytest.mark.parametrize("temperature", [1e-3, 1e-300, 5e-324])
def test_small_temperatures_come_near_it(temperature):
    assert probabilities(np.array([1e4, -1e4, 1e4 - 1]), temperature=temperature).tolist() == [1, 0, 0]


def test_large_logits_overflow_nothing():
    np.testing.assert_allclose(probabilities(np.array([1e4, 1e4 - 1, -1e4])), softmax([1, 0, -1e4]), rtol=1e-12)


@pytest.mark.parametrize("dtype", [np.float32, np.float64, np.longdouble])
def test_probabilities_are_float64_and_the_logits_stay(dtype):
    logits = np.array([0.5, 2, 1], dtype)
    logits.flags.writeable = False
    p = probabilities(logits, top_k=2, top_p=0.9)
    assert p.dtype == np.float64
    np.testing.assert_allclose(p, [0, *softmax([2, 1])], rtol=1e-6)


@pytest.mark.parametrize("settings", [{}, {"temperature": 0}, {"top_k": 1}, {"top_p": 0.5}, {"min_p": 0.5}])
@pytest.mark.parametrize("bad", [[1.0, np.nan, 2.0], [np.nan], [1.0, np.inf], [-np.inf, -np.inf]])
def test_logits_that_allow_no_choice_are_refused(settings, bad):
    with pytest.raises(ValueError, match="no token can be chosen: the largest of the logits is (nan|inf|-inf)"):
        probabilities(np.array(bad), **settings)


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"temperature": -0.1}, "the temperature must be 0 .* not -0.1"),
        ({"temperature": float("nan")}, "the temperature must be 0 .* not nan"),
        ({"temperature": float("inf")}, "the temperature must be 0 .* not inf"),
        ({"top_k": 0}, "top_k must be at least 1, not 0"),
        ({"top_k": -3}, "top_k must be at least 1, not -3"),
        ({"top_p": 0.0}, "top_p must be above 0 and at most 1, not 0.0"),
        ({"top_p": 1.01}, "top_p must be above 0 and at most 1, not 1.01"),
        ({"top_p": float("nan")}, "top_p must be above 0 and at most 1, not nan"),
        ({"min_p": -0.1}, "min_p must be from 0 to 1, not -0.1"),
        ({"min_p": 1.01}, "min_p must be from 0 to 1, not 1.01"),
        ({"min_p": float("nan")}, "min_p must be from 0 to 1, not nan"),
        ({"repetition_penalty": 0.0}, r"the repetition penalty must be above 0 \(1 is none\), not 0.0"),
        ({"repetition_penalty": -1.0}, "the repetition penalty must be above 0 .* not -1.0"),
        ({"repetition_penalty": float("inf")}, "the repetition penalty must be above 0 .* not inf"),
        ({"repetition_penalty": float("nan")}, "the repetition penalty must be above 0 .* not nan"),
    ],
)
def test_settings_that_make_no_sense_are_refused(settings, message):
    with pytest.raises(ValueError, match=message):
        probabilities(np.zeros(3), **settings)


@given(LOGITS)
def test_choosing_divides_the_interval_in_proportion(logits):
    """Of N numbers spread evenly over [0, 1), each id gets its share, give or take the one at a border."""
    p, N = probabilities(np.array(logits)), 500
    chosen = np.bincount([choose(p, (i + 0.5) / N) for i in range(N)], minlength=len(p))
    assert np.all(np.abs(chosen - N * p) <= 1 + 1e-9)
    assert kept_ids(chosen) <= kept_ids(p)


@given(st.lists(st.sampled_from([0.0, 0.1, 0.3, 1e-17, 1.0, 7.0]), min_size=1, max_size=12).filter(any))
def test_the_ends_of_the_interval_choose_what_may_come(weights):
    p = np.array(weights) / sum(weights)
    possible = np.flatnonzero(p)
    assert choose(p, 0.0) == possible[0]
    assert p[choose(p, np.nextafter(1, 0))] > 0
