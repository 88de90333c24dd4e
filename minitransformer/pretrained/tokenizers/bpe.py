"""Byte-level BPE: tokenizer.json, or vocab.json and merges.txt, with the tokens that were added beside them.

In these files a token is written with a printable character for each of its bytes: the byte's own where it has one, and
the characters from U+0100 on, one after another, for the others. A space is Ġ.
"""

import functools
import json

from ...files import read_json, read_lines, to_json
from ...tokenizers import BPETokenizer
from ...tokenizers.bpe import END_OF_TEXT
from ..config import object_if_any
from ..tensors import shown
from .added import added_beside, added_in, by_id, entry_of

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


def read_bpe(folder, make=None):
    """The tokenizer of a folder. ValueError naming the file that is missing or damaged.

    make: (tokens, merges, {special text: which spaces it takes})   ->   the tokenizer; by default GPT-2's
    """
    config = settings_in(folder)
    if (path := folder / "tokenizer.json").is_file():
        vocab, merges, added = in_one(path)
    elif (folder / "vocab.json").is_file() and (folder / "merges.txt").is_file():
        vocab, merges = read_json(folder / "vocab.json"), merges_in(folder / "merges.txt")
        added = added_beside(folder, config)
    else:
        raise ValueError(f"{folder} has no tokenizer: neither vocab.json with merges.txt nor tokenizer.json")
    try:
        ids, takes = added_in(added)
        return (make or gpt2)(*tables(vocab, ids, merges), takes)
    except (TypeError, KeyError, AttributeError, ValueError) as error:
        raise ValueError(f"{folder}: its tokenizer is damaged or another: {error}") from None


def gpt2(tokens, merges, special):
    """With <|endoftext|>, which is special though no file should say so."""
    end = {END_OF_TEXT: ""} if END_OF_TEXT.encode() in tokens else {}
    return BPETokenizer(tokens, merges, end | special)


def in_one(path):
    """{text: id}, [(text, text)], [entry of a token that was added] of tokenizer.json"""
    data = read_json(path)
    try:
        if (kind := data["model"].get("type", "BPE")) != "BPE":
            raise ValueError(f"it is of the kind {kind}, and BPE is needed")
        if wrong := {name: data["model"][name] for name in OTHERWISE if data["model"].get(name)}:
            raise ValueError(f"its model has {shown(str(wrong))}, which is not here")
        check_words(data)
        merges = [m.split(" ") if isinstance(m, str) else list(m) for m in data["model"].get("merges", [])]
        return dict(data["model"].get("vocab", {})), merges, list(data.get("added_tokens", []))
    except (TypeError, KeyError, AttributeError, ValueError) as error:
        raise ValueError(f"{path} is damaged or another tokenizer: {error}") from None


OTHERWISE = ("dropout", "continuing_subword_prefix", "end_of_word_suffix", "ignore_merges")


def check_words(data):
    """ValueError unless a text is read as it is, and cut into words by GPT-2's rule."""
    if data.get("normalizer") is not None:
        raise ValueError(f"it has a normalizer, {shown(data['normalizer'])}, and what is here has none")
    before = data.get("pre_tokenizer") or {}
    cut = before.get("type"), before.get("add_prefix_space"), before.get("use_regex", True)
    if cut != ("ByteLevel", False, True):
        raise ValueError(f"its pre_tokenizer is {shown(before)}, and ByteLevel without add_prefix_space is needed")


def merges_in(path):
    """[(text, text)] of merges.txt"""
    return [line.split(" ") for line in read_lines(path) if line and not line.startswith("#version")]


def settings_in(folder):
    """What tokenizer_config.json says, if it is there. ValueError where a text is not read as it is."""
    config = object_if_any(path := folder / "tokenizer_config.json")
    if config.get("add_prefix_space", False) is not False:
        raise ValueError(f"{path}: add_prefix_space is true; what is here reads a text as it is")
    return config


def tables(vocab, added, merges):
    """tokens, merges of {text: id}; what was added is written as it is, and not by its bytes' characters"""
    if not isinstance(vocab, dict):
        raise ValueError("its tokens are not texts with ids")
    tokens = [text.encode() if text in added else token_of(text) for text in by_id(vocab | added)]
    pairs = []
    for merge in merges:
        if len(merge) != 2 or not all(isinstance(part, str) and part in vocab for part in merge):
            raise ValueError(f"the merge {shown(' '.join(map(str, merge)))!r} is not of two tokens")
        pairs.append((vocab[merge[0]], vocab[merge[1]]))
    return tokens, pairs


def bpe_files(tokenizer):
    """{file name: bytes}: vocab.json and merges.txt; and where there are special tokens, tokenizer_config.json."""
    texts = [written(token) for token in tokenizer.tokens]
    lines = ["#version: 0.2", *(f"{texts[left]} {texts[right]}" for left, right in tokenizer.merges), ""]
    for text, id in tokenizer.special.items():
        texts[id] = text
    vocab = json.dumps({text: id for id, text in enumerate(texts)}, ensure_ascii=False)
    files = {"vocab.json": vocab.encode("utf-8"), "merges.txt": "\n".join(lines).encode("utf-8")}
    if not tokenizer.special:
        return files
    entries = {id: entry_of(text, tokenizer.parts.takes[text]) for text, id in tokenizer.special.items()}
    config = {"tokenizer_class": "GPT2Tokenizer", "add_prefix_space": False, "added_tokens_decoder": entries}
    return files | {"tokenizer_config.json": to_json(config)}
