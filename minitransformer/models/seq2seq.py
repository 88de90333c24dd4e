"""Sequence to sequence (Sutskever, Vinyals & Le 2014; Cho et al. 2014): one network reads, and what it remembers is all
that another one has to write from.

    y, states = recurrence(source[ids])                 from the last token to the first
    h         = recurrence(target[ids], states)         each layer begins where the encoder's layer ended
    logits    = head h

However long the source, the states have one size: the bottleneck. With `summary="mean"`, every layer of the decoder
begins instead with the mean of what the encoder said at all positions, y.

Sutskever's is an LSTM of four layers, which reads the source from its end, so that the beginning of the target has the
beginning of the source near (section 3.3). Cho's is a GRU of one layer (and hands the summary to every step besides).
"""

from dataclasses import dataclass

import numpy as np

from ..blocks import StateCache, cell_of, recurrence
from ..convention import fold, registered
from ..ops import dropout, dropout_backward, linear, linear_backward, masked_mean, masked_mean_backward
from .recurrent import STATES, affine, cell, check_sizes, embed, embed_backward, steps_size, table, tokens_of

SUMMARIES = ("last", "mean")


@registered("model")
@dataclass(frozen=True)
class Seq2Seq:
    """Two recurrent networks. The defaults are those of Sutskever et al."""

    vocab_size: int = 160_000  # of the source and, unless that is given, of the target
    target_vocab_size: int | None = None
    cell: str = "lstm"  # or gru, or rnn
    n_layers: int = 4  # of the encoder, and of the decoder
    d_model: int = 1000  # of embeddings and states
    dropout_rate: float = 0.0
    summary: str = "last"  # the encoder's last states; or mean, of its outputs

    def __post_init__(self):
        check_sizes(self)
        if self.summary not in SUMMARIES:
            raise ValueError(f"unknown summary {self.summary!r}; there are: {', '.join(SUMMARIES)}")

    @property
    def layers(self):
        return recurrence(cell_of(self.cell))

    def init(self, rng, dtype=np.float32):
        """Parameters drawn from `rng`, a NumPy generator, as recurrent.py says."""
        V, D = self.target_vocab_size or self.vocab_size, self.d_model
        return {
            "source": table(rng, self.vocab_size, D, dtype),
            "encoder": [cell(rng, self.cell, D, D, dtype) for _ in range(self.n_layers)],
            "target": table(rng, V, D, dtype),
            "decoder": [cell(rng, self.cell, D, D, dtype) for _ in range(self.n_layers)],
            "head": affine(rng, V, D, dtype),
        }

    # ------------------------------------------------------------------------------------------ forward, backward

    def forward(self, p, source, target, *, source_mask=None, key=None):
        """source (B, S), target (B, T) ids   ->   logits (B, T, V) of the token after each target

        source_mask (B or 1, 1, 1, S) Boolean, True = a token is there. The decoder looks back only, so padding behind a
        target needs no mask. ValueError for a source without a token, TypeError for another mask.
        """
        saved, rate = {}, self.dropout_rate
        tokens = tokens_of(self, source, source_mask)
        h, saved["source"] = embed(p["source"], source, rate=rate, key=fold(key, 0))
        (y, *last), saved["encoder"] = self.layers(
            p["encoder"], h, mask=tokens, reverse=True, dropout_rate=rate, key=fold(key, 1)
        )
        states, saved["summary"] = self.summarise(y, last, tokens)
        h, saved["target"] = embed(p["target"], target, rate=rate, key=fold(key, 2))
        (h, *_), saved["decoder"] = self.layers(p["decoder"], h, *states, dropout_rate=rate, key=fold(key, 3))
        h, saved["dropout"] = dropout(h, rate=rate, key=fold(key, 4))
        logits, saved["head"] = linear(p["head"], h)  # (B,T,V)
        return logits, saved

    def backward(self, dlogits, saved):
        """dlogits (B, T, V)   ->   g, the gradient of every parameter"""
        g, nothing = {}, [None] * STATES[self.cell]
        dh, g["head"] = linear_backward(dlogits, saved["head"])
        dh = dropout_backward(dh, saved["dropout"])
        dh, *dstates, g["decoder"] = self.layers.backward(dh, *nothing, saved["decoder"])
        g["target"] = embed_backward(dh, saved["target"])
        dy, dlast = self.summarise_backward(dstates, saved["summary"])
        dh, *_, g["encoder"] = self.layers.backward(dy, *dlast, saved["encoder"])
        g["source"] = embed_backward(dh, saved["source"])
        return g

    def summarise(self, y, last, tokens):
        """y (B, S, D), last states (L, B, D)   ->   the states (L, B, D) that the decoder begins with"""
        if self.summary == "last":
            return last, None
        mean, saved = masked_mean(y, mask=np.ones(y.shape[:2], bool) if tokens is None else tokens)  # (B,D)
        return [np.broadcast_to(mean, state.shape) for state in last], saved

    def summarise_backward(self, dstates, saved):
        """dy, dlast"""
        if self.summary == "last":
            return None, dstates
        dmean = sum(dstate.sum(0) for dstate in dstates)  # every state of every layer began with it: add
        return masked_mean_backward(dmean, saved), [None] * len(dstates)

    # ------------------------------------------------------------------------------------------------- decoding

    def encode(self, p, source, source_mask=None):
        """source (B, S)   ->   the states (L, B, D) that the decoder begins with, for decoding"""
        tokens = tokens_of(self, source, source_mask)
        h, _ = embed(p["source"], source, rate=0.0, key=None)
        (y, *last), _ = self.layers(p["encoder"], h, mask=tokens, reverse=True)
        return self.summarise(y, last, tokens)[0]

    def start(self, p, source, *, source_mask=None, length=None):
        """What `step` remembers: the decoder's states. They have room for a target of any length."""
        return [StateCache(self.encode(p, source, source_mask))]

    def step(self, p, ids, caches):
        """ids (B, T), the newest target tokens   ->   logits (B, V) of what follows the last; the states move by T"""
        (cache,) = caches
        h, _ = embed(p["target"], ids, rate=0.0, key=None)
        (h, *states), _ = self.layers(p["decoder"], h, *cache.states)
        cache.move(states, ids.shape[1])
        return linear(p["head"], h[:, -1])[0]

    # ---------------------------------------------------------------- how many numbers a pair of S and T tokens takes

    def attention_size(self, S, T):
        """There is no attention."""
        return 0

    def reading_size(self, S):
        """What all layers of the encoder keep of their steps."""
        return self.n_layers * steps_size(self, S)

    def decoding_size(self, S, T):
        """What decoding remembers: the states, however long the target."""
        return STATES[self.cell] * self.n_layers * self.d_model
