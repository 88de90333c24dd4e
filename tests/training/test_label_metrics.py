"""Metrics of labels, by hand."""

import math

import pytest

from minitransformer.training.label_metrics import (
    accuracy,
    answers_exact,
    answers_f1,
    macro_f1,
    normalized,
    perplexity,
    span_f1,
)


def test_accuracy_and_macro_f1():
    found, there = list("aaabbc"), list("aabbbb")
    assert accuracy(found, there) == 4 / 6
    # a: tp 2, fp 1, fn 0   b: tp 2, fp 0, fn 2   c: tp 0, fp 1, fn 0
    assert macro_f1(found, there) == pytest.approx((4 / 5 + 4 / 6 + 0) / 3)
    assert macro_f1(list("ab"), list("ab")) == 1


def test_macro_f1_does_not_weigh_classes_by_their_size():
    there = ["a"] * 99 + ["b"]
    assert accuracy(["a"] * 100, there) == 0.99
    assert macro_f1(["a"] * 100, there) == pytest.approx((198 / 199 + 0) / 2)


def test_a_span_counts_where_its_label_and_both_its_ends_are_right():
    there = [[("PER", 0, 3), ("LOC", 10, 14)], [("LOC", 0, 4)], []]
    assert span_f1(there, there) == 1
    assert span_f1([[("PER", 0, 3)], [], []], there) == pytest.approx(2 * 1 / (1 + 3))
    for wrong in (("LOC", 0, 3), ("PER", 1, 3), ("PER", 0, 4)):
        assert span_f1([[wrong, ("LOC", 10, 14)], [], []], there) == pytest.approx(2 * 1 / (2 + 3))
    assert span_f1([there[1], there[0], []], there) == 0  # in another text it is another span
    assert span_f1([[("LOC", 0, 4)] * 2], [[("LOC", 0, 4)]]) == 1
    assert span_f1([[], []], [[], []]) == 1


def test_answers_without_case_punctuation_and_articles():
    assert normalized("  The Cat's, a\tDOG; An owl another ") == ["cats", "dog", "owl", "another"]
    assert answers_exact(["The Eiffel Tower!", "Paris"], [["eiffel tower"], ["London", "paris."]]) == 1
    assert answers_exact(["Paris, France", "a"], [["Paris"], ["b"]]) == 0


def test_f1_of_answers_counts_words_as_often_as_they_occur():
    assert answers_f1(["in the house in"], [["in house"]]) == pytest.approx(2 * 2 / (3 + 2))
    assert answers_f1(["new new york"], [["new new york city"]]) == pytest.approx(2 * 3 / (3 + 4))
    assert answers_f1(["paris"], [["the city of paris", "london"]]) == pytest.approx(2 * 1 / (1 + 3))
    assert answers_f1(["paris", "rome"], [["paris"], ["oslo"]]) == 0.5
    assert answers_f1(["the"], [["a"]]) == 1 and answers_f1(["the"], [["rome"]]) == 0


def test_perplexity():
    assert perplexity(math.log(7)) == pytest.approx(7) and perplexity(1e4) == math.inf


@pytest.mark.parametrize("metric", [accuracy, macro_f1, span_f1, answers_exact, answers_f1])
def test_unequal_lengths_and_nothing(metric):
    with pytest.raises(ValueError, match="1 answers, but 2 references"):
        metric(["a"], ["a", "b"])
    with pytest.raises(ValueError, match="there is nothing to score"):
        metric([], [])
