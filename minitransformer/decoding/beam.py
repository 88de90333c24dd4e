"""Beam search (Sutskever et al. 2014, section 3.2): not one text goes on, but the likeliest few of them, side by side.

Every text of the beam is followed by every token. Of all that this gives, the `width` likeliest are looked at: those
that say `end` are complete and leave, and the next best take their places, so that `width` go on. At max_tokens,
whatever still goes on is complete as it is. With room for all of them, width V^max_tokens, that is every text there is.

A longer text is less likely, for every token costs something. So complete texts are compared by

    score = log p(Y) / lp(Y)        lp(Y) = ((5 + |Y|) / (5 + 1))^α        (Wu et al. 2016, equation 14)

where |Y| counts the tokens said, `end` among them, and not the prompt. α = 0 compares the probabilities themselves,
α = 1 nearly the mean over the tokens.

A text that goes on can only lose probability. What it may still reach is therefore known: its log p over the largest lp
to come. Once n_best complete texts reach that of the likeliest one, nothing better will come, and the search ends.
"""

from typing import NamedTuple

import numpy as np

from .batch import Batch, check_end, check_max_tokens
from .sampling import log_probabilities

MOST = 10  # of the length penalty, above 0 or below; beyond it, little but the length would count


class Hypothesis(NamedTuple):
    """What follows the prompt, `end` left out (with max_tokens ids there was none), and its score."""

    ids: np.ndarray
    score: float


def beam_search(
    model, p, caches, prompts, *, width, max_tokens, end, length_penalty=0.6, early_stopping=False, n_best=1
):
    """prompts, B sequences of ids   ->   B lists of the n_best hypotheses, best first

    caches: as `model.start` gives them for B rows, and used up by this   end: an id; None: nothing ends a text early
    length_penalty: α   early_stopping: stop as soon as `width` texts are complete, though a better one might yet come
    The lists are shorter where there are not n_best texts. Equals come in the order in which they were complete, and
    of one step in that of the beam and the ids. ValueError for arguments that make no sense, an empty prompt, and ids
    outside the vocabulary; and where logits are NaN. Prompts of unequal lengths need a model whose `step` takes
    `positions` and `mask`.
    """
    check_max_tokens(max_tokens)
    if width < 1:
        raise ValueError(f"the beam width must be at least 1 (greedy), not {width}")
    if not 1 <= n_best <= width:
        raise ValueError(f"n_best must be from 1 to the beam width of {width}, not {n_best}")
    if not abs(length_penalty) <= MOST:
        raise ValueError(f"the length penalty must be from -{MOST} to {MOST} (0 is none), not {length_penalty}")
    batch = Batch(model, p, caches, prompts)
    beams = [Beam(width, max_tokens, end, length_penalty, early_stopping, n_best) for _ in prompts]
    ids = batch.prompts
    for _ in range(max_tokens):
        if not len(ids):
            break
        logits = batch.step(ids)  # (rows,V), the rows of all beams one below the other
        check_end(end, logits.shape[1])
        kept, begin = [], 0
        for beam in beams:
            n = len(beam.ids)
            if n:
                kept.extend(begin + beam.advance(log_probabilities(logits[begin : begin + n])))
            begin += n
        batch.keep(kept)
        ids = np.concatenate([beam.ids[:, -1:] for beam in beams])
    return [beam.best() for beam in beams]


class Beam:
    """The search for one text. This changes in place."""

    def __init__(self, width, max_tokens, end, length_penalty, early_stopping, n_best):
        self.width, self.max_tokens, self.end = width, max_tokens, end
        self.length_penalty, self.early_stopping, self.n_best = length_penalty, early_stopping, n_best
        self.ids, self.log_p = np.zeros((1, 0), np.int64), np.zeros(1)  # (n,t), (n): what goes on, likeliest first
        self.complete = []  # the hypotheses that do not, best first, at most `width`

    def advance(self, log_p):
        """log_p (n, V) of the next token   ->   from which of the n each one comes that goes on"""
        V = log_p.shape[1]
        log_p = (self.log_p[:, None] + log_p).ravel()  # (n·V)
        best = largest(log_p, 2 * self.width)  # at most one of a text's followers is `end`: `width` others are left
        parents, tokens = np.divmod(best, V)
        ids, log_p = np.append(self.ids[parents], tokens[:, None], 1), log_p[best]
        ended = tokens == self.end
        finished = np.flatnonzero(ended[: self.width])
        self.add(ids[finished, :-1], log_p[finished], ids.shape[1])
        going_on = np.flatnonzero(~ended)[: self.width]
        if self.nothing_better_comes(log_p[going_on], ids.shape[1]):
            going_on = going_on[:0]
        self.ids, self.log_p = ids[going_on], log_p[going_on]
        return parents[going_on]

    def add(self, ids, log_p, length):
        """Complete texts of one length."""
        scores = log_p / self.lp(length)
        hypotheses = [Hypothesis(*pair) for pair in zip(ids, scores.tolist())]
        self.complete = sorted(self.complete + hypotheses, key=lambda hypothesis: -hypothesis.score)[: self.width]

    def lp(self, length):
        return ((5 + length) / 6) ** self.length_penalty

    def nothing_better_comes(self, log_p, length):
        """Whether the search ends, with texts of these log_p, likeliest first, that might go on."""
        if not len(log_p):
            return True
        if self.early_stopping and len(self.complete) == self.width and length < self.max_tokens:
            return True  # at max_tokens, these are complete as well
        reach = log_p[0] / max(self.lp(length + 1), self.lp(self.max_tokens))  # log p <= 0: the largest lp is best
        return len(self.complete) >= self.n_best and self.complete[self.n_best - 1].score >= reach

    def best(self):
        """The n_best hypotheses, with those that were cut off."""
        self.add(self.ids, self.log_p, self.ids.shape[1])
        return self.complete[: self.n_best]


def largest(x, k):
    """x (n)   ->   where its k largest are, largest first, equals in their order; fewer for fewer, and none for -∞"""
    least = np.partition(x, -k)[-k] if k < len(x) else -np.inf
    places = np.flatnonzero((x >= least) & (x > -np.inf))
    return places[np.argsort(-x[places], kind="stable")][:k]
