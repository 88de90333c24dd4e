"""Decoding: the model's own choices become its input.

With a cache a model reads every token once: `step` computes the newest positions only and remembers the keys and
values of the others. Without one, `forward` reads the whole window for every token. Both see the same window
(`window_start`), and so give the same logits up to rounding.
"""

import numpy as np

from ..convention import generator
from ..placing import to_host
from .batch import check_max_tokens
from .sampling import check_settings, choose, key_of, probabilities
from .window import window_start


def generate(model, p, ids, *, max_tokens, seed=None, cached=True, **settings):
    """ids, a prompt of at least one   ->   a generator of the max_tokens ids that follow, one by one

    model: anything of the convention with `context_length`, and `start` and `step`, or `forward` if not cached
    settings (temperature, top_k, ...) as in `probabilities`   seed: an integer; None for another text every time
    ValueError for settings that make no sense and an empty prompt; from the model, as soon as it reads them, for ids
    outside the vocabulary; and where logits are NaN.
    """
    check_settings(**settings)
    check_max_tokens(max_tokens)
    ids = np.asarray(ids)
    if ids.ndim != 1 or len(ids) == 0:
        raise ValueError(f"a prompt of at least one token is needed, not ids of shape {ids.shape}")
    read = CachedReader(model, p) if cached else Reader(model, p)
    return continuation(read, ids, max_tokens, settings, generator(key_of(seed)))


def continuation(read, ids, max_tokens, settings, rng):
    for _ in range(max_tokens):
        id = choose(probabilities(read(ids), ids, **settings), rng.random())
        ids = np.append(ids, id)
        yield id


class Reader:
    """reader(ids (n))   ->   logits (V) of what follows the last of them, by a forward of the whole window."""

    def __init__(self, model, p):
        self.model, self.p = model, p

    def __call__(self, ids):
        window = ids[window_start(len(ids), self.model.context_length) :]
        logits, _ = self.model.forward(self.p, window[None])  # (1,T,V)
        return to_host(logits[0, -1])


class CachedReader:
    """The same, for ids of which each call adds some to those before: only what is new is read.

    This changes in place, as its caches do.
    """

    def __init__(self, model, p):
        self.model, self.p = model, p
        self.start, self.length = None, 0  # the window that the caches hold: ids[start:length]

    def __call__(self, ids):
        start = window_start(len(ids), self.model.context_length)
        if start != self.start:
            self.caches = self.model.start(self.p, 1)
            self.start = self.length = start
        logits = self.model.step(self.p, ids[None, self.length :], self.caches)  # (1,V)
        self.length = len(ids)
        return to_host(logits[0])
