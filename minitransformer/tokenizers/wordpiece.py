"""WordPiece (Schuster & Nakajima 2012, section 3; Wu et al. 2016, section 4.1), as BERT has it.

The text is cleaned and cut into words (`bert_normalizer`). A word is cut into pieces from its beginning: each time the
longest piece that the vocabulary has. Those that do not begin a word are written with ## before them.

>>> tokenizer = WordPieceTokenizer(["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]", "un", "##aff", "##able", "!"])
>>> [tokenizer.text(id) for id in tokenizer.encode("Unaffable!")]
['un', '##aff', '##able', '!']

A word that cannot be made of pieces to its end, or is longer than a hundred characters, is one [UNK]. Special tokens
that stand in a text are themselves, so that "[MASK]" can be asked for.

The two papers choose pieces by two different criteria. Here training goes as in byte-pair encoding: the most frequent
pair of neighbours becomes a piece.
"""

import re
from collections import Counter

import numpy as np

from ..ops.embedding import check_ids
from .bert_normalizer import runs, words, words_in
from .merging import Pairs, frequent_pairs
from .special import Special, arrays
from .tokenizer import Tokenizer, field, remembered

SPECIAL = ("[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]")
CONTINUES = "##"
LONGEST_WORD = 100
JOINED = re.compile(r" (?=[.?!,])| (?=' )|(?<= ') ")  # spaces that decoding does not write


class WordPieceTokenizer(Tokenizer):
    """vocabulary: [texts], by id; all of SPECIAL are among them. ValueError if one is missing, or comes twice.

    lowercase: the text is lowered before it is cut   strip_accents: accents go; None, where lowering says it
    """

    name = "wordpiece"
    second_type = 1  # of the second of two texts

    def __init__(self, vocabulary, *, lowercase=True, strip_accents=None):
        vocabulary = list(vocabulary)
        self.ids = {text: id for id, text in enumerate(vocabulary)}
        if len(self.ids) < len(vocabulary):
            raise ValueError("a token comes twice in the vocabulary")
        if missing := [text for text in SPECIAL if text not in self.ids]:
            raise ValueError(f"the vocabulary has no {', '.join(missing)}")
        super().__init__([text.encode("utf-8") for text in vocabulary])
        self.vocabulary, self.lowercase, self.strip_accents = vocabulary, lowercase, strip_accents
        self.pad, self.unknown, self.first, self.separator, self.mask = (self.ids[text] for text in SPECIAL)
        self.between = [self.separator]  # of two texts
        self.longest = max(map(len, vocabulary))
        self.special = Special(SPECIAL)
        self.known = remembered(self.pieces)

    @classmethod
    def train(cls, text, vocab_size, *, lowercase=True, strip_accents=None):
        """A tokenizer of SPECIAL, the characters of the text, and the pieces that its most frequent pairs make.

        ValueError where vocab_size has no room for the characters.
        """
        counted = Counter(word for word, _ in words(text, lowercase=lowercase, strip_accents=strip_accents))
        beginnings = {word: [word[0], *(CONTINUES + c for c in word[1:])] for word in counted}
        vocabulary = [*SPECIAL, *sorted({c for characters in beginnings.values() for c in characters})]
        if len(vocabulary) > vocab_size:
            raise ValueError(
                f"vocab_size={vocab_size} has no room for the {len(vocabulary)} characters and special tokens"
            )
        ids = {text: id for id, text in enumerate(vocabulary)}
        pairs = Pairs(([ids[c] for c in beginnings[word]], times) for word, times in counted.items())
        for left, right in frequent_pairs(pairs, len(vocabulary), vocab_size):
            vocabulary.append(vocabulary[left] + vocabulary[right].removeprefix(CONTINUES))
        return cls(vocabulary, lowercase=lowercase, strip_accents=strip_accents)

    def encode(self, text):
        """text   ->   ids (T) int64, without [CLS] and [SEP]"""
        return self.encode_with_offsets(text)[0]

    def encode_with_offsets(self, text):
        """text   ->   ids (T) int64, offsets (T, 2): where in the text each token begins, and ends"""
        return self.special.encode(text, self.ids, self.encode_part)

    def encode_part(self, text, first):
        found = [(id, at + begin, at + end) for at, run in runs(text) for id, begin, end in self.known(run)]
        return arrays(found)

    def pieces(self, run):
        """[(id, begin, end), ...] of what stands between spaces: of each word, the longest piece first, and so on"""
        return [
            (id, places[start], places[stop - 1] + 1)
            for word, places in words_in(run, 0, self.lowercase, self.strip_accents)
            for id, start, stop in self.cut(word)
        ]

    def cut(self, word):
        found, begin = [], 0
        while begin < len(word) <= LONGEST_WORD:
            for end in range(min(len(word), begin + self.longest), begin, -1):
                id = self.ids.get(CONTINUES * (begin > 0) + word[begin:end])
                if id is not None:
                    break
            else:
                return [(self.unknown, 0, len(word))]
            found.append((id, begin, end))
            begin = end
        return found or [(self.unknown, 0, len(word))]

    def continues(self, before, id):
        """Whether a token goes on with the word of the one before."""
        return self.vocabulary[id].startswith(CONTINUES)

    def text(self, id):
        """How the vocabulary writes one token."""
        check_ids(np.asarray(id), self.vocab_size)
        return self.vocabulary[id]

    def decode(self, ids):
        """ids   ->   text: pieces joined to words, and words with spaces between, but for punctuation

        The text that was encoded had perhaps other spaces, and capitals. ValueError for ids outside the vocabulary.
        """
        text = " ".join(self.text(id) for id in ids).replace(f" {CONTINUES}", "")
        return JOINED.sub("", text)

    def to_json(self):
        return {"vocabulary": self.vocabulary, "lowercase": self.lowercase, "strip_accents": self.strip_accents}

    @classmethod
    def from_json(cls, data):
        vocabulary = field(data, "vocabulary", list)
        if not all(isinstance(text, str) for text in vocabulary):
            raise ValueError("its 'vocabulary' is not all strings")
        strip_accents = data.get("strip_accents")
        if strip_accents not in (None, True, False):
            raise ValueError("its 'strip_accents' is neither true, false nor null")
        return cls(vocabulary, lowercase=field(data, "lowercase", bool), strip_accents=strip_accents)
