"""What tokenizers remember of the words that they have seen: so many, and no more."""

import functools

import pytest

from minitransformer.tokenizers import bpe, sentencepiece, unigram, wordpiece

TEXT = " ".join(["low lower lowest new newer newest wide wider widest slow slower slowest"] * 2)
SIZES = {
    bpe.BPETokenizer: 270,
    sentencepiece.SentencePieceTokenizer: 290,
    unigram.UnigramTokenizer: 22,
    wordpiece.WordPieceTokenizer: 50,
}


@pytest.mark.parametrize("kind", SIZES, ids=lambda kind: kind.name)
def test_words_are_forgotten_when_there_are_too_many(kind, monkeypatch):
    """The longest ago that they were seen; and what comes out is the same."""
    whole = kind.train(TEXT, SIZES[kind])
    for each in (bpe, sentencepiece, unigram, wordpiece):
        monkeypatch.setattr(each, "remembered", functools.lru_cache(maxsize=3))
    few = kind.from_json(whole.to_json())
    assert few.encode(TEXT).tolist() == whole.encode(TEXT).tolist()
    assert few.known.cache_info().currsize == 3 < whole.known.cache_info().currsize
    assert whole.known.cache_info().maxsize < 10**5
