"""How good labels are: accuracy and macro-F1 of texts, F1 of spans, exact match and F1 of answers, perplexity.

    F1 = 2 tp / (2 tp + fp + fn)            the harmonic mean of precision and recall

Of what is not there and was not found, F1 is 1.
"""

import math
import re
import string
from collections import Counter

from .metrics import check_lengths

ARTICLES = re.compile(r"\b(a|an|the)\b")
PUNCTUATION = str.maketrans("", "", string.punctuation)


def f1(both, found, there):
    """Of `found` things and of those that are `there`, `both` are the same."""
    return 2 * both / (found + there) if found + there else 1.0


def accuracy(labels, references):
    """The share of labels that are right."""
    check_lengths(labels, references)
    return sum(a == b for a, b in zip(labels, references)) / len(references)


def macro_f1(labels, references):
    """The mean of the classes' F1, whatever their sizes; of those that occur, on either side."""
    check_lengths(labels, references)
    right = Counter(a for a, b in zip(labels, references) if a == b)
    found, there = Counter(labels), Counter(references)
    classes = found.keys() | there.keys()
    return sum(f1(right[one], found[one], there[one]) for one in classes) / len(classes)


def span_f1(spans, references):
    """F1 of spans, all texts together: a span counts where its label and both its ends are right (as in CoNLL 2003)

    spans, references: for each text, some (label, begin, end)
    """
    check_lengths(spans, references)
    both = sum(len(set(a) & set(b)) for a, b in zip(spans, references))
    return f1(both, sum(len(set(a)) for a in spans), sum(len(set(b)) for b in references))


def normalized(answer):
    """[word, ...] without case, punctuation and articles (Rajpurkar et al. 2016, section 6.1)"""
    return ARTICLES.sub(" ", answer.lower().translate(PUNCTUATION)).split()


def answers_exact(answers, references):
    """The share of answers that are one of their references, normalized; references: some for each answer"""
    check_references(answers, references)
    return sum(
        any(normalized(answer) == normalized(one) for one in those) for answer, those in zip(answers, references)
    ) / len(answers)


def answers_f1(answers, references):
    """The mean F1 of the words of an answer and of its reference, of several the one that fits best"""
    check_references(answers, references)
    return sum(max(words_f1(answer, one) for one in those) for answer, those in zip(answers, references)) / len(answers)


def check_references(answers, references):
    check_lengths(answers, references)
    if not all(references):
        raise ValueError("there is an answer without a reference")


def words_f1(answer, reference):
    found, there = normalized(answer), normalized(reference)
    if not found or not there:
        return float(found == there)
    return f1((Counter(found) & Counter(there)).total(), len(found), len(there))


def perplexity(loss):
    """e to the mean cross-entropy of a token: among how many equally likely ones it is as hard to choose"""
    return math.exp(loss) if loss < 700 else math.inf
