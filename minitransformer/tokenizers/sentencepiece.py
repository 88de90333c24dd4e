"""Byte-pair encoding of characters, with bytes to fall back on, as SentencePiece has it (Kudo & Richardson 2018).

A space is a character like any other, written ▁, and one more stands before the text, so that its first word is the
same token as elsewhere. Merges are learnt as in bpe.py, but of characters, and done one place at a time. What is no
token is written as its UTF-8 bytes, 256 tokens of their own, so that there is nothing that cannot be encoded; they take
no part in merges. LLaMA and LLaMA 2 have this tokenizer.

>>> tokenizer = SentencePieceTokenizer.train("tell tell tell hot hot", vocab_size=272)
>>> [tokenizer.pieces[id] for id in tokenizer.encode("tell hotel ☕")]
['▁tell', '▁ho', 'tel', '▁', '<0xE2>', '<0x98>', '<0x95>']

The first tokens are special: <unk>, <s>, with which a text begins, and </s>, with which it ends. Special tokens that
stand in a text are themselves, and a space comes before what follows one, too:

>>> [tokenizer.pieces[id] for id in tokenizer.encode("tell</s>tell")]
['▁tell', '</s>', '▁tell']
"""

import re
from collections import Counter

from .merging import Pairs, frequent_pairs, merged_in_turn
from .special import Special, arrays
from .tokenizer import Tokenizer, field, remembered

SPACE = "\N{LOWER ONE EIGHTH BLOCK}"
UNKNOWN, BEGIN, END = "<unk>", "<s>", "</s>"
SPECIAL = (UNKNOWN, BEGIN, END)
BEFORE = ("one more", "always", "first")
BYTES = [f"<0x{byte:02X}>" for byte in range(256)]
WORD = re.compile(f"{SPACE}+[^{SPACE}]*|[^{SPACE}]+")


class SentencePieceTokenizer(Tokenizer):
    """pieces: [text], by id, with ▁ for a space; merges: [(left id, right id)], by rank.

    ranks: of the merges, where several that make one piece have the same; by default 0, 1, 2, ...
    before: where a space is put: "first", before a text, unless that begins with one; "always", behind each special
    token, too; "one more", the same, and where there is one already
    special: pieces that are themselves in a text, as `Special` takes them; by default those of SPECIAL that there are
    within: others, which are looked for only when spaces are ▁, and as they would begin a text: a ▁ before them
    The 256 bytes, <s> and </s> must be pieces, and so must what each merge makes, or it is a ValueError.
    """

    name = "sentencepiece"

    def __init__(self, pieces, merges, before="one more", ranks=None, special=None, within=()):
        if before not in BEFORE:
            raise ValueError(f"before is one of {', '.join(map(repr, BEFORE))}, not {before!r}")
        self.pieces, self.merges, self.before = pieces, merges, before
        self.ids = {piece: id for id, piece in enumerate(pieces)}
        if len(self.ids) < len(pieces):
            raise ValueError("a piece comes twice in the vocabulary")
        if missing := [piece for piece in (BEGIN, END, *BYTES) if piece not in self.ids]:
            raise ValueError(f"{missing[0]} is no piece of the vocabulary, and {len(missing) - 1} others are none")
        self.begin, self.end = self.ids[BEGIN], self.ids[END]
        self.byte_ids = [self.ids[piece] for piece in BYTES]
        self.parts = Special([piece for piece in SPECIAL if piece in self.ids] if special is None else special)
        self.within = Special(within).takes
        if missing := [piece for piece in (*self.parts.takes, *self.within) if piece not in self.ids]:
            raise ValueError(f"the vocabulary has no special {', '.join(missing)}")
        self.special = {piece: self.ids[piece] for piece in self.parts.takes}
        with_space = {piece: SPACE + piece.replace(" ", SPACE) for piece in self.within}
        self.inner = Special({with_space[piece]: sides for piece, sides in self.within.items()})
        self.inner_ids = {text: self.ids[piece] for piece, text in with_space.items()}
        self.whole = whole = dict(zip(self.byte_ids, range(256)))
        texts = [with_space.get(piece, piece).replace(SPACE, " ") for piece in pieces]
        written = [text.encode("utf-8", "surrogatepass") for text in texts]
        super().__init__([bytes([whole[id]]) if id in whole else token for id, token in enumerate(written)])
        ranks = range(len(merges)) if ranks is None else ranks
        self.merged, fixed = {}, {*SPECIAL, *BYTES}  # merged: by rank, the id of what the merge makes
        for rank, (left, right) in zip(ranks, merges, strict=True):
            if not (0 <= left < len(pieces) and 0 <= right < len(pieces) and pieces[left] + pieces[right] in self.ids):
                raise ValueError(f"merge {rank}, of the ids {left} and {right}, does not make a piece")
            if fixed & {pieces[left], pieces[right], pieces[left] + pieces[right]}:
                raise ValueError(f"merge {rank} is of a special piece or a byte, or makes one")
            if self.merged.setdefault(rank, made := self.ids[pieces[left] + pieces[right]]) != made:
                raise ValueError(f"merges of the rank {rank} make different pieces")
        self.ranks = dict(zip(merges, ranks))
        if len(self.ranks) < len(merges):
            raise ValueError("a pair is merged twice")
        # words are encoded each by itself, and remembered, unless some merge makes a piece that goes on over a ▁
        self.apart = not any(len(WORD.findall(self.pieces[id])) > 1 for id in self.merged.values())
        self.known = remembered(self.tokens_of)

    @classmethod
    def train(cls, text, vocab_size):
        """A tokenizer of the special pieces, the bytes, the characters of the text, and merges up to vocab_size."""
        text = SPACE + Special(SPECIAL).rule.sub(" ", text).replace(" ", SPACE)
        words = Counter(word for word in split_before_spaces(text))
        pieces = [*SPECIAL, *BYTES, *sorted(set(text))]
        if vocab_size < len(pieces):
            raise ValueError(f"vocab_size={vocab_size} has no room for {len(pieces)} bytes, characters and signs")
        ids = {piece: id for id, piece in enumerate(pieces)}
        pairs = Pairs(([ids[character] for character in word], times) for word, times in words.items())
        merges = list(frequent_pairs(pairs, len(pieces), vocab_size))
        for left, right in merges:
            pieces.append(pieces[left] + pieces[right])
        return cls(pieces, merges)

    def encode(self, text):
        """text   ->   ids (T) int64, without <s> before them. ValueError for half a surrogate pair."""
        return self.encode_with_offsets(text)[0]

    def encode_with_offsets(self, text):
        """text   ->   ids (T) int64, offsets (T, 2): where in the text each token begins, and ends

        The space that is put before the text has the place of what it is put before, a byte that of its character.
        """
        return self.parts.encode(text, self.special, self.encode_part)

    def encode_part(self, text, first):
        bare = text[0] not in (" ", SPACE)
        put = self.before == "one more" or bare and (self.before == "always" or first)
        text = SPACE * put + text.replace(" ", SPACE)
        found, at = [], -put
        for word, tokens in self.words(text):
            found += [(id, max(at + begin, 0), max(at + end, 1)) for id, begin, end in tokens]
            at += len(word)
        return arrays(found)

    def words(self, text):
        """text with ▁ for spaces   ->   (word, [(id, begin, end), ...]), ...; a special token is one, too"""
        for begin, end, special in self.inner.cut(text):
            if special is not None:
                yield text[begin:end], [(self.inner_ids[special], 0, end - begin)]
            elif self.apart:
                yield from ((word, self.known(word)) for word in WORD.findall(text[begin:end]))
            else:
                yield text[begin:end], self.tokens_of(text[begin:end])

    def tokens_of(self, word):
        """[(id, begin, end), ...]: characters, or the bytes of one, merged"""
        ids, places = [], []
        for place, character in enumerate(word):
            known = character in self.ids
            found = [self.ids[character]] if known else [self.byte_ids[byte] for byte in character.encode("utf-8")]
            ids += found
            places += [place] * len(found)
        tokens, begin = [], 0
        for id in merged_in_turn(ids, self.ranks, self.merged):
            end = begin + (1 if id in self.whole else len(self.pieces[id]))
            tokens.append((id, places[begin], places[end - 1] + 1))
            begin = end
        return tokens

    def decode(self, ids):
        """ids, a sequence of integers   ->   text, without the space with which it begins, if it does

        U+FFFD stands where bytes are not UTF-8. ValueError for ids outside the vocabulary.
        """
        return super().decode(ids).removeprefix(" ")

    def to_json(self):
        ranks = [self.ranks[pair] for pair in self.merges]
        said = {} if ranks == list(range(len(ranks))) else {"ranks": ranks}
        said |= {"before": self.before, "special": self.parts.takes} | ({"within": self.within} if self.within else {})
        return {"pieces": self.pieces, "merges": [list(pair) for pair in self.merges]} | said

    @classmethod
    def from_json(cls, data):
        pieces, merges = field(data, "pieces", list), field(data, "merges", list)
        if "always" in data:  # as in older files
            before = "one more" if field(data, "always", bool) else "first"
        else:
            before = field(data, "before", str)
        if not all(isinstance(piece, str) for piece in pieces):
            raise ValueError("its 'pieces' are not all strings")
        for merge in merges:
            if not (isinstance(merge, list) and len(merge) == 2 and all(isinstance(id, int) for id in merge)):
                raise ValueError(f"its 'merges' are not all pairs of ids: {merge!r}")
        ranks = data.get("ranks")
        if ranks is not None and not (
            isinstance(ranks, list) and len(ranks) == len(merges) and all(type(rank) is int for rank in ranks)
        ):
            raise ValueError("its 'ranks' are not whole numbers, one a merge")
        special, within = data.get("special"), data.get("within", {})
        if not (special is None or isinstance(special, dict)) or not isinstance(within, dict):
            raise ValueError("its 'special' or 'within' are no texts with the spaces that they take")
        return cls(pieces, [tuple(merge) for merge in merges], before, ranks, special, within)


def split_before_spaces(text):
    """text with ▁ for spaces   ->   its words, each with the ▁ before it"""
    begins = [0, *(i for i in range(1, len(text)) if text[i] == SPACE), len(text)]
    return [text[begin:end] for begin, end in zip(begins, begins[1:]) if begin < end]
