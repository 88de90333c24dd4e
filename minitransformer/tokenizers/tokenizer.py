"""What every tokenizer is: a table of tokens, each of them some bytes, and a way from text to their ids and back."""

import functools

import numpy as np

from ..ops.embedding import check_ids

remembered = functools.lru_cache(maxsize=1 << 16)  # what is found of a word, for so many of them: some 20 MB


class Tokenizer:
    """The half that all share: from ids back to bytes and text. A tokenizer adds

    name        what its kind is called in files and on the command line
    train       a classmethod: a tokenizer made for a text
    encode      text   ->   ids (T) int64
    to_json     what `from_json`, a classmethod, makes the same tokenizer of; `from_json` raises ValueError if it cannot
    """

    begin = end = None  # the ids of what a text that is to be gone on with begins with, and of what ends one

    def __init__(self, tokens):
        self.tokens = tokens  # [bytes], by id

    @property
    def vocab_size(self):
        return len(self.tokens)

    def token_bytes(self, id):
        """The bytes of one token: UTF-8, but perhaps only a part of a character. ValueError for a foreign id."""
        check_ids(np.asarray(id), self.vocab_size)
        return self.tokens[id]

    def decode(self, ids):
        """ids, a sequence of integers   ->   text, with U+FFFD where the bytes are not UTF-8

        ValueError for ids outside the vocabulary.
        """
        check_ids(np.asarray(ids), self.vocab_size)
        return b"".join(self.tokens[id] for id in ids).decode("utf-8", errors="replace")


def field(data, name, kind):
    """data[name], which must be of this kind (a type). ValueError otherwise."""
    if not isinstance(data.get(name), kind):
        raise ValueError(f"its {name!r} is {'no ' + kind.__name__ if name in data else 'missing'}")
    return data[name]
