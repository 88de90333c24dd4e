"""Where pairs of texts come from, some to learn from and some held out: dates, or files.

    held_out                {name: [(source, target)]}, which `draw` never gives
    draw(number, rng)       so many pairs to learn from
    characters(), text()    all characters that there are, and what a BPE learns its merges from
    contents(), size        what a resumed run must find unchanged
    about, example, notes() what people are shown

A corpus knows of texts, and nothing of ids.
"""

import numpy as np

from ...data import dates
from ...data.pairs import read_pairs


class DateCorpus:
    """Dates of two centuries in every format; held out are pairs of format and day, and whole days."""

    example = "the third of March, 1994"

    def __init__(self):
        self.splits = dates.splits()
        self.held_out = {
            "unseen pairs": dates.texts(self.splits.held_out_pairs, np.random.default_rng(1)),
            "unseen days": dates.texts(self.splits.held_out_days, np.random.default_rng(2)),
        }
        self.size = f"{len(self.splits.training)} pairs"
        self.about = f"dates in {len(dates.FORMATS)} formats: {self.size}"

    def draw(self, number, rng):
        """So many pairs, with noise; both drawn from rng."""
        return dates.texts(self.splits.training[rng.integers(0, len(self.splits.training), number)], rng)

    def characters(self):
        return dates.characters()

    def text(self):
        """Some of what there is."""
        return lines(self.draw(10_000, np.random.default_rng(3)))

    def contents(self):
        """The formats and the split, seen through what is held out."""
        return repr(self.held_out) + self.size

    def notes(self):
        return []


class FileCorpus:
    """Pairs from files; the last tenth is held out."""

    def __init__(self, paths):
        self.pairs = pairs = [pair for path in paths for pair in read_pairs(path)]
        cut_at = len(pairs) - max(len(pairs) // 10, 1)
        self.training, self.held_out = pairs[:cut_at], {"held out": pairs[cut_at:]}
        if not self.training:
            raise ValueError("one pair is not enough: one is held out, and nothing is left to learn from")
        self.example = min((source for source, _ in pairs[cut_at:]), key=len)
        self.size = f"{len(pairs)} pairs"
        self.about = f"your pairs: {len(self.training):,} to learn from, {len(pairs) - cut_at:,} held out"

    def draw(self, number, rng):
        return [self.training[i] for i in rng.integers(0, len(self.training), number)]

    def characters(self):
        return "".join(side for pair in self.pairs for side in pair)

    def text(self):
        """Nothing of what is held out."""
        return lines(self.training)

    def contents(self):
        return lines(self.pairs)

    def notes(self):
        known = set(self.training).intersection(self.held_out["held out"])
        seen = sum(pair in known for pair in self.held_out["held out"])
        return [f"{seen:,} of the pairs held out are also among those to learn from"] if seen else []


def lines(pairs):
    return "\n".join(side for pair in pairs for side in pair)
