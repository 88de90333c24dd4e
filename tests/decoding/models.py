"""Models to decode with: a GPT-2 and Transformers with opinions, and some that have nothing but the convention."""

import functools

import numpy as np

from minitransformer.models import GPT2
from minitransformer.trees import tree_map


def gpt2(context_length, seed=0, vocab_size=13):
    """model, p in float64; weights so large that every token in the window matters to every logit"""
    rng = np.random.default_rng(seed)
    model = GPT2(vocab_size=vocab_size, context_length=context_length, n_layers=2, n_heads=2, d_model=8)
    return model, tree_map(lambda array: array + 0.4 * rng.normal(size=array.shape), model.init(rng, np.float64))


def transformer(kind, seed=0, vocab_size=7):
    """The same for an encoder-decoder of this class."""
    rng = np.random.default_rng(seed)
    model = kind(vocab_size=vocab_size, n_layers=2, n_heads=2, d_model=8, d_ff=12)
    return model, tree_map(lambda array: array + 0.4 * rng.normal(size=array.shape), model.init(rng, np.float64))


class Past:
    """What every row of `Prefixes` has read."""

    def __init__(self, batch):
        self.ids = np.zeros((batch, 0), np.int64)

    @property
    def length(self):
        return self.ids.shape[1]

    def reorder(self, rows):
        self.ids = self.ids[rows]


class Prefixes:
    """Logits drawn anew for everything that a row may have read: the whole of it says what comes next."""

    def __init__(self, vocab_size, seed, forbidden=0.0):
        self.vocab_size, self.seed, self.forbidden = vocab_size, seed, forbidden
        self.rows = []  # how many rows each step read

    @functools.cache  # noqa: B019  it lives no longer than a test
    def logits(self, *ids):
        rng = np.random.default_rng([1 + self.seed, *(1 + id for id in ids)])
        logits = rng.normal(0, 2, self.vocab_size)
        if self.forbidden:
            logits[rng.random(self.vocab_size) < self.forbidden] = -np.inf
            logits[rng.integers(self.vocab_size)] = 0  # something may always come
        return logits

    def log_p(self, *ids):
        logits = self.logits(*ids) - self.logits(*ids).max()
        return logits - np.log(np.exp(logits).sum())

    def start(self, p, batch):
        return [Past(batch)]

    def step(self, p, ids, caches, *, positions=None, mask=None):
        (past,) = caches
        past.ids = np.append(past.ids, ids, 1)
        self.rows.append(len(ids))
        if mask is None:
            return np.stack([self.logits(*row.tolist()) for row in past.ids])
        B, S = past.ids.shape
        assert mask.shape == (B, 1, 1, S)
        expected = np.maximum(np.cumsum(mask[:, 0, 0], 1) - 1, 0)[:, -ids.shape[1] :]
        assert positions.tolist() == expected.tolist()
        return np.stack([self.logits(*row[there].tolist()) for row, there in zip(past.ids, mask[:, 0, 0])])


class Remembering:
    """Its logits spell out what it has read: logits[i] is id i of the window, -1 where there is none."""

    def __init__(self, context_length):
        self.context_length = context_length
        self.read = []  # how many ids each call read

    def forward(self, p, ids):
        self.read.append(ids.shape[1])
        return np.stack([self.spell(ids[:, : t + 1]) for t in range(ids.shape[1])], 1), None  # (B,T,V)

    def spell(self, ids):
        T = ids.shape[1]
        assert 1 <= T <= self.context_length
        return np.pad(ids, [(0, 0), (0, self.context_length + 1 - T)], constant_values=-1)  # (B,V), V = context + 1

    def start(self, p, batch):
        return [np.zeros((batch, 0), np.int64)]

    def step(self, p, ids, caches):
        self.read.append(ids.shape[1])
        caches[0] = np.concatenate([caches[0], ids], 1)
        return self.spell(caches[0])


class Constant:
    """The same logits (V) whatever it reads."""

    context_length = 4

    def __init__(self, logits):
        self.logits = np.asarray(logits)

    def forward(self, p, ids):
        return np.tile(self.logits, (*ids.shape, 1)), None

    def start(self, p, batch):
        return []

    def step(self, p, ids, caches):
        return np.tile(self.logits, (len(ids), 1))
