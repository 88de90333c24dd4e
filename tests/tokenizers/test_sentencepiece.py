import doctest

import numpy as np
import pytest
from hypothesis import given

from minitransformer.tokenizers import SentencePieceTokenizer, load_tokenizer, save_tokenizer, sentencepiece
from minitransformer.tokenizers.sentencepiece import BEFORE, BYTES, SPACE

from .texts import texts

TEXT = "tell tell tell hot hot  a hotel tells a tale; né à Łódź 猫 🐈\n\ttwice\n"
TOKENIZER = SentencePieceTokenizer.train(TEXT, 310)


def pieces(tokenizer, text):
    return [tokenizer.pieces[id] for id in tokenizer.encode(text)]


def test_the_examples_in_the_text():
    assert doctest.testmod(sentencepiece).failed == 0 and doctest.testmod(sentencepiece).attempted


def test_the_merge_of_the_lowest_rank_first():
    """Of "abc", b|c before a|b; leftmost first it would be ab|c."""
    base = ["<unk>", "<s>", "</s>", *BYTES, SPACE, "a", "b", "c"]
    tokenizer = SentencePieceTokenizer([*base, "bc", "ab"], [(261, 262), (260, 261)])
    assert pieces(tokenizer, "abc ab") == [SPACE, "a", "bc", SPACE, "ab"]


def test_one_place_at_a_time():
    """In tables that were made from scores, a merge may rank before the one that makes its half."""
    base = ["<unk>", "<s>", "</s>", *BYTES, SPACE, "a", "b", "ab", "aba"]
    tokenizer = SentencePieceTokenizer(base, [(262, 260), (260, 261)])
    assert pieces(tokenizer, "abab") == [SPACE, "aba", "b"]


def test_a_piece_that_goes_on_over_a_space():
    """Then a text is no row of words: "a b" is one piece here, though no word is."""
    base = ["<unk>", "<s>", "</s>", *BYTES, SPACE, "a", "b", f"a{SPACE}", f"a{SPACE}b"]
    over = SentencePieceTokenizer(base, [(260, 259), (262, 261)])
    assert not over.apart and TOKENIZER.apart
    assert pieces(over, "a b b") == [SPACE, f"a{SPACE}b", SPACE, "b"]
    ids, offsets = over.encode_with_offsets("a b b")
    assert offsets.tolist() == [[0, 1], [0, 3], [3, 4], [4, 5]]
    assert not over.known.cache_info().currsize  # a whole text is not kept
    within = SentencePieceTokenizer([*base[:262], SPACE * 2, f"{SPACE * 2}a"], [(259, 259), (262, 260)])
    assert within.apart and pieces(within, "  a a") == [SPACE * 2, SPACE, "a", SPACE, "a"]


@given(texts)
def test_every_text_comes_back(text):
    assert TOKENIZER.decode(TOKENIZER.encode(text)) == text.replace(SPACE, " ")


@given(texts)
def test_places(text):
    """They cover the text from its beginning to its end; a token's text is what stands there, or bytes of it."""
    ids, offsets = TOKENIZER.encode_with_offsets(text)
    assert ids.tolist() == TOKENIZER.encode(text).tolist() and offsets.shape == (len(ids), 2)
    if not text:
        assert not len(ids)
        return
    assert offsets[0, 0] == 0 and offsets[-1, 1] == len(text)
    for i, (id, (begin, end)) in enumerate(zip(ids, offsets.tolist())):
        there = text[begin:end].replace(SPACE, " ")
        if TOKENIZER.pieces[id] in BYTES:
            assert end == begin + 1 and TOKENIZER.tokens[id] in [bytes([byte]) for byte in there.encode("utf-8")]
        elif i:
            assert TOKENIZER.tokens[id].decode() == there
        else:  # a space stands before it
            assert TOKENIZER.tokens[id].decode() in (f" {there}", " ")


def test_special_tokens_are_themselves():
    """And a space is put before what follows one, or is not; bytes are none of them, however they are written."""
    assert pieces(TOKENIZER, "tell</s>tell <s") == [f"{SPACE}tell", "</s>", f"{SPACE}tell", SPACE, "<0x3C>", "s"]
    ids, offsets = TOKENIZER.encode_with_offsets("tell</s>tell")
    assert ids[1] == TOKENIZER.end and offsets.tolist() == [[0, 4], [4, 8], [8, 12]]
    for before, put in (("one more", 2), ("always", 2), ("first", 1)):
        other = SentencePieceTokenizer(TOKENIZER.pieces, TOKENIZER.merges, before)
        assert pieces(other, "tell</s>tell").count(f"{SPACE}tell") == put
        assert pieces(other, "tell</s> tell")[-2:] == ([SPACE] if before == "one more" else ["</s>"]) + [f"{SPACE}tell"]
    assert pieces(TOKENIZER, "<0x41>") != ["<0x41>"] and TOKENIZER.decode(TOKENIZER.encode("<0x41>")) == "<0x41>"


def test_a_space_before_a_space_or_not():
    other = SentencePieceTokenizer(TOKENIZER.pieces, TOKENIZER.merges, before="first")
    assert pieces(TOKENIZER, " hot")[0] == SPACE and pieces(other, " hot") == pieces(other, "hot")
    assert not len(other.encode("")) and not len(TOKENIZER.encode(""))


def test_a_tokenizer_in_a_file(tmp_path):
    for before in BEFORE:
        tokenizer = SentencePieceTokenizer(TOKENIZER.pieces, TOKENIZER.merges, before, within={f"{SPACE}tell": "both"})
        save_tokenizer(tokenizer, tmp_path / "t.json")
        found = load_tokenizer(tmp_path / "t.json")
        assert type(found) is SentencePieceTokenizer and found.to_json() == tokenizer.to_json()
        assert found.encode(" hotel ☕").tolist() == tokenizer.encode(" hotel ☕").tolist()


def test_an_older_file():
    data = TOKENIZER.to_json()
    del data["special"], data["before"]
    for always, before in ((True, "one more"), (False, "first")):
        found = SentencePieceTokenizer.from_json(data | {"always": always})
        assert found.before == before and found.special == TOKENIZER.special


@pytest.mark.parametrize(
    "change, message",
    [
        ({"before": "never"}, "before is one of 'one more', 'always', 'first', not 'never'"),
        ({"before": 1}, "its 'before' is no str"),
        ({"special": ["a"]}, "its 'special' or 'within' are no texts"),
        ({"within": ["a"]}, "its 'special' or 'within' are no texts"),
        ({"special": {"a": "left"}}, "the spaces that a takes are none of"),
        ({"special": {"<x>": ""}}, "the vocabulary has no special <x>"),
        ({"within": {"<x>": ""}}, "the vocabulary has no special <x>"),
    ],
)
def test_settings_that_are_none(change, message):
    with pytest.raises(ValueError, match=message):
        SentencePieceTokenizer.from_json(TOKENIZER.to_json() | change)


def test_training_leaves_special_tokens_out():
    text = "</s>ab" * 20
    found = SentencePieceTokenizer.train(text, 300)
    assert pieces(found, text) == ["</s>", f"{SPACE}ab"] * 20
    assert not {"/", "s", "<", ">"} & set(found.pieces)


@pytest.mark.parametrize(
    "pieces, merges, message",
    [
        ([], [], "<s> is no piece"),
        (["<s>", "</s>", *BYTES[1:]], [], "<0x00> is no piece"),
        (["<s>", "</s>", *BYTES, "<s>"], [], "a piece comes twice"),
        (["<s>", "</s>", *BYTES, "a"], [(258, 258)], "does not make a piece"),
        (["<s>", "</s>", *BYTES, "a"], [(258, 999)], "does not make a piece"),
        (["<s>", "</s>", *BYTES, "a", "aa"], [(258, 258), (258, 258)], "a pair is merged twice"),
        (["<s>", "</s>", *BYTES, "<", "s>"], [(258, 259)], "is of a special piece or a byte, or makes one"),
    ],
)
def test_tables_that_are_none(pieces, merges, message):
    with pytest.raises(ValueError, match=message):
        SentencePieceTokenizer(pieces, merges)


def test_no_room():
    with pytest.raises(ValueError, match=r"vocab_size=200 has no room for"):
        SentencePieceTokenizer.train(TEXT, 200)


def test_half_a_surrogate_pair():
    with pytest.raises(UnicodeEncodeError):
        TOKENIZER.encode("\ud800")


def test_ids_that_are_none():
    with pytest.raises(ValueError, match="vocabulary"):
        TOKENIZER.decode(np.array([10**6]))
