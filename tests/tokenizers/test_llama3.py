import doctest

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from minitransformer.tokenizers import Llama3Tokenizer, llama3, load_tokenizer, save_tokenizer, special
from minitransformer.tokenizers.llama3 import BEGIN, END, SPECIAL, TURN

from .texts import texts

TEXT = "the cat sat on the mat; the cat, the mat — né à Łódź 猫 🐈 and 1234: the cat sat on the mat\n\n  twice\n" * 2
TOKENIZER = Llama3Tokenizer.train(TEXT, 320)
BYTES = [bytes([byte]) for byte in range(256)]
with_special = st.lists(texts | st.sampled_from([*SPECIAL, "<|", "|>"]), max_size=6).map("".join)


def spelled(tokenizer, text):
    return [tokenizer.text(id) for id in tokenizer.encode(text)]


@pytest.mark.parametrize("module", [llama3, special])
def test_the_examples_in_the_text(module):
    assert doctest.testmod(module).failed == 0 and doctest.testmod(module).attempted


@given(with_special)
def test_every_text_comes_back(text):
    assert TOKENIZER.decode(TOKENIZER.encode(text)) == text


@given(with_special)
def test_places(text):
    """They cover the text from its beginning to its end; a token's text is what stands there, or bytes of it."""
    ids, offsets = TOKENIZER.encode_with_offsets(text)
    assert ids.tolist() == TOKENIZER.encode(text).tolist() and offsets.shape == (len(ids), 2)
    covered = set()
    for id, (begin, end) in zip(ids, offsets.tolist()):
        assert begin < end and TOKENIZER.tokens[id] in text[begin:end].encode("utf-8")
        covered |= set(range(begin, end))
    assert covered == set(range(len(text)))


def test_a_word_that_is_a_token_is_taken_whole():
    """Though no merge makes it; and a token within a word that is none is not looked for."""
    tokens = [*BYTES, b"ab", b"abc", b" abc", *(text.encode() for text in SPECIAL)]
    tokenizer = Llama3Tokenizer(tokens, [(97, 98)])
    assert spelled(tokenizer, "abc abc") == ["abc", " abc"]
    assert spelled(tokenizer, "abcd") == ["ab", "c", "d"]


def test_special_tokens_are_themselves_and_pieces_of_them_are_not():
    text = f"{BEGIN}cat{TURN}{TURN} {END}<|eot_id>"
    assert [piece for piece in spelled(TOKENIZER, text) if piece in SPECIAL] == [BEGIN, TURN, TURN, END]
    assert TOKENIZER.begin == TOKENIZER.encode(BEGIN)[0] and TOKENIZER.end == TOKENIZER.encode(END)[0]
    more = ["<a>", "<a>b", *SPECIAL]
    longest = Llama3Tokenizer([*BYTES, *(text.encode() for text in more)], [], more)
    assert spelled(longest, "<a>b<a>") == ["<a>b", "<a>"]


def test_empty():
    ids, offsets = TOKENIZER.encode_with_offsets("")
    assert ids.shape == (0,) and offsets.shape == (0, 2) and TOKENIZER.decode([]) == ""


def test_a_tokenizer_in_a_file(tmp_path):
    save_tokenizer(TOKENIZER, tmp_path / "t.json")
    found = load_tokenizer(tmp_path / "t.json")
    assert type(found) is Llama3Tokenizer and found.to_json() == TOKENIZER.to_json()
    assert found.encode(f"the cat{TURN} ☕").tolist() == TOKENIZER.encode(f"the cat{TURN} ☕").tolist()
    with pytest.raises(ValueError, match="its 'special' are not all strings"):
        Llama3Tokenizer.from_json(TOKENIZER.to_json() | {"special": [1]})


def test_tables_that_are_none():
    with pytest.raises(ValueError, match=r"the vocabulary has no special <\|end_of_text\|>"):
        Llama3Tokenizer([*BYTES, BEGIN.encode()], [], [BEGIN])
    with pytest.raises(ValueError, match=r"the vocabulary has no special <\|x\|>"):
        Llama3Tokenizer([*BYTES, *(text.encode() for text in SPECIAL)], [], [*SPECIAL, "<|x|>"])
    with pytest.raises(ValueError, match="255 of the 256 bytes are no tokens"):
        Llama3Tokenizer([b"a", *(text.encode() for text in SPECIAL)], [])
    with pytest.raises(ValueError, match="vocab_size=260 has no room for 5 special tokens and the 256 bytes"):
        Llama3Tokenizer.train(TEXT, 260)


def test_half_a_surrogate_pair_and_ids_that_are_none():
    with pytest.raises(UnicodeEncodeError):
        TOKENIZER.encode("\ud800")
    with pytest.raises(ValueError, match="vocabulary"):
        TOKENIZER.decode(np.array([10**6]))
