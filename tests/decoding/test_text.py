"""Text from ids as they come, and where it stops."""

import itertools

import pytest
from hypothesis import given
from hypothesis import strategies as st

from minitransformer.decoding import text_pieces, until
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


# Few letters, so that a string to stop at is common, overlaps itself, and begins again in the middle of its beginning.
SOME = st.text("ab", max_size=4)


@given(st.lists(SOME), st.text("ab", min_size=1, max_size=5))
def test_it_stops_before_the_string_wherever_the_pieces_are_cut(pieces, stop):
    text = "".join(pieces)
    found = list(until(pieces, stop))
    assert "".join(found) == text.split(stop)[0]
    assert all(found)


@given(st.lists(SOME), st.text("ab", min_size=1, max_size=5))
def test_what_is_certain_is_not_held_back(pieces, stop):
    """After every piece, all is out but the longest end of the text that may become the string."""
    read = []

    def reading():
        for piece in pieces:
            read.append(piece)
            yield piece
            text = "".join(read)
            held = max(n for n in range(len(stop)) if n <= len(text) and stop.startswith(text[len(text) - n :]))
            assert written == text[: len(text) - held]

    written = ""
    for piece in until(reading(), stop):
        written += piece
    if stop not in "".join(pieces):
        assert read == pieces
        assert written == "".join(pieces)


def test_nothing_is_read_beyond_the_string():
    """The string is complete with the third piece; a fourth would have to be computed."""
    pieces = iter(["one. T", "wo", ". Three", ". Four", ". Five"])
    assert list(until(pieces, "o. ")) == ["one. T", "w"]
    assert list(pieces) == [". Four", ". Five"]


def test_it_may_span_tokens_that_end_inside_a_character():
    ids = iter(BYTES.encode("aé🙂é🙂!z"))
    assert "".join(until(text_pieces(BYTES, ids), "🙂!")) == "aé🙂é"
    assert bytes(ids) == b"z"


def test_an_empty_string_is_refused_at_the_door():
    with pytest.raises(ValueError, match="the string to stop at must not be empty"):
        until(["a"], "")
