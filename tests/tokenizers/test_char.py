"""Characters as tokens."""

import doctest

import numpy as np
import pytest
from hypothesis import given

from minitransformer.tokenizers import CharTokenizer, char

from .texts import texts


def test_ids_follow_code_points():
    tokenizer = CharTokenizer.train("ba\nß🙂b")
    assert tokenizer.characters == "\nabß🙂"
    assert tokenizer.vocab_size == 5
    ids = tokenizer.encode("🙂ab")
    assert ids.dtype == np.int64
    assert ids.tolist() == [4, 1, 2]
    assert tokenizer.token_bytes(4) == "🙂".encode()


@given(texts.filter(len))
def test_round_trip(text):
    tokenizer = CharTokenizer.train(text)
    ids = tokenizer.encode(text)
    assert tokenizer.decode(ids) == text
    assert len(ids) == len(text)
    assert b"".join(tokenizer.token_bytes(id) for id in ids) == text.encode("utf-8")


def test_nothing_is_nothing():
    tokenizer = CharTokenizer.train("a")
    assert tokenizer.encode("").dtype == np.int64
    assert tokenizer.encode("").shape == (0,)
    assert tokenizer.decode([]) == ""


def test_an_unknown_character_is_named():
    with pytest.raises(ValueError, match=r"'é' \(U\+00E9\), number 3 of the text, is not among the 2 .* 'bpe'"):
        CharTokenizer.train("ab").encode("abéa")


@pytest.mark.parametrize("ids", [[0, 2], [-1], np.array([3, 0])])
def test_foreign_ids_are_refused(ids):
    tokenizer = CharTokenizer.train("ab")
    with pytest.raises(ValueError, match="outside the vocabulary of 2"):
        tokenizer.decode(ids)
    with pytest.raises(ValueError, match="outside the vocabulary of 2"):
        [tokenizer.token_bytes(id) for id in ids]


@pytest.mark.parametrize(("characters", "message"), [("", "empty"), ("aba", "twice"), ("a\ud800", "surrogates")])
def test_impossible_vocabularies_are_refused(characters, message):
    with pytest.raises(ValueError, match=message):
        CharTokenizer(characters)


def test_training_on_nothing_is_refused():
    with pytest.raises(ValueError, match="the text is empty"):
        CharTokenizer.train("")


def test_documented_example():
    assert doctest.testmod(char) == (0, 4)
