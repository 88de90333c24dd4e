"""What is masked: how much of what, never what is special, words as a whole, and all of it from the key alone."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from minitransformer.convention import fold
from minitransformer.data.masking import Vocabulary, choose, masked, words_of
from minitransformer.data.pairs import IGNORED
from minitransformer.tokenizers import CharTokenizer, RobertaTokenizer, WordPieceTokenizer

SPECIAL = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]"]
TOKENIZER = WordPieceTokenizer(["x", *SPECIAL, *"abcdefgh", "##i", "##j"])  # special ids are 1 ... 5
VOCABULARY = Vocabulary.of(TOKENIZER)
KEY = np.random.SeedSequence(5)


def rows(n, T, *, words=None, key=KEY):
    """n rows of T ordinary tokens between special ones: what they were, what is read, and what is asked."""
    rng = np.random.default_rng(0)
    ids = rng.choice(VOCABULARY.ordinary, (n, T + 2))
    ids[:, 0], ids[:, -1] = TOKENIZER.first, TOKENIZER.separator
    found = [masked(row, VOCABULARY, fold(key, i), words=words) for i, row in enumerate(ids)]
    return ids, np.array([read for read, _ in found]), np.array([targets for _, targets in found])


def within(number, of, share, deviations=5):
    """Whether so many of these may well be a share that is drawn for each by itself."""
    return abs(number - share * of) < deviations * np.sqrt(share * (1 - share) * of)


def test_the_vocabulary_in_two():
    assert VOCABULARY.mask == 5 and VOCABULARY.special.tolist() == [1, 2, 3, 4, 5]
    assert VOCABULARY.ordinary.tolist() == [0, *range(6, 16)]
    with pytest.raises(ValueError, match="no token but special ones"):
        Vocabulary.of(WordPieceTokenizer(SPECIAL))


def test_the_shares():
    """15 % are asked; of these 80 % are hidden, 10 % another token, drawn from all that are not special, 10 % kept."""
    ids, read, targets = rows(2000, 41)
    asked = targets != IGNORED
    n, whole = asked.sum(), 2000 * 41
    assert abs(n / whole - 0.15) < 5 * 0.5 / 41 / np.sqrt(2000)  # of each row 6 or 7: nearly no chance is left
    assert set(asked.sum(1)) == {6, 7}
    hidden, kept = asked & (read == VOCABULARY.mask), asked & (read == ids)
    another = asked & ~hidden & ~kept
    same = 1 / len(VOCABULARY.ordinary)  # of those drawn, which happen to be what they were
    assert within(hidden.sum(), n, 0.8)
    assert within(another.sum(), n, 0.1 * (1 - same))
    assert within(kept.sum(), n, 0.1 * (1 + same))
    counts = np.bincount(read[another], minlength=16)
    assert not counts[VOCABULARY.special].any()
    assert all(within(count, another.sum(), same) for count in counts[VOCABULARY.ordinary])
    places = asked.sum(0)
    assert all(within(count, 2000, 0.15) for count in places[1:-1])  # every place alike


def test_what_is_asked_is_what_was_there():
    ids, read, targets = rows(200, 30)
    asked = targets != IGNORED
    assert (targets[asked] == ids[asked]).all() and (read[~asked] == ids[~asked]).all()
    assert not np.isin(targets, VOCABULARY.special).any()


@given(st.lists(st.integers(0, 15), min_size=1, max_size=30), st.integers(0, 2**32 - 1))
def test_special_tokens_are_never_asked_nor_put_anywhere(ids, seed):
    ids = np.array(ids)
    before = ids.copy()
    read, targets = masked(ids, VOCABULARY, np.random.SeedSequence(seed))
    special = np.isin(ids, VOCABULARY.special)
    assert (targets[special] == IGNORED).all() and (read[special] == ids[special]).all()
    assert (targets != IGNORED).any() == (~special).any()  # at least one, where there is one
    assert np.isin(read[~special], [VOCABULARY.mask, *VOCABULARY.ordinary]).all()
    assert (ids == before).all()


def test_masks_follow_from_the_key():
    first, again, other = (rows(20, 30, key=key)[1:] for key in (KEY, KEY, fold(KEY, 1)))
    assert (first[0] == again[0]).all() and (first[1] == again[1]).all()
    assert ((first[1] != IGNORED) != (other[1] != IGNORED)).any(1).all()  # in every row


def test_whole_words():
    """All pieces of a word or none, and still nearly as many tokens; what each is read as is drawn for each."""
    sizes = [1, 3, 2, 1, 1, 4, 2, 1, 1, 2, 3, 1, 2, 1, 1, 4, 1, 2, 2, 1]
    words = np.concatenate([[-1], np.repeat(np.arange(len(sizes)), sizes), [-1]])
    ids, read, targets = rows(2000, sum(sizes), words=words)
    asked = targets != IGNORED
    by_word = np.array([asked[:, words == word].mean(1) for word in range(len(sizes))])
    assert np.isin(by_word, [0, 1]).all()
    share = asked.sum() / asked[:, 1:-1].size
    assert 0.147 < share < 0.15 + 5 * 0.5 / 36 / np.sqrt(2000)
    long, short = (by_word[np.array(sizes) == size].mean() for size in (4, 1))
    assert 0.03 < long < short < 0.25  # what does not fit any more is left out
    several = by_word[5].astype(bool)
    hidden = (read == VOCABULARY.mask)[several][:, words == 5].sum(1)
    assert {0, 1, 2, 3, 4} >= set(hidden) >= {2, 3, 4} and within(hidden.sum(), 4 * several.sum(), 0.8)


def test_a_word_that_never_fits_is_never_chosen():
    assert choose(np.arange(9), np.zeros(9, int), 0.15, np.random.default_rng(0)).tolist() == []
    assert choose(np.arange(0), None, 0.15, np.random.default_rng(0)).tolist() == []


def test_words_of_both_tokenizers():
    ids = TOKENIZER.encode("ai bij a")
    assert words_of(ids, [0], TOKENIZER).tolist() == [1, 1, 2, 2, 2, 3]
    tokenizer = RobertaTokenizer.train("it", 261)
    text = ["it's ox", "yes"]  # a letter each
    ids = np.concatenate([tokenizer.encode(part) for part in text])
    assert words_of(ids, [0, 7], tokenizer).tolist() == [1, 1, 2, 3, 4, 4, 4, 5, 5, 5]


@pytest.mark.parametrize("tokenizer", [TOKENIZER, CharTokenizer.train("abc")], ids=["no pieces", "characters"])
def test_there_are_no_words(tokenizer):
    with pytest.raises(ValueError, match="every token is a word of its own: there are no whole words to mask"):
        words_of(tokenizer.encode("a b c" if tokenizer is TOKENIZER else "abc"), [0], tokenizer)
