"""RoBERTa's tokenizer (Liu et al. 2019, section 4.4; its code): GPT-2's byte-pair encoding, with special tokens.

Special tokens that stand in a text are themselves, and <mask> takes the spaces before it, so that what is put in its
place may begin with one:

>>> tokenizer = RobertaTokenizer.train("the cat sat; the cat sat", vocab_size=270)
>>> ids, offsets = tokenizer.encode_with_offsets("the <mask> sat")
>>> [tokenizer.text(id) for id in ids]
['the', '<mask>', ' sat']

A token stands in the text without the spaces around it, whichever it has:

>>> offsets.tolist()
[[0, 3], [4, 10], [11, 14]]
"""

import unicodedata

import numpy as np

from .bpe import BPETokenizer
from .special import Special
from .tokenizer import Tokenizer

SPECIAL = ("<s>", "<pad>", "</s>", "<unk>", "<mask>")


class RobertaTokenizer(Tokenizer):
    """tokens: [bytes], by id, all of SPECIAL among them; merges: [(left id, right id)], by rank, as for BPE.

    mask_takes_spaces: whether those before <mask> are part of it. ValueError for tables that are not like that.
    """

    name = "roberta"
    second_type = 0  # of the second of two texts: there is one type for both

    def __init__(self, tokens, merges, *, mask_takes_spaces=True):
        super().__init__(tokens)
        self.bpe, self.mask_takes_spaces = BPETokenizer(tokens, merges, ()), mask_takes_spaces
        ids = {token: id for id, token in enumerate(tokens)}
        if missing := [text for text in SPECIAL if text.encode() not in ids]:
            raise ValueError(f"the vocabulary has no {', '.join(missing)}")
        self.special = {text: ids[text.encode()] for text in SPECIAL}
        self.parts = Special(dict.fromkeys(SPECIAL, "") | {"<mask>": "before" if mask_takes_spaces else ""})
        self.first, self.pad, self.separator, self.unknown, self.mask = self.special.values()
        self.between = [self.separator] * 2  # of two texts
        self.leading = np.array([len(token) - len(token.lstrip(b" ")) for token in tokens])
        self.trailing = np.array([len(token) - len(token.rstrip(b" ")) for token in tokens])

    @classmethod
    def train(cls, text, vocab_size):
        """A tokenizer of SPECIAL, the 256 bytes, and merges, as many as there is room for and pairs come twice."""
        n = len(SPECIAL)
        if vocab_size < n + 256:
            raise ValueError(f"vocab_size={vocab_size} has no room for {n} special tokens and the 256 bytes")
        bpe = BPETokenizer.train(Special(SPECIAL).rule.sub(" ", text), vocab_size - n)
        merges = [(left + n, right + n) for left, right in bpe.merges]
        return cls([*(text.encode() for text in SPECIAL), *bpe.tokens], merges)

    def encode(self, text):
        """text   ->   ids (T) int64, without <s> and </s>. ValueError for half a surrogate pair, which has no UTF-8."""
        return self.encode_with_offsets(text)[0]

    def encode_with_offsets(self, text):
        """text   ->   ids (T) int64, offsets (T, 2): where in the text each token begins, and ends"""
        ids, offsets = self.parts.encode(text, self.special, self.encode_part)
        masks = ids == self.mask
        offsets[masks, 0] = offsets[masks, 1] - len("<mask>")  # without the spaces that it has taken
        return ids, offsets

    def encode_part(self, text, first):
        ids, offsets = self.bpe.encode_with_offsets(text)
        return ids, self.trimmed(ids, offsets)

    def trimmed(self, ids, offsets):
        """offsets (T, 2) without the spaces with which tokens begin, and end"""
        begin = np.minimum(offsets[:, 0] + self.leading[ids], offsets[:, 1])
        return np.stack([begin, np.maximum(offsets[:, 1] - self.trailing[ids], begin)], -1)

    def continues(self, before, id):
        """Whether a token goes on with the word of the one before: a word begins with a space, or where others end."""
        left, right = self.text(before)[-1:], self.text(id)[:1]
        return right != " " and (left == " " or is_inside(left) and is_inside(right))

    def text(self, id):
        """A token as text, its spaces too; U+FFFD for parts of characters."""
        return self.token_bytes(id).decode("utf-8", errors="replace")

    def to_json(self):
        return self.bpe.to_json() | {"mask_takes_spaces": self.mask_takes_spaces}

    @classmethod
    def from_json(cls, data):
        bpe, takes = BPETokenizer.from_json(data), data.get("mask_takes_spaces")
        if not isinstance(takes, bool):
            raise ValueError("its 'mask_takes_spaces' is neither true nor false")
        return cls(bpe.tokens, bpe.merges, mask_takes_spaces=takes)


def is_inside(c):
    """Whether a character goes on with a word: a letter, a mark, a number, or a part of some character."""
    return c == "\N{REPLACEMENT CHARACTER}" or unicodedata.category(c)[0] in "LMN"
