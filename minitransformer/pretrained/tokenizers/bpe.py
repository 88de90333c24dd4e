"""Byte-level BPE: vocab.json and merges.txt, or both in tokenizer.json.

In these files a token is written with a printable character for each of its bytes: the byte's own where it has one, and
the characters from U+0100 on, one after another, for the others. A space is Ġ.
"""

import functools
import json

from ...files import read_json
from ...tokenizers import BPETokenizer
from ..tensors import shown

PRINTABLE = (*range(ord("!"), ord("~") + 1), *range(0xA1, 0xAD), *range(0xAE, 0x100))


@functools.cache
def characters():
    """The character of each byte."""
    others = iter(range(0x100, 0x200))
    return [chr(byte) if byte in PRINTABLE else chr(next(others)) for byte in range(256)]


@functools.cache
def bytes_by_character():
    return {character: byte for byte, character in enumerate(characters())}


def written(token):
    """The bytes of a token as these files write them."""
    return "".join(characters()[byte] for byte in token)


def token_of(text):
    """The bytes of what stands in a file; a special token may have characters that stand for no byte, and is itself."""
    known = bytes_by_character()
    return bytes(known[c] for c in text) if all(c in known for c in text) else text.encode("utf-8")


def read_bpe(folder, make=BPETokenizer):
    """The tokenizer of a folder. ValueError naming the file that is missing or damaged."""
    if (folder / "vocab.json").is_file() and (folder / "merges.txt").is_file():
        vocab = read_json(folder / "vocab.json")
        try:
            lines = (folder / "merges.txt").read_text(encoding="utf-8").split("\n")
        except UnicodeDecodeError as error:
            raise ValueError(f"{folder / 'merges.txt'} is damaged: {error}") from None
        added, lines = {}, [line.removesuffix("\r") for line in lines]
        merges = [line.split(" ") for line in lines if line and not line.startswith("#version")]
    elif (path := folder / "tokenizer.json").is_file():
        data = read_json(path)
        try:
            kind = data["model"].get("type", "BPE")
            vocab = dict(data["model"].get("vocab", {}))
            added = {token["content"]: token["id"] for token in data.get("added_tokens", [])}
            added = {text: id for text, id in added.items() if text not in vocab}
            merges = [m.split(" ") if isinstance(m, str) else list(m) for m in data["model"].get("merges", [])]
        except (TypeError, KeyError, AttributeError, ValueError) as error:
            raise ValueError(f"{path} is damaged or no tokenizer: {error}") from None
        if kind != "BPE":
            raise ValueError(f"{path} is a tokenizer of the kind {kind}; read is BPE")
    else:
        raise ValueError(f"{folder} has no tokenizer: neither vocab.json with merges.txt nor tokenizer.json")
    try:
        return make(*tables(vocab, added, merges))
    except ValueError as error:
        raise ValueError(f"{folder}: its tokenizer is damaged: {error}") from None


def tables(vocab, added, merges):
    """tokens, merges of {text: id}; what was added is written as it is, and not by its bytes' characters"""
    if not isinstance(vocab, dict) or not all(isinstance(text, str) for text in added):
        raise ValueError("its tokens are not texts with ids")
    ids = [*vocab.values(), *added.values()]
    if not all(type(id) is int for id in ids) or sorted(ids) != list(range(len(ids))):
        raise ValueError("its ids are not 0, 1, 2, ... each once")
    tokens = {id: token_of(text) for text, id in vocab.items()} | {id: text.encode() for text, id in added.items()}
    pairs = []
    for merge in merges:
        if len(merge) != 2 or not all(isinstance(part, str) and part in vocab for part in merge):
            raise ValueError(f"the merge {shown(' '.join(map(str, merge)))!r} is not of two tokens")
        pairs.append((vocab[merge[0]], vocab[merge[1]]))
    return [tokens[id] for id in range(len(tokens))], pairs


def bpe_files(tokenizer):
    """{file name: bytes}: vocab.json and merges.txt."""
    texts = [written(token) for token in tokenizer.tokens]
    lines = ["#version: 0.2", *(f"{texts[left]} {texts[right]}" for left, right in tokenizer.merges), ""]
    vocab = json.dumps({text: id for id, text in enumerate(texts)}, ensure_ascii=False)
    return {"vocab.json": vocab.encode("utf-8"), "merges.txt": "\n".join(lines).encode("utf-8")}
