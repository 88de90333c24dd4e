"""Tokenizers in files."""

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from minitransformer.tokenizers import TOKENIZERS, BPETokenizer, CharTokenizer, load_tokenizer, save_tokenizer

from .texts import texts


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    return tmp_path_factory.mktemp("tokenizers")


@given(texts.filter(len), st.sampled_from(["char", "bpe"]))
def test_a_saved_tokenizer_comes_back(folder, text, kind):
    tokenizer = CharTokenizer.train(text) if kind == "char" else BPETokenizer.train(text + text, 300)
    save_tokenizer(tokenizer, folder / "tokenizer.json")
    loaded = load_tokenizer(folder / "tokenizer.json")
    assert type(loaded) is type(tokenizer) is TOKENIZERS[kind]
    assert loaded.to_json() == tokenizer.to_json()
    assert loaded.tokens == tokenizer.tokens
    assert loaded.encode(text).tolist() == tokenizer.encode(text).tolist()
    assert type(tokenizer).from_json(tokenizer.to_json()).to_json() == tokenizer.to_json()


def test_the_file_is_utf8_that_people_can_read(tmp_path):
    save_tokenizer(CharTokenizer("aé🙂"), tmp_path / "t.json")
    content = (tmp_path / "t.json").read_bytes().decode("utf-8")
    assert '"aé🙂"' in content
    assert json.loads(content) == {"tokenizer": "char", "characters": "aé🙂"}


BYTES = [chr(byte) for byte in range(256)]


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"", "not JSON in UTF-8"),
        (b'{"tokenizer": "char", "characters": "a', "not JSON in UTF-8"),
        (b'{"tokenizer": "char", "characters": "\xe9"}', "not JSON in UTF-8"),
        (b"[" * 100_000, "not JSON in UTF-8"),
        (b"[]", "no tokenizer of a kind known here: char, bpe"),
        (b'"char"', "no tokenizer of a kind known here"),
        (b"{}", "no tokenizer of a kind known here"),
        (b'{"tokenizer": "words"}', "no tokenizer of a kind known here"),
        (b'{"tokenizer": ["char"]}', "no tokenizer of a kind known here"),
        (b'{"tokenizer": "char"}', "damaged char tokenizer: its 'characters' is missing"),
        (b'{"tokenizer": "char", "characters": ["a"]}', "damaged char tokenizer: its 'characters' is no str"),
        (b'{"tokenizer": "char", "characters": ""}', "damaged char tokenizer: .* empty"),
        (b'{"tokenizer": "char", "characters": "aa"}', "damaged char tokenizer: a character comes twice"),
        (b'{"tokenizer": "char", "characters": "\\ud800"}', "damaged char tokenizer: .* surrogates"),
        ({"tokenizer": "bpe", "merges": []}, "damaged bpe tokenizer: its 'tokens' is missing"),
        ({"tokenizer": "bpe", "tokens": BYTES}, "damaged bpe tokenizer: its 'merges' is missing"),
        ({"tokenizer": "bpe", "tokens": BYTES, "merges": {}}, "damaged bpe tokenizer: its 'merges' is no list"),
        ({"tokenizer": "bpe", "tokens": [*BYTES, 1], "merges": []}, "damaged bpe .* not all strings"),
        ({"tokenizer": "bpe", "tokens": [*BYTES, "ā"], "merges": []}, "damaged bpe .* 'latin-1' codec can't encode"),
        ({"tokenizer": "bpe", "tokens": BYTES[1:], "merges": []}, "damaged bpe .* 0 the first"),
        ({"tokenizer": "bpe", "tokens": BYTES, "merges": [[97, 98]]}, "damaged bpe .* does not make a token"),
        ({"tokenizer": "bpe", "tokens": BYTES, "merges": [[97]]}, r"damaged bpe .* pairs of ids: \[97\]"),
        ({"tokenizer": "bpe", "tokens": BYTES, "merges": [["a", "b"]]}, "damaged bpe .* pairs of ids"),
        ({"tokenizer": "bpe", "tokens": BYTES, "merges": ["ab"]}, "damaged bpe .* pairs of ids: 'ab'"),
        ({"tokenizer": "bpe", "tokens": BYTES, "merges": [[97, 98.0]]}, "damaged bpe .* pairs of ids"),
    ],
)
def test_foreign_and_damaged_files_are_refused_by_name(tmp_path, content, message):
    path = tmp_path / "tokenizer.json"
    path.write_bytes(content if isinstance(content, bytes) else json.dumps(content).encode("utf-8"))
    with pytest.raises(ValueError, match=f"tokenizer.json is .*{message}"):
        load_tokenizer(path)


def test_a_missing_file_is_an_os_error(tmp_path):
    with pytest.raises(FileNotFoundError):
        load_tokenizer(tmp_path / "none.json")
