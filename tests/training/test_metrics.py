"""How good translations are."""

import sys
from types import ModuleType, SimpleNamespace

import numpy as np
import pytest

from minitransformer.training.metrics import OF_SACREBLEU, bleu, chrf, exact_match, signatures, token_accuracy


@pytest.mark.parametrize(
    ("answers", "references", "share"),
    [
        (["a"], ["a"], 1.0),
        (["a", "b", "c", "é"], ["a", "B", "c ", "é"], 0.5),
        (("", "x"), ("x", ""), 0.0),
    ],
)
def test_exact_match_is_the_share_of_equal_strings(answers, references, share):
    assert exact_match(answers, references) == share


@pytest.mark.parametrize("measure", [exact_match, bleu, chrf])
def test_nothing_and_unequal_numbers_are_refused(measure):
    with pytest.raises(ValueError, match="1 answers, but 2 references"):
        measure(["a"], ["a", "b"])
    with pytest.raises(ValueError, match="nothing to score"):
        measure([], [])


def test_token_accuracy_counts_tokens_not_batches():
    first = np.array([[1, 2, 3], [4, 0, 9]]), np.array([[1, 2, 7], [4, -100, -100]])  # 3 of 4
    second = np.array([[5, 5]]), np.array([[6, -100]])  # 0 of 1
    assert token_accuracy([first]) == 3 / 4
    assert token_accuracy([first, second]) == 3 / 5
    assert token_accuracy(iter([second, first, first])) == 6 / 9


def test_what_does_not_count_is_not_right_either():
    """A model that never says an id could say -100."""
    assert token_accuracy([(np.array([[-100, -100, 3]]), np.array([[-100, 3, 3]]))]) == 1 / 2


def test_token_accuracy_refuses_what_does_not_fit():
    with pytest.raises(ValueError, match=r"predicted has shape \(1, 2\), targets \(2, 2\)"):
        token_accuracy([(np.zeros((1, 2), int), np.zeros((2, 2), int))])
    for batches in ([], [(np.zeros((1, 2), int), np.full((1, 2), -100))]):
        with pytest.raises(ValueError, match="no target that counts"):
            token_accuracy(batches)


@pytest.fixture
def sacrebleu(monkeypatch):
    """A stand-in with sacrebleu's interface, which remembers what it was asked."""
    asked = []

    def metric(name):
        def corpus_score(hypotheses, references):
            asked.append((name, hypotheses, references))
            return SimpleNamespace(score=42.5)

        return lambda: SimpleNamespace(corpus_score=corpus_score, get_signature=lambda: f"signature of {name}")

    package, metrics = ModuleType("sacrebleu"), ModuleType("sacrebleu.metrics")
    package.metrics, metrics.BLEU, metrics.CHRF = metrics, metric("BLEU"), metric("CHRF")
    monkeypatch.setitem(sys.modules, "sacrebleu", package)
    monkeypatch.setitem(sys.modules, "sacrebleu.metrics", metrics)
    return asked


@pytest.mark.parametrize(("measure", "name"), [(bleu, "BLEU"), (chrf, "CHRF")])
def test_sacrebleu_is_given_one_stream_of_references(sacrebleu, measure, name):
    assert measure(["a b", "c"], ["a", "c d"]) == (42.5, f"signature of {name}")
    assert sacrebleu == [(name, ["a b", "c"], [["a", "c d"]])]


def test_signatures_are_known_before_there_is_an_answer(sacrebleu):
    assert signatures() == {"BLEU": "signature of BLEU", "chrF": "signature of CHRF"}
    assert OF_SACREBLEU == {"BLEU": bleu, "chrF": chrf}


@pytest.mark.parametrize("measure", [bleu, chrf])
def test_without_sacrebleu_the_message_says_what_to_install(monkeypatch, measure):
    monkeypatch.setitem(sys.modules, "sacrebleu", None)
    with pytest.raises(ImportError, match=r"take sacrebleu, which `.*-m pip install .*\[translate\].*` brings"):
        measure(["a"], ["a"])
    with pytest.raises(ImportError, match="take sacrebleu"):
        signatures()
