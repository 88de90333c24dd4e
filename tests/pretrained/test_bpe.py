"""Files of byte-level BPE: one or two, what was added beside them, and what is damaged."""

import json

import numpy as np
import pytest

from minitransformer.models import GPT2
from minitransformer.pretrained import load_pretrained, save_pretrained
from minitransformer.pretrained.tokenizers import characters, read_bpe
from minitransformer.pretrained.tokenizers.bpe import bpe_files
from minitransformer.tokenizers import BPETokenizer

from .test_gpt2 import TEXT, TOKENIZER


@pytest.fixture
def folder(tmp_path):
    for name, content in bpe_files(TOKENIZER).items():
        (tmp_path / name).write_bytes(content)
    return tmp_path


def test_a_character_for_every_byte():
    assert len(set(characters())) == 256 and characters()[ord(" ")] == "Ġ" and characters()[ord("\n")] == "Ċ"
    assert all(c.isprintable() and not c.isspace() for c in characters())


def in_one(vocab, merges=(), added=(), **more):
    """tokenizer.json, with what matters of it"""
    words = {"type": "ByteLevel", "add_prefix_space": False, "trim_offsets": True, "use_regex": True}
    model = {"type": "BPE", "vocab": vocab, "merges": list(merges)}
    return {"normalizer": None, "pre_tokenizer": words, "model": model, "added_tokens": list(added)} | more


def test_one_file_or_two(folder):
    expected = read_bpe(folder)
    vocab = json.loads((folder / "vocab.json").read_text(encoding="utf-8"))
    lines = (folder / "merges.txt").read_text(encoding="utf-8").splitlines()[1:]
    for merges in (lines, [line.split(" ") for line in lines]):
        data = in_one(vocab, merges)
        (folder / "tokenizer.json").write_text(json.dumps(data), encoding="utf-8")
        for name in ("vocab.json", "merges.txt"):
            (folder / name).unlink(missing_ok=True)
        found = read_bpe(folder)
        assert found.tokens == expected.tokens and found.merges == expected.merges
    assert found.decode(found.encode(TEXT)) == TEXT and list(found.encode(TEXT)) == list(TOKENIZER.encode(TEXT))


@pytest.mark.parametrize(
    "name, content, message",
    [
        ("vocab.json", '{"a": 0, "b": 2}', "its ids are not 0, 1, 2"),
        ("vocab.json", '{"a": 0.0, "b": 1}', "its ids are not 0, 1, 2"),
        ("vocab.json", '{"a": null}', "its ids are not 0, 1, 2"),
        ("vocab.json", "[1]", "its tokens are not texts with ids"),
        ("vocab.json", "[", "damaged or no JSON"),
        ("merges.txt", "#version: 0.2\nt h e\n", "is not of two tokens"),
        ("merges.txt", "#version: 0.2\nt xyz\n", "the merge 't xyz' is not of two tokens"),
    ],
)
def test_damaged_tokenizers(name, content, message, folder):
    (folder / name).write_text(content, encoding="utf-8")
    with pytest.raises(ValueError, match=r".") as caught:
        read_bpe(folder)
    assert message in str(caught.value)


@pytest.mark.parametrize(
    "change, message",
    [
        ({"added_tokens": [{"content": 5, "id": 300}]}, "its tokens are not texts with ids"),
        ({"added_tokens": [{"content": "", "id": 300}]}, "its tokens are not texts with ids"),
        ({"added_tokens": [{"content": "<a>", "id": 301}]}, "its ids are not 0, 1, 2"),
        ({"added_tokens": [{"content": "a", "id": 300}]}, "its ids are not 0, 1, 2"),
        ({"added_tokens": [{"content": "<a>", "id": 300, "single_word": True}]}, "its token <a> has single_word"),
        ({"added_tokens": [{"id": 300}]}, "damaged or another"),
        ({"added_tokens": None}, "damaged or another"),
        ({"model": {"type": "Unigram"}}, "it is of the kind Unigram, and BPE is needed"),
        ({"model": {"dropout": 0.1}}, "its model has {'dropout': 0.1}, which is not here"),
        ({"model": {"ignore_merges": True}}, "its model has {'ignore_merges': True}, which is not here"),
        ({"model": {"end_of_word_suffix": "</w>"}}, "its model has {'end_of_word_suffix': '</w>'}, which is not here"),
        ({"model": None}, "damaged or another"),
        ({"normalizer": {"type": "NFC"}}, "it has a normalizer, {'type': 'NFC'}, and what is here has none"),
        ({"pre_tokenizer": {"type": "ByteLevel", "add_prefix_space": True}}, "ByteLevel without add_prefix_space is"),
        ({"pre_tokenizer": {"type": "Whitespace"}}, "its pre_tokenizer is {'type': 'Whitespace'}"),
        ({"pre_tokenizer": None}, "its pre_tokenizer is {}"),
        ({"model": {"vocab": {"a": 0}, "merges": [[["a"], ["a"]]]}}, "is not of two tokens"),
    ],
)
def test_damaged_tokenizer_json(change, message, folder):
    vocab = json.loads((folder / "vocab.json").read_text(encoding="utf-8"))
    (folder / "vocab.json").unlink()
    data = in_one(vocab) | change
    (folder / "tokenizer.json").write_text(json.dumps(data), encoding="utf-8")
    with pytest.raises(ValueError, match=r".") as caught:
        read_bpe(folder)
    assert message in str(caught.value)


def test_an_added_token_is_written_as_it_is(folder):
    vocab = json.loads((folder / "vocab.json").read_text(encoding="utf-8"))
    (folder / "vocab.json").unlink()
    added = [{"content": "<|né|>", "id": len(vocab)}]
    (folder / "tokenizer.json").write_text(json.dumps(in_one(vocab, added=added)), encoding="utf-8")
    found = read_bpe(folder)
    assert found.tokens[-1] == "<|né|>".encode() and found.encode("a<|né|>")[-1] == len(vocab)


def test_the_one_file_comes_first(folder):
    """Where there are both, as transformers 4 writes them: only this one has all that was added."""
    vocab = json.loads((folder / "vocab.json").read_text(encoding="utf-8"))
    added = [{"content": "[PAD]", "id": len(vocab), "rstrip": True}]
    (folder / "tokenizer.json").write_text(json.dumps(in_one(vocab, added=added)), encoding="utf-8")
    found = read_bpe(folder)
    assert found.special == {"[PAD]": len(vocab)} and found.parts.takes == {"[PAD]": "behind"}
    (folder / "tokenizer_config.json").write_text('{"add_prefix_space": true}', encoding="utf-8")
    with pytest.raises(ValueError, match=r"tokenizer_config\.json: add_prefix_space is true"):
        read_bpe(folder)


def test_what_was_added_beside_two_files(folder):
    """In added_tokens.json, in the settings, or in both."""
    vocab = json.loads((folder / "vocab.json").read_text(encoding="utf-8"))
    (folder / "added_tokens.json").write_text(json.dumps({"[PAD]": len(vocab)}), encoding="utf-8")
    assert read_bpe(folder).parts.takes == {"[PAD]": ""}
    pad, end = {"content": "[PAD]", "lstrip": True}, {"content": "<|endoftext|>"}
    config = {"added_tokens_decoder": {str(len(vocab)): pad, str(len(vocab) + 1): end}}
    (folder / "tokenizer_config.json").write_text(json.dumps(config), encoding="utf-8")
    for _ in range(2):
        found = read_bpe(folder)
        assert found.special == {"[PAD]": len(vocab), "<|endoftext|>": len(vocab) + 1}
        assert found.end == len(vocab) + 1
        assert found.parts.takes == {"[PAD]": "before", "<|endoftext|>": ""}
        (folder / "added_tokens.json").unlink(missing_ok=True)
    for name, content in (("added_tokens.json", [1]), ("tokenizer_config.json", {"added_tokens_decoder": {"a": {}}})):
        (folder / name).write_text(json.dumps(content), encoding="utf-8")
        with pytest.raises(ValueError, match="the tokens that were added are damaged"):
            read_bpe(folder)
        (folder / name).unlink()


def test_special_tokens_are_written_and_read(tmp_path):
    """Wherever their ids are, and whatever letters they have."""
    n = len(TOKENIZER.tokens)
    tokens = [b"<|endoftext|>", *TOKENIZER.tokens, "<|né|>".encode(), b"<a b>"]
    merges = [(a + 1, b + 1) for a, b in TOKENIZER.merges]
    tokenizer = BPETokenizer(tokens, merges, {"<|endoftext|>": "", "<|né|>": "both", "<a b>": "before"})
    model = GPT2(tokenizer.vocab_size, 9, 1, 1, 6)
    save_pretrained(tmp_path / "new", model, model.init(np.random.default_rng(0)), tokenizer)
    found = load_pretrained(tmp_path / "new").tokenizer
    assert found.to_json() == tokenizer.to_json()
    assert found.encode("t <a b><|endoftext|>").tolist() == [ord("t") + 1, n + 2, 0]
