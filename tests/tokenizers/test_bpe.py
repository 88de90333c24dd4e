"""Byte-pair encoding, held to its definition (slow.py) and to merges counted by hand."""

import doctest
import random

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from minitransformer.tokenizers import BPETokenizer, bpe, load_tokenizer, save_tokenizer
from minitransformer.tokenizers.pretokens import split

from . import slow
from .texts import texts

BYTES = [bytes([byte]) for byte in range(256)]

# Sennrich et al. 2016, section 3.2 count low 5, lower 2, newest 6, widest 3 times.
NEWEST = " ".join(["low"] * 5 + ["lower"] * 2 + ["newest"] * 6 + ["widest"] * 3)

few_letters = st.text(alphabet="ab ", max_size=40) | st.text(alphabet="abcé", max_size=40)


def english(words, seed=0):
    """Pronounceable nonsense, so that pairs and words repeat."""
    rng = random.Random(seed)
    syllables = [c + v + end for c in "bdlnrst" for v in "aeio" for end in ("", "n", "s", "st")]
    vocabulary = ["".join(rng.choices(syllables, k=rng.choice((1, 1, 2, 3)))) for _ in range(300)]
    return " ".join(rng.choices(vocabulary, weights=[1 / (i + 1) for i in range(300)], k=words))


def test_merges_counted_by_hand():
    """es 9 times, st too but of larger ids; then es|t 9; lo 7, ow 7; low 7; then those of 6, the smallest ids first."""
    tokenizer = BPETokenizer.train(NEWEST, 263)
    assert tokenizer.tokens[256:] == [b"es", b"est", b"lo", b"low", b" n", b" low", b"ew"]
    assert tokenizer.merges[:5] == [(101, 115), (256, 116), (108, 111), (258, 119), (32, 110)]
    assert [tokenizer.tokens[id] for id in tokenizer.encode("lowest new")] == [b"low", b"est", b" n", b"ew"]


def test_overlapping_pairs_merge_from_the_left():
    tokenizer = BPETokenizer(BYTES + [b"aa"], [(97, 97)])
    assert tokenizer.encode("aaaaa").tolist() == [256, 256, 97]
    assert BPETokenizer.train("aaaaa", 300).tokens[256:] == [b"aa"]  # aa comes four times, then aa|aa once


@given(few_letters | texts, st.integers(0, 30))
def test_training_is_counting_anew(text, n_merges):
    assert BPETokenizer.train(text, 256 + n_merges).merges == slow.train(text, n_merges)


@pytest.mark.parametrize("seed", range(3))
def test_training_is_counting_anew_on_a_longer_text(seed):
    text = english(600, seed)
    tokenizer = BPETokenizer.train(text, 256 + 80)
    assert tokenizer.merges == slow.train(text, 80)
    assert tokenizer.vocab_size == 256 + 80


@given(few_letters | texts)
def test_no_more_tokens_than_pairs_that_come_twice(text):
    tokenizer = BPETokenizer.train(text, 10_000)
    assert tokenizer.vocab_size == 256 + len(tokenizer.merges) < 10_000
    ids = [pair for word in split(text) for pair in zip(*[tokenizer.encode(word).tolist()[i:] for i in (0, 1)])]
    assert len(set(ids)) == len(ids)  # no pair of neighbours is left that comes twice


@st.composite
def merge_tables(draw):
    """Tokenizers with merges in an order that no training gives, and ids that follow none."""
    tokens, merges = list(BYTES), []
    for _ in range(draw(st.integers(0, 12))):
        letters = st.sampled_from([97, 98, 99, 32, *range(256, len(tokens))])
        pair = draw(letters), draw(letters)
        if tokens[pair[0]] + tokens[pair[1]] not in tokens:
            tokens.append(tokens[pair[0]] + tokens[pair[1]])
        if pair not in merges:
            merges.append(pair)
    order = draw(st.permutations(range(len(tokens))))  # order[new id] = old id
    new_ids = {old: new for new, old in enumerate(order)}
    merges = draw(st.permutations(merges))
    return BPETokenizer([tokens[old] for old in order], [(new_ids[a], new_ids[b]) for a, b in merges])


@given(merge_tables(), st.text(alphabet="abc ", max_size=25))
def test_encoding_is_lowest_rank_first(tokenizer, text):
    expected = [id for word in split(text) for id in slow.encode_word(tokenizer, word, slow.lowest_rank)]
    assert tokenizer.encode(text).tolist() == expected
    assert tokenizer.decode(expected) == text


def test_leftmost_first_would_be_seen():
    """The famous wrong way decodes to the same text; only the ids tell."""
    text = english(600)
    tokenizer = BPETokenizer.train(text, 256 + 80)
    words = sorted(set(split(text)))
    right = [slow.encode_word(tokenizer, word, slow.lowest_rank) for word in words]
    wrong = [slow.encode_word(tokenizer, word, slow.leftmost) for word in words]
    assert [tokenizer.encode(word).tolist() for word in words] == right
    assert [tokenizer.decode(ids) for ids in wrong] == words
    assert sum(a != b for a, b in zip(right, wrong)) > len(words) / 10


def test_encoding_repeats_training():
    """Lowest rank first is the order of training: a training text is cut up as its merges, one by one, left it."""
    text = english(400)
    tokenizer = BPETokenizer.train(text, 256 + 60)
    words = [list(word.encode("utf-8")) for word in split(text)]
    for new, pair in enumerate(tokenizer.merges, 256):
        words = [slow.merged(word, pair, new) for word in words]
    assert tokenizer.encode(text).tolist() == [id for word in words for id in word]


@given(texts, texts)
def test_round_trip_of_any_text(learnt, text):
    tokenizer = BPETokenizer.train(learnt, 280)
    ids = tokenizer.encode(text)
    assert ids.dtype == np.int64
    assert ids.ndim == 1
    assert tokenizer.decode(ids) == text
    assert b"".join(tokenizer.token_bytes(id) for id in ids) == text.encode("utf-8")
    assert tokenizer.encode(text).tolist() == ids.tolist()  # words that are known by now


def test_all_bytes_are_tokens_and_none_is_changed():
    """All 128 ASCII bytes could be right and the others wrong: each byte alone, and characters of 1 to 4 bytes."""
    tokenizer = BPETokenizer.train("", 256)
    assert [tokenizer.token_bytes(byte) for byte in range(256)] == BYTES
    for text in ("\x7f", "\x80", "\xff", "߿", "ࠀ", "￿", "\U00010000", "\U0010ffff"):
        assert tokenizer.encode(text).tolist() == list(text.encode("utf-8"))


def test_broken_utf8_is_replaced():
    tokenizer = BPETokenizer.train("", 256)
    assert tokenizer.decode([0xC3, 0xA9, 0xC3, 0x41, 0xFF, 0xF0, 0x9F]) == "é\ufffdA\ufffd\ufffd"


def test_a_published_order_of_ids_fits():
    """Tables whose bytes come in another order, with special tokens before and behind, encode to the same bytes."""
    ours = BPETokenizer.train(NEWEST, 270)
    tokens = [b"<s>", *reversed(ours.tokens), b"<|endoftext|>"]
    place = {token: id for id, token in enumerate(tokens)}
    theirs = BPETokenizer(tokens, [(place[ours.tokens[a]], place[ours.tokens[b]]) for a, b in ours.merges], ())
    text = "the newest, widest löw <s> <|endoftext|>"
    assert [theirs.tokens[id] for id in theirs.encode(text)] == [ours.tokens[id] for id in ours.encode(text)]


SPECIAL = {"<|endoftext|>": "", "<|user|>": "behind", "<mask>": "before", "<|user|>!": "both"}
TALKS = BPETokenizer([*BYTES, b"ab", *(text.encode() for text in SPECIAL)], [(97, 98)], SPECIAL)
with_special = st.lists(texts | st.sampled_from([*SPECIAL, "ab", " ", "<|user", "|>"]), max_size=6).map("".join)


def test_special_tokens_are_themselves():
    """And take the spaces that they are to take; of two that begin at one place the longer one is meant."""
    text = "ab<|endoftext|> ab <|user|>\n ab <mask> <|user|>  <|user|>! <mask"
    ids, offsets = TALKS.encode_with_offsets(text)
    found = [(TALKS.text(id), text[begin:end]) for id, (begin, end) in zip(ids, offsets)]
    assert found[:4] == [("ab", "ab"), ("<|endoftext|>", "<|endoftext|>"), (" ", " "), ("ab", "ab")]
    assert found[4:7] == [(" ", " "), ("<|user|>", "<|user|>\n "), ("ab", "ab")]
    assert found[7:11] == [("<mask>", " <mask>"), (" ", " "), ("<|user|>", "<|user|>  "), ("<|user|>!", "<|user|>! ")]
    assert "".join(piece for piece, _ in found[11:]) == "<mask"


@given(with_special)
def test_special_tokens_in_any_text(text):
    ids, offsets = TALKS.encode_with_offsets(text)
    assert ids.tolist() == TALKS.encode(text).tolist() and ids.dtype == TALKS.encode(text).dtype == np.int64
    for id, (begin, end) in zip(ids, offsets.tolist()):
        assert TALKS.tokens[id] in text[begin:end].encode("utf-8")
    assert sorted({i for begin, end in offsets for i in range(begin, end)}) == list(range(len(text)))


def test_the_end_of_a_text_is_special_where_it_is_a_token():
    tokens = [*BYTES, b"<|endoftext|>"]
    assert BPETokenizer(tokens, []).encode("a<|endoftext|>b").tolist() == [97, 256, 98]
    assert len(BPETokenizer(tokens, [], ()).encode("a<|endoftext|>b")) == 15
    assert BPETokenizer(tokens, [], ()).end == 256 and BPETokenizer(BYTES, []).special == {}


def test_special_tokens_in_a_file(tmp_path):
    save_tokenizer(TALKS, tmp_path / "t.json")
    found = load_tokenizer(tmp_path / "t.json")
    assert found.to_json() == TALKS.to_json() and found.parts.takes == SPECIAL
    assert found.encode("ab <mask>").tolist() == TALKS.encode("ab <mask>").tolist()
    older = BPETokenizer.from_json({name: found.to_json()[name] for name in ("tokens", "merges")})
    assert older.special == {"<|endoftext|>": 257}


@pytest.mark.parametrize(
    ("special", "message"),
    [
        (["<|x|>"], r"the vocabulary has no special <\|x\|>"),
        ([1], "its 'special' are not all strings"),
        ([["a"]], "its 'special' are not all strings"),
        ([""], "its 'special' are not all strings with a character"),
        ({"a": "left"}, "the spaces that a takes are none of"),
        ({"a": ["before"]}, "the spaces that a takes are none of"),
        (None, "its 'special' are no texts"),
        ("a", "its 'special' are no texts"),
    ],
)
def test_special_tokens_that_are_none(special, message):
    with pytest.raises(ValueError, match=message):
        BPETokenizer.from_json(TALKS.to_json() | {"special": special})


def test_half_a_surrogate_pair_is_refused():
    with pytest.raises(ValueError, match="surrogates not allowed"):
        BPETokenizer.train("", 256).encode("a \ud83d b")


@pytest.mark.parametrize("ids", [[256], [3, -1]])
def test_foreign_ids_are_refused(ids):
    tokenizer = BPETokenizer.train("", 256)
    with pytest.raises(ValueError, match="outside the vocabulary of 256"):
        tokenizer.decode(ids)


def test_a_vocabulary_below_the_bytes_is_refused():
    with pytest.raises(ValueError, match="vocab_size=255 has no room for the 256 bytes"):
        BPETokenizer.train("abc", 255)


@pytest.mark.parametrize(
    ("tokens", "merges", "message"),
    [
        (BYTES[:-2], [], "2 of the 256 bytes are no tokens, 254 the first"),
        (BYTES + [b"ab", b"ab"], [], "a token comes twice"),
        (BYTES + [b"ab"], [(97, 98), (97, 99)], "merge 1, of the ids 97 and 99"),
        (BYTES + [b"ab"], [(97, 257)], "merge 0, of the ids 97 and 257"),
        (BYTES + [b"ab"], [(-160, 98)], "merge 0, of the ids -160 and 98"),
        (BYTES + [b"ab"], [(97, 98), (97, 98)], "a pair is merged twice"),
    ],
)
def test_tables_that_do_not_fit_are_refused(tokens, merges, message):
    with pytest.raises(ValueError, match=message):
        BPETokenizer(tokens, merges)


def test_documented_example():
    assert doctest.testmod(bpe) == (0, 4)


# ------------------------------------------------------------------------------------------------- places in the text


@given(texts)
def test_places_are_those_of_the_bytes(text):
    """Each token's bytes lie within those of its characters, and together they cover the text without a gap."""
    tokenizer = BPETokenizer.train("the cat the hat é é 中中 🙂🙂", 290)
    ids, offsets = tokenizer.encode_with_offsets(text)
    assert ids.tolist() == tokenizer.encode(text).tolist() and offsets.shape == (len(ids), 2)
    for id, (begin, end) in zip(ids, offsets):
        assert tokenizer.tokens[id] in text[begin:end].encode("utf-8")
    assert sorted({i for begin, end in offsets for i in range(begin, end)}) == list(range(len(text)))


def test_a_part_of_a_character_has_its_place():
    tokenizer = BPETokenizer(BYTES, [])
    assert tokenizer.encode_with_offsets("aé🙂")[1].tolist() == [[0, 1], [1, 2], [1, 2], *[[2, 3]] * 4]
    assert tokenizer.encode_with_offsets("")[1].shape == (0, 2)
