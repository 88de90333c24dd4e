"""Text from ids as they come."""

import itertools

from hypothesis import given
from hypothesis import strategies as st

from minitransformer.decoding import text_pieces
from minitransformer.tokenizers import BPETokenizer, CharTokenizer

BYTES = BPETokenizer.train("", 256)


def test_a_character_over_several_tokens_comes_whole():
    ids = BYTES.encode("aé🙂\N{MAN}\N{ZERO WIDTH JOINER}\N{GIRL}!")
    assert list(text_pieces(BYTES, ids)) == ["a", "é", "🙂", "\N{MAN}", "\N{ZERO WIDTH JOINER}", "\N{GIRL}", "!"]


def test_a_token_may_end_one_character_and_begin_another():
    tokenizer = BPETokenizer([*BYTES.tokens, b"\xa9\xc3"], [(0xA9, 0xC3)])
    ids = tokenizer.encode("éé")
    assert ids.tolist() == [0xC3, 256, 0xA9]
    assert list(text_pieces(tokenizer, ids)) == ["é", "é"]


def test_pieces_come_as_soon_as_they_are_whole():
    asked = []

    def ids():
        for id in "né".encode() + b"...":
            asked.append(id)
            yield id

    pieces = text_pieces(BYTES, ids())
    assert list(itertools.islice(pieces, 2)) == ["n", "é"]
    assert bytes(asked) == "né".encode()


def test_what_is_no_utf8_is_replaced():
    assert list(text_pieces(BYTES, [0x41, 0xFF, 0xC3, 0x42])) == ["A", "\ufffd", "\ufffdB"]


def test_a_character_cut_off_by_the_end_is_replaced():
    assert list(text_pieces(BYTES, [0x41, 0xF0, 0x9F])) == ["A", "\ufffd"]


@given(st.lists(st.integers(0, 255) | st.sampled_from([0xC3, 0xA9, 0xF0, 0x9F, 0x99, 0x82, 0xED, 0xA0, 0xE2])))
def test_the_pieces_joined_are_the_decoded_text(ids):
    pieces = list(text_pieces(BYTES, ids))
    assert "".join(pieces) == BYTES.decode(ids)
    assert all(pieces)


def test_characters_come_one_by_one():
    tokenizer = CharTokenizer.train("aé\N{COMBINING ACUTE ACCENT}🙂")
    text = "🙂aé\N{COMBINING ACUTE ACCENT}"
    assert list(text_pieces(tokenizer, tokenizer.encode(text))) == list(text)
