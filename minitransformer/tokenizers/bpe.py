"""Byte-pair encoding (Gage 1994; Sennrich et al. 2016, section 3.2) of bytes (Radford et al. 2019, section 2.2).

The text is cut into words (`pretokens`), each word into its UTF-8 bytes: 256 tokens, from which any text can be made.

training    again and again, the pair of neighbours that is most frequent in the text becomes a new token; of equally
            frequent ones, the pair with the smallest ids. The pairs in this order are the merges; the number of a
            merge is its rank.
encoding    the same merges in the same order: of all pairs in a word, the one of the lowest rank is merged, wherever
            it stands, until none is left that has a rank. Merging the leftmost pair instead gives other ids, which
            decode to the same text, so that no round trip shows it.

In "tell tell tell hot hot" the words are "tell", " tell" twice and " hot" twice. e|l, l|l and t|e come three times
each; e|l has the smallest ids, 101 and 108, and becomes token 256. Now t|256 and 256|l come three times, and so on:

>>> tokenizer = BPETokenizer.train("tell tell tell hot hot", vocab_size=263)
>>> tokenizer.tokens[256:]
[b'el', b'tel', b'tell', b' h', b' tell', b'ot', b' hot']
>>> tokenizer.merges[:3]
[(101, 108), (116, 256), (257, 108)]

In " hotel", e|l has the lowest rank, then t|el, then " "|h; by then no t is left for o|t:

>>> [tokenizer.tokens[id] for id in tokenizer.encode(" hotel")]
[b' h', b'o', b'tel']

(Leftmost first, it would be " hot" and "el".)

Special tokens that stand in a text are themselves. GPT-2 has one, <|endoftext|>, which parts documents.

Training rests on a structure (`merging`) that knows where every pair stands. A word is encoded once, and remembered.
"""

import itertools
from collections import Counter

import numpy as np

from .merging import Pairs, frequent_pairs, merged_in_turn
from .pretokens import split
from .special import Special
from .tokenizer import Tokenizer, field, remembered

END_OF_TEXT = "<|endoftext|>"  # GPT-2's; a tokenizer that was trained here has none


class BPETokenizer(Tokenizer):
    """tokens: [bytes], by id; merges: [(left id, right id)], by rank.

    special: texts among the tokens, as `Special` takes them; by default <|endoftext|>, where it is one
    Every byte must be a token, and so must what each merge makes: the bytes of its left token, then of its right one.
    The ids follow from the place in `tokens` alone, so that published tables fit whatever their order. ValueError for
    tables that are not like that.
    """

    name = "bpe"
    rule = "gpt2"  # how text is cut into words, of `pretokens`
    whole = False  # whether a word that is a token is that one, merged or not

    def __init__(self, tokens, merges, special=None):
        super().__init__(tokens)
        self.ids = ids = {token: id for id, token in enumerate(tokens)}
        if len(ids) < len(tokens):
            raise ValueError("a token comes twice in the vocabulary")
        if missing := [byte for byte in range(256) if bytes([byte]) not in ids]:
            raise ValueError(f"{len(missing)} of the 256 bytes are no tokens, {missing[0]} the first of them")
        self.byte_ids = [ids[bytes([byte])] for byte in range(256)]
        self.end = ids.get(END_OF_TEXT.encode())
        self.parts = Special([END_OF_TEXT] * (self.end is not None) if special is None else special)
        self.special = {text: ids.get(text.encode("utf-8")) for text in self.parts.takes}
        if missing := [text for text, id in self.special.items() if id is None]:
            raise ValueError(f"the vocabulary has no special {', '.join(missing)}")
        self.merges, self.merged = merges, []  # merged: by rank, the id of what the merge makes
        for rank, (left, right) in enumerate(merges):
            if not (0 <= left < len(tokens) and 0 <= right < len(tokens) and tokens[left] + tokens[right] in ids):
                raise ValueError(f"merge {rank}, of the ids {left} and {right}, does not make a token")
            self.merged.append(ids[tokens[left] + tokens[right]])
        self.ranks = {pair: rank for rank, pair in enumerate(merges)}
        if len(self.ranks) < len(merges):
            raise ValueError("a pair is merged twice")
        self.sizes = np.array([len(token) for token in tokens], np.int64)
        self.known = remembered(self.encode_word)

    @classmethod
    def train(cls, text, vocab_size):
        """A tokenizer of the 256 bytes and vocab_size - 256 merges, or fewer where no pair comes twice any more."""
        if vocab_size < 256:
            raise ValueError(f"vocab_size={vocab_size} has no room for the 256 bytes")
        return cls(*learnt_tables(text, vocab_size, cls.rule))

    def encode(self, text):
        """text   ->   ids (T) int64. ValueError for half a surrogate pair, which has no UTF-8."""
        cut = self.parts.cut(text)
        parts = (self.words(text[begin:end]) if found is None else [[self.special[found]]] for begin, end, found in cut)
        return np.fromiter(itertools.chain.from_iterable(itertools.chain.from_iterable(parts)), np.int64)

    def encode_with_offsets(self, text):
        """text   ->   ids (T) int64, offsets (T, 2): where in the text each token begins, and ends

        A token that is only some bytes of a character has that whole character for its place.
        """
        return self.parts.encode(text, self.special, self.encode_part)

    def encode_part(self, text, first):
        ids = np.fromiter(itertools.chain.from_iterable(self.words(text)), np.int64)
        begins_character = np.frombuffer(text.encode("utf-8"), np.uint8) & 0xC0 != 0x80  # of each byte: 10... goes on
        places, ends = np.cumsum(begins_character) - 1, np.cumsum(self.sizes[ids])
        return ids, np.stack([places[ends - self.sizes[ids]], places[ends - 1] + 1], -1).astype(np.int64).reshape(-1, 2)

    def words(self, text):
        """[ids], ... of the words of a text, in which nothing is special"""
        return map(self.known, split(text, self.rule))

    def encode_word(self, word):
        """[ids] of one word: its bytes, merged lowest rank first"""
        word = word.encode("utf-8")
        if self.whole and word in self.ids:
            return [self.ids[word]]
        return merged_in_turn([self.byte_ids[byte] for byte in word], self.ranks, self.merged)

    def text(self, id):
        """A token as text; U+FFFD for parts of characters."""
        return self.token_bytes(id).decode("utf-8", errors="replace")

    def to_json(self):
        """Tokens are written as Latin-1, in which every byte is one character."""
        return {
            "tokens": [token.decode("latin-1") for token in self.tokens],
            "merges": [list(pair) for pair in self.merges],
            "special": self.parts.takes,
        }

    @classmethod
    def from_json(cls, data):
        tokens, merges = field(data, "tokens", list), field(data, "merges", list)
        if not all(isinstance(token, str) for token in tokens):
            raise ValueError("its 'tokens' are not all strings")
        for merge in merges:
            if not (isinstance(merge, list) and len(merge) == 2 and all(isinstance(id, int) for id in merge)):
                raise ValueError(f"its 'merges' are not all pairs of ids: {merge!r}")
        tokens, merges = [token.encode("latin-1") for token in tokens], [tuple(merge) for merge in merges]
        if "special" not in data:  # as in older files
            return cls(tokens, merges)
        if not isinstance(special := data["special"], dict | list):
            raise ValueError("its 'special' are no texts, with the spaces that they take or without")
        return cls(tokens, merges, special)


def learnt_tables(text, vocab_size, rule):
    """tokens, the 256 bytes and what the merges make; merges, of the most frequent pair each time"""
    words = Counter(split(text, rule))
    pairs = Pairs((word.encode("utf-8"), times) for word, times in words.items())
    tokens, merges = [bytes([byte]) for byte in range(256)], list(frequent_pairs(pairs, 256, vocab_size))
    for left, right in merges:
        tokens.append(tokens[left] + tokens[right])
    return tokens, merges
