"""SentencePiece's own files: what is in them is read, and what is damaged or another is said and named."""

import contextlib
import json

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from minitransformer.models import LLaMA
from minitransformer.pretrained import load_pretrained, save_pretrained
from minitransformer.pretrained.protobuf import fields
from minitransformer.pretrained.tokenizers import read_tokenizer
from minitransformer.tokenizers import SentencePieceTokenizer, UnigramTokenizer
from minitransformer.tokenizers.sentencepiece import BYTES, SPACE

from ..tokenizers.double_array import charsmap
from ..tokenizers.sentencepiece_file import BYTE, CONTROL, NORMAL, UNKNOWN, UNUSED, USER_DEFINED, field, message, model

TEXT = "tell tell tell hot hot  a hotel tells a tale; né à Łódź 猫\n\ttwice\n"
AS_LLAMA = {"training": [(3, 2), (35, 1)], "normalisation": [(1, b"identity"), (4, 0)]}
FIRST = [("<unk>", 0, UNKNOWN), ("<s>", 0, CONTROL), ("</s>", 0, CONTROL)]
LLAMA = SentencePieceTokenizer.train(TEXT, 310)
UNIGRAM = UnigramTokenizer.train(TEXT, 40)


def llama_pieces(tokenizer=LLAMA):
    """With scores as SentencePiece gives them: the later a piece was learnt, the lower."""
    learnt = [(piece, -i, NORMAL) for i, piece in enumerate(tokenizer.pieces[259:])]
    return [*FIRST, *((piece, 0, BYTE) for piece in BYTES), *learnt]


def unigram_pieces():
    types = {"<unk>": UNKNOWN, "<pad>": CONTROL, "</s>": CONTROL}
    return [(piece, score, types.get(piece, NORMAL)) for piece, score in zip(UNIGRAM.pieces, UNIGRAM.scores)]


def written(folder, data, name="tokenizer.model"):
    (folder / name).write_bytes(data)
    return folder


def test_llamas(tmp_path):
    found = read_tokenizer(written(tmp_path, model(llama_pieces(), **AS_LLAMA)), "llama")
    assert type(found) is SentencePieceTokenizer and found.pieces == LLAMA.pieces and found.before == "one more"
    for text in (TEXT, "", " ", "  a hotel  tells ☕", "tell</s>", "\n"):
        assert found.encode(text).tolist() == LLAMA.encode(text).tolist()
        assert found.decode(found.encode(text)) == text
    assert found.encode("tell</s>")[-1] == found.end and found.special.keys() == {"<unk>", "<s>", "</s>"}
    assert SentencePieceTokenizer.from_json(found.to_json()).to_json() == found.to_json()


def test_a_piece_is_made_of_whichever_halves_stand_first(tmp_path):
    """Of "aaa" both a|aa and aa|a may become it: the leftmost is taken, not the one of another rank."""
    learnt = [(piece, -i, NORMAL) for i, piece in enumerate(("aaa", "aa", "a", SPACE))]
    pieces = [*FIRST, *((piece, 0, BYTE) for piece in BYTES), *learnt]
    found = read_tokenizer(written(tmp_path, model(pieces, **AS_LLAMA)), "llama")
    assert len(set(found.ranks.values())) < len(found.merges)
    assert [found.pieces[id] for id in found.encode("aaaaaa")] == [SPACE, "aaa", "aaa"]
    assert SentencePieceTokenizer.from_json(found.to_json()).ranks == found.ranks


def test_unigrams(tmp_path):
    table = charsmap({"É": "E", "\t": " "})
    for normalisation, steps, before in (
        ([], [["trim"], ["collapse"]], "one more"),
        ([(4, 0), (3, 0)], [], "never"),
        ([(2, table), (4, 0)], [["charsmap", None]], "one more"),
    ):
        data = model(unigram_pieces(), [], normalisation)
        found = read_tokenizer(written(tmp_path, data, "spiece.model"), "t5")
        assert found.pieces == UNIGRAM.pieces and np.allclose(found.scores, UNIGRAM.scores, rtol=1e-6)
        assert [step[0] for step in found.settings.steps] == [step[0] for step in steps]
        assert found.settings.before == before and found.settings.separator == "</s>"
        assert found.settings.special.keys() == {"<unk>", "<pad>", "</s>"}
        for text in ("tell hotel", "a tale ☕", ""):
            spaces = before == "never" and text  # nothing is put before it here
            assert found.encode((" " if spaces else "") + text).tolist() == UNIGRAM.encode(text).tolist()
    assert [found.pieces[id] for id in found.encode("É\ttell")][-1] == f"{SPACE}tell"


def test_a_model_is_loaded_with_such_a_file(tmp_path, rng):
    plain = LLaMA(LLAMA.vocab_size, 9, 1, 2, 1, 4, 2, 3)
    save_pretrained(tmp_path / "llama", plain, plain.init(rng), LLAMA)
    (tmp_path / "llama" / "tokenizer.json").unlink()
    (tmp_path / "llama" / "tokenizer.model").write_bytes(model(llama_pieces(), **AS_LLAMA))
    found = load_pretrained(tmp_path / "llama").tokenizer
    assert found.encode("tell hotel").tolist() == LLAMA.encode("tell hotel").tolist()


def test_the_other_file_goes_first(tmp_path, rng):
    plain = LLaMA(LLAMA.vocab_size, 9, 1, 2, 1, 4, 2, 3)
    save_pretrained(tmp_path / "llama", plain, plain.init(rng), LLAMA)
    (tmp_path / "llama" / "tokenizer.model").write_bytes(b"nothing of the kind")
    assert load_pretrained(tmp_path / "llama").tokenizer.to_json() == LLAMA.to_json()


def refused(folder, data, message, kind="llama"):
    with pytest.raises(ValueError, match=r"tokenizer\.model is damaged or another tokenizer: ") as caught:
        read_tokenizer(written(folder, data), kind)
    assert message in str(caught.value)


@pytest.mark.parametrize(
    "pieces, training, normalisation, message",
    [
        ([], [(3, 2), (35, 1)], [(4, 0)], "there is no piece in it"),
        (FIRST[1:], [(3, 2), (35, 1)], [(4, 0)], "0 of its pieces are for what is unknown"),
        ([*FIRST, ("x", 0, UNKNOWN)], [(3, 2), (35, 1)], [(4, 0)], "2 of its pieces are for what is unknown"),
        ([*FIRST, ("x", 0, USER_DEFINED)], [(3, 2), (35, 1)], [(4, 0)], "its piece x is user-defined or unused"),
        ([*FIRST, ("x", 0, UNUSED)], [(3, 2), (35, 1)], [(4, 0)], "its piece x is user-defined or unused"),
        ([*FIRST, ("x", 0, 77)], [(3, 2), (35, 1)], [(4, 0)], "its piece x is user-defined or unused"),
        (FIRST, [(3, 4)], [], "its model_type is 4; there are 1, unigram, and 2"),
        (FIRST, [(3, 1)], [], "it is a UnigramTokenizer, and a SentencePieceTokenizer or a Llama3Tokenizer is needed"),
        (FIRST, [(3, 2)], [(4, 0)], "it has no bytes to fall back on"),
        (FIRST, [(3, 2), (35, 1)], [], "it normalises texts, or puts no space before them"),
        (FIRST, [(3, 2), (35, 1)], [(4, 0), (3, 0)], "it normalises texts, or puts no space before them"),
        (FIRST, [(3, 2), (35, 1)], [(4, 0), (2, b"xyz")], "it normalises texts, or puts no space before them"),
        (FIRST, [(3, 2), (35, 1)], [(4, 0), (5, 0)], "▁ stands behind its words, or nowhere"),
        (FIRST, [(3, 2), (35, 1), (24, 1)], [(4, 0)], "▁ stands behind its words, or nowhere"),
        (FIRST, [(3, 2), (35, 1)], [(4, 0)], "<0x00> is no piece of the vocabulary"),
        ([*FIRST, FIRST[1]], [(3, 2), (35, 1)], [(4, 0)], "a piece comes twice"),
        (FIRST, [(3, b"two")], [], "a whole number is 3 bytes"),
        (FIRST, [(35, b"")], [], "a whole number is 0 bytes"),
        (FIRST, [(3, 2), (35, 1)], [(2, 7)], "a text or a message is a whole number"),
    ],
)
def test_files_that_are_not_ours(pieces, training, normalisation, message, tmp_path):
    refused(tmp_path, model(pieces, training, normalisation), message)


@pytest.mark.parametrize(
    "data, message",
    [
        (b"", "there is no piece in it"),
        (b"\x0a", "there is no whole number"),
        (b"\x0a\x05ab", "there is no field"),
        (b"\xff" * 11, "there is no whole number"),
        (b"\x0b\x00", "there is no field"),
        (b"\x00\x00", "there is no piece in it"),
        (field(1, 7), "a text or a message is a whole number"),
        (field(1, field(1, b"\xff")), "codec can't decode"),
        (field(1, field(2, b"12345")), "a number with a point is not 4 bytes"),
        (field(1, field(3, b"x")), "a whole number is 1 bytes"),
        (json.dumps({"a": 1}).encode(), ""),
    ],
)
def test_bytes_that_are_none(data, message, tmp_path):
    refused(tmp_path, data, message)


def test_a_file_that_ends_too_early(tmp_path):
    """At every byte, or nearly: what is read is refused, or has fewer pieces; it never goes unnoticed in a model."""
    data = model(unigram_pieces(), [], [])
    for end in range(0, len(data) - 1, 3):
        try:
            found = read_tokenizer(written(tmp_path, data[:end], "spiece.model"), "t5")
        except ValueError as error:
            assert "spiece.model is damaged or another tokenizer" in str(error)
        else:
            assert found.vocab_size < UNIGRAM.vocab_size or end >= len(data) - 4


@given(st.binary(max_size=60))
def test_whatever_bytes_are_read_or_refused(data):
    with contextlib.suppress(ValueError):
        assert all(type(value) in (int, bytes) for _, value in fields(data))


@given(st.lists(st.tuples(st.integers(1, 2**29 - 1), st.integers(0, 2**64 - 1) | st.binary(max_size=200))))
def test_fields_come_back(rows):
    assert list(fields(message(rows))) == rows
