"""Rows of documents: pairs of which half follow each other, and full sentences; nothing is longer than it may be."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from minitransformer.convention import fold
from minitransformer.data.packing import (
    FOLLOWS,
    RANDOM,
    Example,
    Row,
    collated,
    encoded,
    framed_row,
    full_sentences,
    segment_pairs,
    truncated,
)
from minitransformer.data.pairs import IGNORED
from minitransformer.tokenizers import RobertaTokenizer, WordPieceTokenizer

KEY = np.random.SeedSequence(5)
TOKENIZER = WordPieceTokenizer(["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]", *"abcdefghijklmnopqrstuvwxyz"])


def documents(n, sentences, words, rng):
    """n documents of some sentences of some words; the words are letters, and so tokens."""
    letters = [*"abcdefghijklmnopqrstuvwxyz"]
    return [
        [" ".join(rng.choice(letters, rng.integers(*words))) for _ in range(rng.integers(*sentences))] for _ in range(n)
    ]


def tokens_of(rng, n=9, sentences=(2, 12), words=(1, 9), longest=20):
    return encoded(documents(n, sentences, words, rng), TOKENIZER, longest)


def document_of(tokens, place):
    starts = tokens.sentences[tokens.documents]
    return int(np.searchsorted(starts, place, side="right")) - 1


def test_documents_as_ids():
    tokens = encoded([["a b", "c"], ["\u200b"], ["d e f g h"]], TOKENIZER, 3)
    assert "".join(map(TOKENIZER.text, tokens.ids)) == "abcdefgh"
    assert tokens.sentences.tolist() == [0, 2, 3, 6, 8]  # the last sentence is cut where it is longer than 3
    assert tokens.documents.tolist() == [0, 2, 4]  # of the one without a token nothing is left


def test_sentences_are_parted_by_a_space():
    tokenizer = RobertaTokenizer.train("it", 261)
    tokens = encoded([["it", "it"], ["it"]], tokenizer, 9)
    assert "".join(map(tokenizer.text, tokens.ids)) == "it itit" and tokens.sentences.tolist() == [0, 2, 5, 7]


def test_half_of_the_pairs_follow_each_other(rng):
    tokens = tokens_of(rng, n=400)
    origins = np.array([row.origin for row in segment_pairs(tokens, 24, KEY)])
    assert len(origins) > 400 and abs(origins.mean() - 0.5) < 5 * 0.5 / np.sqrt(len(origins))


def test_where_the_second_segment_comes_from(rng):
    """What follows stands right behind the first, but for what was cut off; what is random, in another document."""
    tokens = tokens_of(rng, n=4, sentences=(5, 12))
    others = set()
    for i in range(40):
        for (first, second), origin in segment_pairs(tokens, 24, fold(KEY, i)):
            inside = [document_of(tokens, place) for begin, end in (first, second) for place in (begin, end - 1)]
            assert inside[0] == inside[1] and inside[2] == inside[3]
            assert (inside[0] == inside[2]) == (origin == FOLLOWS)
            if origin == FOLLOWS:
                assert second[0] >= first[1]
                if first[1] - first[0] + second[1] - second[0] < 24:  # nothing was cut off
                    assert second[0] == first[1]
            else:
                others.add((inside[0], inside[2]))
    assert len(others) == 4 * 3  # every other document


@given(st.integers(0, 2**32 - 1), st.integers(4, 40), st.integers(1, 30))
def test_rows_are_no_longer_than_they_may_be(seed, room, longest):
    rng = np.random.default_rng(seed)
    tokens = encoded(documents(3, (2, 6), (1, 12), rng), TOKENIZER, longest)
    pairs, full = segment_pairs(tokens, room, KEY), full_sentences(tokens, max(room, longest))
    for row in pairs:
        sizes = [end - begin for begin, end in row.spans]
        assert len(sizes) == 2 and min(sizes) > 0 and sum(sizes) <= room
    for row in full:
        assert sum(end - begin for begin, end in row.spans) + len(row.spans) - 1 <= max(room, longest)
    again = [span for row in full for span in row.spans]
    assert [begin for begin, _ in again[1:]] == [end for _, end in again[:-1]]  # everything once, in order
    assert again[0][0] == 0 and again[-1][1] == len(tokens.ids)


def test_most_rows_are_full_and_some_are_short(rng):
    """A tenth are to be short: of a length drawn from all. Few of the others are, but at the end of a document."""
    tokens = tokens_of(rng, n=5, sentences=(800, 900), words=(3, 6))
    sizes = [sum(end - begin for begin, end in row.spans) for row in segment_pairs(tokens, 60, KEY)]
    below = np.mean(np.array(sizes) < 40)
    assert abs(below - 0.1 * 35 / 59) < 0.04 and np.median(sizes) == 60
    assert min(sizes) < 15
    none = segment_pairs(tokens, 60, KEY, short=0.0)
    assert np.mean([row.origin == RANDOM or sum(e - b for b, e in row.spans) == 60 for row in none]) > 0.97


def test_every_sentence_of_a_document_is_learnt_from(rng):
    """What a random segment replaced comes again in the next row. Alone at the end, a sentence has nothing behind."""
    tokens = tokens_of(rng, n=3, sentences=(30, 40))
    seen = np.zeros(len(tokens.ids), bool)
    for (first, second), origin in segment_pairs(tokens, 1000, KEY, short=0.0):
        seen[slice(*first)] = True
        seen[slice(*second)] |= origin == FOLLOWS
    ends = tokens.sentences[tokens.documents[1:] - 1]
    alone = np.concatenate([np.arange(begin, end) for begin, end in zip(ends, tokens.sentences[tokens.documents[1:]])])
    assert set(np.flatnonzero(~seen)) <= set(alone)


def test_pairs_follow_from_the_key(rng):
    tokens = tokens_of(rng)
    first, again, other = (segment_pairs(tokens, 24, key) for key in (KEY, KEY, fold(KEY, 1)))
    assert first == again != other


def test_what_cannot_be_paired(rng):
    with pytest.raises(ValueError, match="of another document, and there is only one"):
        segment_pairs(tokens_of(rng, n=1), 24, KEY)
    with pytest.raises(ValueError, match="no document has two sentences"):
        segment_pairs(tokens_of(rng, sentences=(1, 2)), 24, KEY)


@given(st.integers(1, 40), st.integers(1, 40), st.integers(2, 40), st.integers(0, 2**32 - 1))
def test_the_longer_segment_loses_one_token_after_another(a, b, room, seed):
    first, second = truncated((5, 5 + a), (90, 90 + b), room, np.random.default_rng(seed))
    kept = [a, b]
    while sum(kept) > room:
        kept[0 if kept[0] > kept[1] else 1] -= 1
    assert [first[1] - first[0], second[1] - second[0]] == kept
    assert 5 <= first[0] <= first[1] <= 5 + a and 90 <= second[0] <= second[1] <= 90 + b


def test_tokens_are_lost_in_front_and_at_the_back():
    rng = np.random.default_rng(0)
    lost = np.array([truncated((0, 30), (50, 54), 24, rng)[0][0] for _ in range(2000)])
    assert abs(lost.mean() - 5) < 0.2 and abs(lost.var() - 10 / 4) < 0.4 and set(lost) <= set(range(11))


def test_rows_between_special_tokens():
    ids = np.arange(100, 120)
    found, types, places = framed_row(Row(((3, 6), (10, 12))), ids, TOKENIZER)
    assert found.tolist() == [2, 103, 104, 105, 3, 110, 111, 3]
    assert types.tolist() == [0, 0, 0, 0, 0, 1, 1, 1]
    assert places.tolist() == [-1, 3, 4, 5, -1, 10, 11, -1]
    roberta = RobertaTokenizer.train("it", 261)
    found, types, _ = framed_row(Row(((3, 6), (10, 12))), ids, roberta)
    assert found.tolist() == [0, 103, 104, 105, 2, 110, 111, 2] and not types.any()


def test_a_document_ends_in_the_middle_of_a_row():
    tokens = encoded([["a b", "c d"], ["e f"], ["g h i"]], TOKENIZER, 9)
    rows = [row.spans for row in full_sentences(tokens, 7)]
    assert rows == [((0, 4), (4, 6)), ((6, 9),)]  # a b c d [SEP] e f; and g h i, for which no room is left
    assert [row.spans for row in full_sentences(tokens, 6)] == [((0, 4),), ((4, 6), (6, 9))]
    assert [row.spans for row in full_sentences(tokens, 4)] == [((0, 4),), ((4, 6),), ((6, 9),)]


def test_a_batch():
    a = Example(np.array([2, 7, 3]), np.array([0, 0, 0]), np.array([IGNORED, 9, IGNORED]), FOLLOWS)
    b = Example(
        np.array([2, 7, 3, 8, 3]), np.array([0, 0, 0, 1, 1]), np.array([IGNORED, 8, IGNORED, 8, IGNORED]), RANDOM
    )
    ids, types, mask, targets = collated([a, b], pad=0)
    assert ids.tolist() == [[2, 7, 3, 0, 0], [2, 7, 3, 8, 3]] and types.tolist() == [[0] * 5, [0, 0, 0, 1, 1]]
    assert mask.shape == (2, 1, 1, 5) and mask[:, 0, 0].sum(1).tolist() == [3, 5]
    assert targets.tolist() == [[-100, 9, -100, -100, -100], [-100, 8, -100, 8, -100]]
