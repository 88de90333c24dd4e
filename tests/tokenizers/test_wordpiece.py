import doctest
import unicodedata

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from minitransformer.tokenizers import WordPieceTokenizer, bert_normalizer, load_tokenizer, save_tokenizer, wordpiece
from minitransformer.tokenizers.bert_normalizer import words
from minitransformer.tokenizers.wordpiece import LONGEST_WORD, SPECIAL

from .texts import texts

TEXT = "the unaffable cat, the affable mat: unable! the cat's 3 cafés (naïve) 中文 the cats the mats"
TOKENIZER = WordPieceTokenizer.train(TEXT, 90)


def pieces(tokenizer, text):
    return [tokenizer.text(id) for id in tokenizer.encode(text)]


def test_the_examples_in_the_text():
    for module in (wordpiece, bert_normalizer):
        assert doctest.testmod(module).failed == 0 and doctest.testmod(module).attempted


def test_the_longest_piece_first():
    tokenizer = WordPieceTokenizer([*SPECIAL, "a", "ab", "##c", "##cd", "##d", "##e", "abc"])
    assert pieces(tokenizer, "abcd") == ["abc", "##d"]
    assert pieces(tokenizer, "abe abcde") == ["ab", "##e", "abc", "##d", "##e"]
    assert pieces(tokenizer, "acd") == ["a", "##cd"]
    assert pieces(tokenizer, "abx c") == ["[UNK]", "[UNK]"]  # of neither is there an end, or a beginning


def test_special_tokens_are_themselves():
    ids, offsets = TOKENIZER.encode_with_offsets("the[MASK]cat [SEP] [mask]")
    text = "the[MASK]cat [SEP] [mask]"
    assert [TOKENIZER.text(id) for id in ids][:4] == ["the", "[MASK]", "cat", "[SEP]"]
    assert [text[a:b] for a, b in offsets][:4] == ["the", "[MASK]", "cat", "[SEP]"]
    assert TOKENIZER.mask not in ids[4:]  # small letters are no special token


@pytest.mark.parametrize(
    "text, lowercase, expected",
    [
        ("Été", True, ["ete"]),
        ("Été", False, ["Été"]),
        ("a\tb\nc\u3000d\xa0e", True, list("abcde")),
        ("a\x00b\x0bc\x85d\u200be", True, ["abcde"]),  # controls go away, and no space is in their place
        ("don't stop-it", True, ["don", "'", "t", "stop", "-", "it"]),
        ("$5^2~", True, ["$", "5", "^", "2", "~"]),
        ("中文ab中", True, ["中", "文", "ab", "中"]),
        ("ΑΣ İ ǅ", True, ["ας".replace("ς", "σ"), "i", "ǆ"]),
        ("\u1e9b\u0323", True, ["\u017f"]),
        ("한국어", True, [unicodedata.normalize("NFD", "한국어")]),
        ("", True, []),
        ("\u0301", True, []),
        ("…“x”", False, ["…", "“", "x", "”"]),
    ],
)
def test_words(text, lowercase, expected):
    assert [word for word, _ in words(text, lowercase=lowercase)] == expected


@given(texts, st.booleans(), st.sampled_from([None, True, False]))
def test_every_character_knows_where_it_stood(text, lowercase, strip_accents):
    found = words(text, lowercase=lowercase, strip_accents=strip_accents)
    places = [place for word, places in found for place in places]
    assert all(len(word) == len(places) > 0 for word, places in found)
    assert places == sorted(places) and set(places) <= set(range(len(text)))
    if not lowercase and not strip_accents:
        assert all(text[place] == c for word, places in found for c, place in zip(word, places))


@pytest.mark.parametrize(
    "block",
    ["4E00-9FFF", "3400-4DBF", "20000-2A6DF", "2A700-2B81F", "2B920-2CEAF", "F900-FAFF", "2F800-2FA1F"],
)
def test_ideographs_are_words_of_their_own(block):
    """From the first of a block to its last, and what stands beside them is not."""
    first, last = (int(end, 16) for end in block.split("-"))
    assert [len(words(f"a{chr(code)}b", lowercase=False)) for code in (first - 1, first, last, last + 1)] == [
        1,
        3,
        3,
        1,
    ]


@given(texts)
def test_offsets_lie_in_the_text_one_after_another(text):
    ids, offsets = TOKENIZER.encode_with_offsets(text)
    assert len(ids) == len(offsets) and ids.dtype == offsets.dtype == np.int64
    assert all(0 <= begin < end <= len(text) for begin, end in offsets)
    assert np.array_equal(ids, TOKENIZER.encode(text))
    assert all(a[0] <= b[0] and a[1] <= b[1] for a, b in zip(offsets[:-1], offsets[1:]))


@given(st.lists(st.sampled_from([*"the cat,!'3(", "café", "中", "[MASK]", " "]), max_size=20).map("".join))
def test_what_was_decoded_has_the_same_ids(text):
    ids = TOKENIZER.encode(text)
    assert TOKENIZER.encode(TOKENIZER.decode(ids)).tolist() == ids.tolist()


def test_decoding_writes_punctuation_as_people_do():
    assert TOKENIZER.decode(TOKENIZER.encode("The cat's mat,  unable!")) == "the cat's mat, unable!"


def test_training_finds_what_is_frequent():
    tokenizer = WordPieceTokenizer.train("low low lower newest newest newest", 25)
    assert tokenizer.vocabulary[: len(SPECIAL)] == list(SPECIAL)
    assert {"newest", "low"} <= set(tokenizer.vocabulary) and len(tokenizer.vocabulary) <= 25
    assert pieces(tokenizer, "low newest")[:2] == ["low", "newest"] and pieces(tokenizer, "lowest")[0] == "low"
    assert WordPieceTokenizer.train("low low lower newest newest newest", 25).vocabulary == tokenizer.vocabulary
    with pytest.raises(ValueError, match="vocab_size=7 has no room for the 1"):
        WordPieceTokenizer.train("many letters", 7)


@given(texts)
def test_a_trained_tokenizer_knows_its_text(text):
    tokenizer = WordPieceTokenizer.train(text, 10_000)
    for word, _ in words(text, lowercase=True):
        assert len(word) > LONGEST_WORD or tokenizer.unknown not in tokenizer.encode(word) or word in SPECIAL


@pytest.mark.parametrize("lowercase", [True, False])
@pytest.mark.parametrize("strip_accents", [True, False, None])
def test_it_reads_as_it_was_trained(lowercase, strip_accents):
    text = "Über Café über café"
    tokenizer = WordPieceTokenizer.train(text, 60, lowercase=lowercase, strip_accents=strip_accents)
    assert (tokenizer.lowercase, tokenizer.strip_accents) == (lowercase, strip_accents)
    read = text.lower() if lowercase else text
    if strip_accents or strip_accents is None and lowercase:
        read = read.replace("Ü", "U").replace("ü", "u").replace("é", "e")
    assert tokenizer.decode(tokenizer.encode(text)) == read


def test_a_long_word_is_unknown():
    tokenizer = WordPieceTokenizer([*SPECIAL, "a", "##a"])
    assert len(tokenizer.encode("a" * LONGEST_WORD)) == LONGEST_WORD
    ids, offsets = tokenizer.encode_with_offsets("a" * (LONGEST_WORD + 1))
    assert ids.tolist() == [tokenizer.unknown] and offsets.tolist() == [[0, LONGEST_WORD + 1]]


def test_saved_and_loaded(tmp_path):
    tokenizer = WordPieceTokenizer(TOKENIZER.vocabulary, lowercase=False, strip_accents=True)
    save_tokenizer(tokenizer, tmp_path / "t.json")
    found = load_tokenizer(tmp_path / "t.json")
    assert found.to_json() == tokenizer.to_json() and found.encode(TEXT).tolist() == tokenizer.encode(TEXT).tolist()


@pytest.mark.parametrize(
    "vocabulary, message",
    [(["a"], r"has no \[PAD\], \[UNK\]"), ([*SPECIAL, "a", "a"], "comes twice"), (SPECIAL[:-1], r"has no \[MASK\]")],
)
def test_vocabularies_that_are_none(vocabulary, message):
    with pytest.raises(ValueError, match=message):
        WordPieceTokenizer(list(vocabulary))


@pytest.mark.parametrize(
    "data, message",
    [
        ({}, "'vocabulary' is missing"),
        ({"vocabulary": [1], "lowercase": True}, "not all strings"),
        ({"vocabulary": list(SPECIAL)}, "'lowercase' is missing"),
        ({"vocabulary": list(SPECIAL), "lowercase": True, "strip_accents": "no"}, "neither true, false nor null"),
    ],
)
def test_damaged_files(data, message):
    with pytest.raises(ValueError, match=message):
        WordPieceTokenizer.from_json(data)
