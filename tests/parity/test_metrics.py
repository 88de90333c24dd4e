"""BLEU and chrF by sacrebleu itself, held to their formulas counted by hand."""

import math

import pytest

from minitransformer.training.metrics import bleu, chrf, signatures


def test_bleu_of_five_words_one_of_them_wrong():
    """4 of 5 words, 3 of 4 pairs, 2 of 3 triples and 1 of 2 fours are shared, and no length is punished."""
    score, _ = bleu(["a b c d e"], ["a b c d f"])
    assert score == pytest.approx(100 * (4 / 5 * 3 / 4 * 2 / 3 * 1 / 2) ** (1 / 4), rel=1e-9)


def test_bleu_punishes_what_is_too_short():
    """All four words are right, of the reference's six."""
    assert bleu(["a b c d"], ["a b c d e f"]).score == pytest.approx(100 * math.exp(1 - 6 / 4), rel=1e-9)


def test_bleu_counts_the_corpus_not_its_sentences():
    """Without four words in a row there is nothing to count; beside a longer text there is."""
    assert bleu(["x y z"], ["x y z"]).score == 0
    assert bleu(["a b c d", "x"], ["a b c d", "x"]).score == pytest.approx(100, rel=1e-9)


def test_chrf_of_one_letter_wrong():
    """abc for abd: 2 of 3 letters, 1 of 2 pairs, 0 of 1 triples on both sides; F is the mean where both sides agree."""
    assert chrf(["abc"], ["abd"]).score == pytest.approx(100 * (2 / 3 + 1 / 2 + 0) / 3, rel=1e-3)


def test_the_signature_says_how_and_does_not_depend_on_the_texts():
    for name, measure in (("BLEU", bleu), ("chrF", chrf)):
        said = {measure(*texts).signature for texts in ((["a b"], ["a b"]), (["x", "y z"], ["", "y"]))}
        assert said == {signatures()[name]}
        assert "version:" in said.pop()
