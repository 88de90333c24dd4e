"""Prompts of unequal lengths, side by side.

All prompts must end in the same column, for that is where the next tokens come, so the shorter ones have padding on
their left. The mask hides it and the positions do not count it: what a row says is what it would say alone.

    ids         3 1 4 1        mask        1 1 1 1        positions   0 1 2 3
                · · 5 9                    · · 1 1                    · · 0 1
"""

import numpy as np

from ..placing import to_host


class Batch:
    """A model that writes several texts at once: its caches, and how much padding stands before each text.

    This changes in place, as its caches do.
    """

    def __init__(self, model, p, caches, prompts):
        """prompts, B sequences of at least one id   caches as `model.start` gives them for B rows, with nothing read"""
        self.model, self.p, self.caches = model, p, caches
        lengths = np.array([len(prompt) for prompt in prompts], np.int64)
        if not lengths.all():
            raise ValueError(f"a prompt of at least one token is needed, not none as in row {np.argmin(lengths)}")
        T = lengths.max(initial=0)
        self.padding = T - lengths  # (B)
        self.prompts = np.zeros((len(prompts), T), np.int64)  # padding is any id: nobody sees it
        for row, prompt in enumerate(prompts):
            np.copyto(self.prompts[row, self.padding[row] :], prompt, casting="same_kind")  # no fraction is cut off
        if self.padding.any() and caches[0].length:
            raise ValueError("prompts of unequal lengths need caches that have read nothing yet")

    def step(self, ids):
        """ids (B, T), what is new in each row, at first the prompts   ->   logits (B, V) of what follows"""
        if not self.padding.any():
            return to_host(self.model.step(self.p, ids, self.caches))
        T = ids.shape[1]
        S = self.caches[0].length + T
        positions = np.arange(S) - self.padding[:, None]  # (B,S), below 0 for padding
        mask = (positions >= 0)[:, None, None]  # (B,1,1,S)
        positions = np.maximum(positions[:, -T:], 0)
        return to_host(self.model.step(self.p, ids, self.caches, positions=positions, mask=mask))

    def keep(self, rows):
        """From now on, row i goes on from what row rows[i] was: rows are left out, change places, or multiply."""
        rows = np.asarray(rows, np.int64)
        if np.array_equal(rows, np.arange(len(self.padding))):
            return
        self.padding = self.padding[rows]
        for cache in self.caches:
            cache.reorder(rows)


def check_max_tokens(max_tokens):
    if max_tokens < 0:
        raise ValueError(f"max_tokens must be 0 or more, not {max_tokens}")


def check_end(end, vocab_size):
    if end is not None and not 0 <= end < vocab_size:
        raise ValueError(f"the id {end} is to end a text, but is outside the vocabulary of {vocab_size}")
