"""What the models of the story learn and are asked: a task is how pairs of a source and its target are drawn.

`Symbols`: sequences of chance, and the same written otherwise; the target is as long as the source.
`Dates`: a date as people write it, character by character, and as ISO 8601 does; every target has ten characters.
"""

from collections.abc import Callable
from dataclasses import dataclass
from functools import cache
from typing import Protocol

import numpy as np

from ..data import dates, pairs
from ..data.pairs import IGNORED, collate
from ..tokenizers import CharTokenizer

START, END, SYMBOLS = 0, 1, 16  # ids, the same in every vocabulary; what there is to say stands behind these two
VOCAB = SYMBOLS + 2
ASKED = 10  # of so many days, one is asked and never learnt from


class Task(Protocol):
    """Two vocabularies; and so many pairs, of sources of these lengths, as the loss takes them."""

    vocab_size: int
    target_vocab_size: int

    def examples(self, rng, number, lengths):
        """To learn from: source (B, S), source_mask (B, 1, 1, S), target (B, T), targets (B, T)"""

    def questions(self, rng, number, lengths):
        """To be asked: the same, of what is not learnt from where that can be told apart."""


# --------------------------------------------------------------------------------------------------------- symbols


def from_the_end(symbols, lengths):
    """symbols (B, T), of which so many count   ->   the same from the last to the first"""
    places = lengths[:, None] - 1 - np.arange(symbols.shape[1])
    return np.take_along_axis(symbols, np.maximum(places, 0), 1)


def in_order(symbols, lengths):
    """The same from the least to the greatest."""
    beyond = np.arange(symbols.shape[1]) >= lengths[:, None]
    return np.sort(np.where(beyond, VOCAB, symbols), 1)


@dataclass(frozen=True)
class Symbols:
    """Sequences of chance, each length as often as another, and what `answer` makes of them."""

    answer: Callable
    vocab_size = target_vocab_size = VOCAB

    def examples(self, rng, number, lengths):
        lengths = rng.choice(lengths, number)
        there = np.arange(lengths.max()) < lengths[:, None]
        source = np.where(there, rng.integers(2, VOCAB, there.shape), END)
        text = np.where(there, self.answer(source, lengths), END)
        target = np.insert(text, 0, START, axis=1)
        targets = np.append(np.where(there, text, IGNORED), np.full((number, 1), IGNORED), axis=1)
        targets[np.arange(number), lengths] = END
        return source, there[:, None, None], target, targets

    questions = examples  # chance meets the same again only where it is short


# ----------------------------------------------------------------------------------------------------------- dates


@cache
def alphabets():
    """The tokenizers of sources and of targets."""
    return tuple(CharTokenizer(pairs.START + pairs.END + text) for text in (dates.characters(), "-0123456789"))


@cache
def calendar(asked):
    """The days that are asked, or those that are learnt from."""
    return tuple(day for i, day in enumerate(dates.days()) if (i % ASKED == 0) == asked)


class Dates:
    """A day and a format by chance, until the text has one of these lengths; the short ones are mostly figures."""

    @property
    def vocab_size(self):
        return alphabets()[0].vocab_size

    @property
    def target_vocab_size(self):
        return alphabets()[1].vocab_size

    def examples(self, rng, number, lengths):
        return self.draw(rng, number, lengths, calendar(asked=False))

    def questions(self, rng, number, lengths):
        return self.draw(rng, number, lengths, calendar(asked=True))

    def draw(self, rng, number, lengths, days):
        (source, target), formats, found = alphabets(), tuple(dates.FORMATS), []
        while len(found) < number:
            day = days[rng.integers(len(days))]
            text = dates.write(formats[rng.integers(len(formats))], day, rng)
            if text is not None and len(text) in lengths:
                found.append((source.encode(text), target.encode(dates.iso(day))))
        return collate(found, START, END)
