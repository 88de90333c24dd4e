"""Characters as tokens: every character of the training text, in the order of their code points, has an id.

>>> tokenizer = CharTokenizer.train("banana")
>>> tokenizer.characters
'abn'
>>> tokenizer.encode("nab")
array([2, 0, 1])
>>> tokenizer.decode([1, 0, 2])
'ban'

A character is a Unicode code point: "é" may be one, or two ("e" and a combining accent); both come back as they were.
"""

import numpy as np

from .tokenizer import Tokenizer, field


class CharTokenizer(Tokenizer):
    """characters: a string of them, each once; the place of a character is its id. ValueError if one comes twice."""

    name = "char"

    def __init__(self, characters):
        if not characters:
            raise ValueError("a vocabulary of no characters: the text is empty")
        self.characters = characters
        self.ids = {character: id for id, character in enumerate(characters)}
        if len(self.ids) < len(characters):
            raise ValueError("a character comes twice in the vocabulary")
        super().__init__([character.encode("utf-8") for character in characters])

    @classmethod
    def train(cls, text):
        """The tokenizer of all characters of `text`. ValueError for an empty one."""
        return cls("".join(sorted(set(text))))

    def encode(self, text):
        """text   ->   ids (T) int64, one a character. ValueError for a character that the training text did not have"""
        try:
            return np.array([self.ids[character] for character in text], np.int64)
        except KeyError as error:
            character = error.args[0]
            raise ValueError(
                f"the character {character!r} (U+{ord(character):04X}), number {text.index(character) + 1} of the text,"
                f" is not among the {self.vocab_size} that this tokenizer knows: leave it out,"
                " or train with the tokenizer 'bpe', which knows every character"
            ) from None

    def to_json(self):
        return {"characters": self.characters}

    @classmethod
    def from_json(cls, data):
        return cls(field(data, "characters", str))
