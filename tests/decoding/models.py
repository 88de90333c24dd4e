"""Models to decode with: a GPT-2 with opinions, and two that have nothing but `context_length` and the convention."""

import numpy as np

from minitransformer.models import GPT2
from minitransformer.trees import tree_map


def gpt2(context_length, seed=0, vocab_size=13):
    """model, p in float64; weights so large that every token in the window matters to every logit"""
    rng = np.random.default_rng(seed)
    model = GPT2(vocab_size=vocab_size, context_length=context_length, n_layers=2, n_heads=2, d_model=8)
    return model, tree_map(lambda array: array + 0.4 * rng.normal(size=array.shape), model.init(rng, np.float64))


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
