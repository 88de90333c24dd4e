"""The unigram language model of pieces (Kudo 2018): every piece has a probability, and the likeliest cut wins.

A space is written ▁ and belongs to the word that follows; the text is cut before each. Of all ways to cut a word into
pieces, the likeliest is taken: the path through its lattice (`lattice`) with the largest sum of scores, which are the
logarithms of probabilities, found node by node (Viterbi 1967):

    best_j = max_{pieces x from i to j} best_i + s(x)

A character that is no piece is unknown, with the smallest score of all less 10. Several of them are one token, <unk>,
or their bytes, where there are tokens for bytes. T5, ALBERT and XLM-RoBERTa have tokenizers of this kind.

>>> text = "low lower lowest new newer newest wide wider widest slow slower slowest"
>>> tokenizer = UnigramTokenizer.train(text, vocab_size=22)
>>> [tokenizer.pieces[id] for id in tokenizer.encode("slower newest")]
['▁slow', 'er', '▁new', 'est']

The same text may also be cut at random, likelier cuts more often: a model that sees many of them learns what is in a
word (subword regularisation, sections 2.1 and 3.3).

>>> for seed in (1, 2):
...     cut = tokenizer.sample("newest", np.random.SeedSequence(seed), sharpness=0.1)
...     print([tokenizer.pieces[id] for id in cut])
['▁new', 'est']
['▁new', 'e', 'st']

Special tokens that stand in a text are themselves.
"""

import dataclasses
import re
from collections import Counter
from math import exp, inf, isfinite

import numpy as np

from ..convention import generator
from .normalizers import check_steps, normalized
from .pretokens import WHITE
from .sentencepiece import BYTES, SPACE
from .special import Special, arrays
from .tokenizer import Tokenizer, field, remembered
from .unigram_training import learnt_pieces

UNKNOWN = "<unk>"
PENALTY = 10.0  # of an unknown character
PARTED = re.compile(f"[^{WHITE}]+")
WHOLE = re.compile("(?s:.+)")
WORD = re.compile(f"{SPACE}[^{SPACE}]*|[^{SPACE}]+")


@dataclasses.dataclass(frozen=True)
class Settings:
    """How a text becomes words, what is special in it, and how it is framed. ValueError for what there is not."""

    special: dict = dataclasses.field(default_factory=dict)  # is itself in a text -> takes the spaces before it
    unknown: str = UNKNOWN  # stands for characters that are no pieces; it is special, too
    byte_fallback: bool = False  # whether such characters are their bytes instead
    steps: tuple = ()  # of normalisation (`normalizers`)
    before: str = "always"  # where a space is put that is not there: see BEFORE
    whitespace: bool = False  # whether every kind of it parts words, and goes away
    first: str | None = None  # before a text (`framing`)
    separator: str | None = None  # behind a text
    twice: bool = False  # whether there are two of them between two texts
    second_type: int = 0  # of the second of two texts

    def __post_init__(self):
        for name, kinds in KINDS.items():
            if not isinstance(getattr(self, name), kinds):
                raise ValueError(f"its {name!r} is {getattr(self, name)!r}")
        if self.before not in BEFORE:
            raise ValueError(f"before is one of {', '.join(map(repr, BEFORE))}, not {self.before!r}")
        if not all(isinstance(text, str) and takes in (True, False) for text, takes in self.special.items()):
            raise ValueError("what is special are texts, and whether each takes the spaces before it")
        check_steps(self.steps)
        object.__setattr__(self, "steps", [list(step) for step in self.steps])  # as they are in files

    def needed(self):
        """The pieces that there must be, beside those that are learnt."""
        around = [text for text in (self.first, self.separator) if text is not None]
        return dict.fromkeys([*self.special, *around, self.unknown, *(BYTES if self.byte_fallback else ())])


KINDS = {"special": dict, "unknown": str, "byte_fallback": bool, "steps": (list, tuple), "before": str}
KINDS |= {"whitespace": bool, "first": str | None, "separator": str | None, "twice": bool, "second_type": int}
BEFORE = {
    "never": "nowhere",
    "first": "before a text",
    "always": "before a text, and behind each special token",
    "one more": "before a text, even where that begins with one",
}
T5 = {"special": dict.fromkeys(("<pad>", "</s>", UNKNOWN), False), "separator": "</s>"}


class UnigramTokenizer(Tokenizer):
    """pieces: [text], by id, with ▁ for a space; scores: [float], logarithms of probabilities; and Settings, by name

    ValueError where they do not fit each other.
    """

    name = "unigram"

    def __init__(self, pieces, scores, **settings):
        try:
            self.pieces, self.scores, self.settings = list(pieces), list(map(float, scores)), Settings(**settings)
        except OverflowError as error:
            raise ValueError(f"a score is no number that there is room for: {error}") from None
        self.ids = {piece: id for id, piece in enumerate(self.pieces)}
        self.check()
        how, self.unknown = self.settings, self.ids[self.settings.unknown]
        self.byte_ids = [self.ids[piece] for piece in BYTES] if how.byte_fallback else []
        whole = {id: bytes([byte]) for byte, id in enumerate(self.byte_ids)}
        written = [piece.replace(SPACE, " ").encode("utf-8") for piece in self.pieces]
        super().__init__([whole.get(id, token) for id, token in enumerate(written)])
        self.first, self.separator, self.end = self.ids.get(how.first), *[self.ids.get(how.separator)] * 2
        self.between, self.second_type = [self.separator] * (2 if how.twice else 1), how.second_type
        self.pad = self.ids.get("<pad>", self.unknown)
        self.mask = next((self.ids[text] for text in ("<mask>", "[MASK]") if text in how.special), None)
        learnt = self.ids.keys() - how.needed().keys()
        self.learnt = {piece: (self.ids[piece], self.scores[self.ids[piece]]) for piece in learnt}
        self.beginnings = {piece[:n] for piece in learnt for n in range(1, len(piece) + 1)}
        self.unknown_score = min(self.scores) - PENALTY
        self.special = Special({text: "before" * takes for text, takes in ({how.unknown: False} | how.special).items()})
        self.known = remembered(self.best)

    def check(self):
        if len(self.ids) < len(self.pieces):
            raise ValueError("a piece comes twice in the vocabulary")
        if len(self.scores) != len(self.pieces) or not np.isfinite(self.scores).all():
            raise ValueError(f"{len(self.pieces)} pieces have {len(self.scores)} scores, or one of them is no number")
        if missing := [piece for piece in self.settings.needed() if piece not in self.ids]:
            raise ValueError(f"{missing[0]} is no piece of the vocabulary, and {len(missing) - 1} others are none")
        if "" in self.ids:
            raise ValueError("a piece has no characters")

    @classmethod
    def train(cls, text, vocab_size, **settings):
        """A tokenizer of special pieces, bytes if asked for, and pieces that are learnt, up to vocab_size in all

        By default the special ones are <pad>, </s> and <unk>, as T5 has them. ValueError where room is too little.
        """
        settings = T5 | settings
        needed = list(Settings(**settings).needed())
        words = Counter(word for word, _ in cls(needed, [0.0] * len(needed), **settings).words(text, first=True))
        try:
            pieces, scores = learnt_pieces(words, vocab_size - len(needed))
        except ValueError as error:
            raise ValueError(f"vocab_size={vocab_size}: beside {len(needed)} pieces that must be, {error}") from None
        scores = scores.round(9)  # so few digits that no reader of a file rounds them: ties stay ties everywhere
        return cls([*needed, *pieces], [*[0.0] * len(needed), *scores], **settings)

    def encode(self, text):
        """text   ->   ids (T) int64, without special tokens around them. ValueError for half a surrogate pair."""
        return self.encode_with_offsets(text)[0]

    def encode_with_offsets(self, text):
        """text   ->   ids (T) int64, offsets (T, 2): where in the text each token begins, and ends

        The space that is put before a word has the place of what it is put before.
        """
        return self.cut_by(text, self.known)

    def sample(self, text, key, *, sharpness=1.0):
        """text   ->   ids (T) int64 of a cut that is drawn: each with probability in proportion to p(cut)^sharpness

        ValueError for a sharpness below 0, or so large that such a power is no number.
        """
        if not 0 <= sharpness < inf:
            raise ValueError(f"the sharpness must be 0 or more, not {sharpness}")
        rng = generator(key)
        return self.cut_by(text, lambda word: self.drawn(word, rng, sharpness))[0]

    def cut_by(self, text, choose):
        """choose: a word   ->   [(id, begin, end), ...]"""
        text.encode("utf-8")  # half a surrogate pair has none
        return self.special.encode(text, self.ids, lambda part, first: self.encode_part(part, first, choose))

    def encode_part(self, text, first, choose):
        return arrays(
            [
                (id, places[begin], places[end - 1] + 1)
                for word, places in self.words(text, first)
                for id, begin, end in choose(word)
            ]
        )

    def words(self, text, first):
        """text   ->   (word, the place of each of its characters), ...; first: whether there is nothing before it"""
        text, places = normalized(text, self.settings.steps)
        for run in (PARTED if self.settings.whitespace else WHOLE).finditer(text):
            part, there = run[0].replace(" ", SPACE), places[run.start() : run.end()]
            if self.takes_space(part, first):
                part, there = SPACE + part, [there[0], *there]
            for word in WORD.finditer(part):
                yield word[0], there[word.start() : word.end()]
            first = False

    def takes_space(self, text, first):
        """Whether a space is put before this text."""
        if self.settings.before == "one more":
            return first
        return text[0] != SPACE and (self.settings.before == "always" or self.settings.before == "first" and first)

    def edges(self, word):
        """(begin, end, id, score) of all pieces in a word, and of characters that are none, by where they begin"""
        n = len(word)
        for begin in range(n):
            end, whole = begin + 1, False
            while end <= n and (text := word[begin:end]) in self.beginnings:
                if text in self.learnt:
                    yield begin, end, *self.learnt[text]
                    whole = whole or end == begin + 1
                end += 1
            if not whole:
                yield begin, begin + 1, self.unknown, self.unknown_score

    def best(self, word):
        """[(id, begin, end), ...]: the likeliest cut, and of equally likely ones that with the longest last piece"""
        best, came = [0.0] + [-inf] * len(word), [None] * (len(word) + 1)
        for begin, end, id, score in self.edges(word):
            if best[begin] + score > best[end]:
                best[end], came[end] = best[begin] + score, (id, begin, end)
        return self.spelled(word, path(came))

    def drawn(self, word, rng, sharpness):
        """Backwards from the end: the last piece x from i with probability exp(a_i + s(x) - a_j), and so on from i."""
        arriving = [[] for _ in range(len(word) + 1)]
        sums = [0.0] + [-inf] * len(word)  # a, as in `lattice`
        for begin, end, id, score in self.edges(word):
            arriving[end].append((sums[begin] + sharpness * score, (id, begin, end)))
            sums[end] = float(np.logaddexp(sums[end], arriving[end][-1][0]))
        if not isfinite(sums[-1]):
            raise ValueError(f"with a sharpness of {sharpness} no cut of {word[:20]!r} has a probability")
        came = [None] * (len(word) + 1)
        end = len(word)
        while end:
            left = rng.random()
            for each, edge in arriving[end]:
                left -= exp(each - sums[end])
                came[end] = edge
                if left < 0:
                    break
            end = came[end][1]
        return self.spelled(word, path(came))

    def spelled(self, word, pieces):
        """Unknown characters that follow each other are one token; or its bytes, each in the place of all of it."""
        found = []
        for id, begin, end in pieces:
            if id == self.unknown and found and found[-1][0] == id:
                found[-1] = id, found[-1][1], end
            else:
                found.append((id, begin, end))
        if not self.byte_ids:
            return found
        return [
            (part, begin, end)
            for id, begin, end in found
            for part in (self.bytes_of(word[begin:end]) if id == self.unknown else [id])
        ]

    def bytes_of(self, text):
        return [self.byte_ids[byte] for byte in text.encode("utf-8")]

    def continues(self, before, id):
        """Whether a token goes on with the word of the one before."""
        return not self.pieces[id].startswith(SPACE) and self.pieces[id] not in self.settings.special

    def text(self, id):
        """A token as text, with a space for ▁; U+FFFD for a part of a character."""
        return self.token_bytes(id).decode("utf-8", errors="replace")

    def decode(self, ids):
        """ids   ->   text, without the space with which it begins, if one is put there

        U+FFFD stands where bytes are not UTF-8. ValueError for ids outside the vocabulary.
        """
        text = super().decode(ids)
        return text if self.settings.before == "never" else text.removeprefix(" ")

    def to_json(self):
        settings = {name: getattr(self.settings, name) for name in KINDS}
        return {"pieces": self.pieces, "scores": self.scores, **settings}

    @classmethod
    def from_json(cls, data):
        pieces, scores = field(data, "pieces", list), field(data, "scores", list)
        if not all(isinstance(piece, str) for piece in pieces):
            raise ValueError("its 'pieces' are not all strings")
        if not all(type(score) in (int, float) for score in scores):
            raise ValueError("its 'scores' are not all numbers")
        return cls(pieces, scores, **{name: data.get(name) for name in KINDS})


def path(came):
    """By which edge each node was reached   ->   the edges from the first node to the last"""
    end, found = len(came) - 1, []
    while end:
        found.append(came[end])
        end = came[end][1]
    return found[::-1]
