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


def added(text, **how):
    return {"content": text, "lstrip": False, "rstrip": False, "normalized": False, "special": True} | how


N = LLAMA.vocab_size
PAD = {"added_tokens.json": {"<pad>": N, "a b": N + 1}}
TAKES = {"added_tokens_decoder": {"1": added("<s>"), str(N): added("<pad>", lstrip=True), N + 1: added("a b")}}


def with_files(folder, files):
    for name, content in files.items():
        (folder / name).write_text(json.dumps(content), encoding="utf-8")
    return read_tokenizer(written(folder, model(llama_pieces(), **AS_LLAMA)), "llama")


@pytest.mark.parametrize("files", [PAD, {"tokenizer_config.json": TAKES}, PAD | {"tokenizer_config.json": TAKES}])
def test_what_was_added_stands_beside(files, tmp_path):
    found = with_files(tmp_path, files)
    assert found.pieces == [*LLAMA.pieces, "<pad>", "a b"]
    tell, hot = LLAMA.encode("tell").tolist(), LLAMA.encode(" hot").tolist()
    space = [] if "tokenizer_config.json" in files else [found.ids[SPACE]]
    between = LLAMA.encode("tell ").tolist() if space else tell
    assert found.encode("tell <pad> hota btell").tolist() == [*between, N, *hot, N + 1, *tell]
    assert found.token_bytes(N) == b"<pad>" and found.special.keys() == {"<unk>", "<s>", "</s>", "<pad>", "a b"}


def test_what_was_added_is_written_again(tmp_path, rng):
    """In the one file, and beside a model of as many ids."""
    found = with_files(tmp_path, {"tokenizer_config.json": TAKES})
    plain = LLaMA(N + 2, 9, 1, 2, 1, 4, 2, 3)
    save_pretrained(tmp_path / "llama", plain, plain.init(rng), found)
    assert load_pretrained(tmp_path / "llama").tokenizer.encode("tell <pad> hota b").tolist() == (
        found.encode("tell <pad> hota b").tolist()
    )


@pytest.mark.parametrize("legacy, before", [(None, "one more"), (True, "one more"), (False, "first")])
def test_whether_a_space_is_put_behind_special_tokens(legacy, before, tmp_path):
    assert with_files(tmp_path, {"tokenizer_config.json": {"legacy": legacy}}).before == before
    assert with_files(tmp_path, {"tokenizer_config.json": {}}).before == "one more"


@pytest.mark.parametrize(
    "files, message",
    [
        ({"added_tokens.json": {"<pad>": N + 1}}, "tokenizer.model is damaged or another tokenizer: its ids are not 0"),
        ({"added_tokens.json": {"<pad>": 5}}, "its ids are not 0, 1, 2"),
        ({"added_tokens.json": {"<s>": N}}, "its ids are not 0, 1, 2"),
        ({"added_tokens.json": {"<pad>": str(N)}}, "its ids are not 0, 1, 2"),
        ({"added_tokens.json": ["<pad>"]}, "the tokens that were added are damaged"),
        (
            {"tokenizer_config.json": {"added_tokens_decoder": {"x": added("y")}}},
            "the tokens that were added are damaged",
        ),
        ({"tokenizer_config.json": {"added_tokens_decoder": {N: added("")}}}, "its tokens are not texts with ids"),
        ({"tokenizer_config.json": {"added_tokens_decoder": {N: added("y", single_word=True)}}}, "has single_word"),
        (
            {"tokenizer_config.json": {"add_prefix_space": False}},
            "add_prefix_space is false; what is here puts a space",
        ),
        ({"tokenizer_config.json": []}, "tokenizer_config.json is damaged: it is no object"),
    ],
)
def test_what_was_added_and_does_not_fit(files, message, tmp_path):
    with pytest.raises(ValueError, match=r".") as caught:
        with_files(tmp_path, files)
    assert message in str(caught.value)


def test_unigrams_have_a_space_behind_special_tokens(tmp_path):
    folder = written(tmp_path, model(unigram_pieces(), [], []), "spiece.model")
    for legacy in (True, None):
        (tmp_path / "tokenizer_config.json").write_text(json.dumps({"legacy": legacy}))
        assert read_tokenizer(folder, "t5").settings.before == "one more"
    (tmp_path / "tokenizer_config.json").write_text('{"legacy": false}')
    with pytest.raises(ValueError, match="spiece.model is damaged or another tokenizer: legacy is false"):
        read_tokenizer(folder, "t5")


def test_what_was_added_to_unigrams(tmp_path):
    """It may take the spaces before it, and none behind."""
    n, data = UNIGRAM.vocab_size, model(unigram_pieces(), [], [])
    for how, takes in (({}, False), ({"lstrip": True}, True)):
        settings = {"added_tokens_decoder": {n: added("<x>", **how)}}
        (tmp_path / "tokenizer_config.json").write_text(json.dumps(settings), encoding="utf-8")
        found = read_tokenizer(written(tmp_path, data, "spiece.model"), "t5")
        assert found.encode("tell<x>")[-1] == n and found.settings.special["<x>"] is takes
    settings = {"added_tokens_decoder": {n: added("<x>", rstrip=True)}}
    (tmp_path / "tokenizer_config.json").write_text(json.dumps(settings), encoding="utf-8")
    with pytest.raises(ValueError, match="its token <x> has rstrip, which is not here"):
        read_tokenizer(tmp_path, "t5")


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
