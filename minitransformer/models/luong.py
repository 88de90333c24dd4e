"""Sequence to sequence with attention after the recurrence (Luong, Pham & Manning 2015, section 3.1, "global").

    memory, states = recurrence(source[ids])            from the last token to the first
    x              = recurrence(target[ids], states)
    h              = tanh(W [context, x])               context = softmax(scores(x, memory)) memory
    logits         = head h

The states pass the bottleneck as before, but every step may look back at all positions of the source. As in the paper
there are three scores: dot (x · memory), general (x W memory) and concat (v tanh(W [x, memory])). Its input feeding
(section 3.3), which hands h to the next step's cell, is left out: so the recurrence runs first, and then all steps look
at once. `BahdanauSeq2Seq` is the other way round.
"""

from dataclasses import dataclass

import numpy as np

from ..blocks import StateCache, cell_of, concat_scores, general_scores, luong_attention, recurrence
from ..convention import fold, registered
from ..ops import dot_scores, dropout, dropout_backward, linear, linear_backward
from .recurrent import STATES, affine, cell, check_sizes, embed, embed_backward, steps_size, table, tokens_of, vector

SCORES = {"dot": dot_scores, "general": general_scores, "concat": concat_scores}


@registered("model")
@dataclass(frozen=True)
class LuongSeq2Seq:
    """Two recurrent networks, and attention between them. The defaults are the published sizes."""

    vocab_size: int = 50_000  # of the source and, unless that is given, of the target
    target_vocab_size: int | None = None
    cell: str = "lstm"  # or gru, or rnn
    n_layers: int = 4  # of the encoder, and of the decoder
    d_model: int = 1000  # of embeddings and states
    dropout_rate: float = 0.2
    score: str = "dot"  # or general, or concat

    def __post_init__(self):
        check_sizes(self)
        if self.score not in SCORES:
            raise ValueError(f"unknown score {self.score!r}; there are: {', '.join(SCORES)}")

    @property
    def layers(self):
        return recurrence(cell_of(self.cell))

    def init(self, rng, dtype=np.float32):
        """Parameters drawn from `rng`, a NumPy generator, as recurrent.py says."""
        V, D = self.target_vocab_size or self.vocab_size, self.d_model
        scores = {
            "dot": lambda: {},
            "general": lambda: {"scores": {"key": affine(rng, D, D, dtype, bias=False)}},
            "concat": lambda: {"scores": {"pair": affine(rng, D, 2 * D, dtype), "score": vector(rng, D, dtype)}},
        }
        return {
            "source": table(rng, self.vocab_size, D, dtype),
            "encoder": [cell(rng, self.cell, D, D, dtype) for _ in range(self.n_layers)],
            "target": table(rng, V, D, dtype),
            "decoder": [cell(rng, self.cell, D, D, dtype) for _ in range(self.n_layers)],
            "cross_attention": scores[self.score]() | {"out": affine(rng, D, 2 * D, dtype)},
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
        (memory, *states), saved["encoder"] = self.layers(
            p["encoder"], h, mask=tokens, reverse=True, dropout_rate=rate, key=fold(key, 1)
        )
        h, saved["target"] = embed(p["target"], target, rate=rate, key=fold(key, 2))
        (x, *_), saved["decoder"] = self.layers(p["decoder"], h, *states, dropout_rate=rate, key=fold(key, 3))
        h, saved["cross_attention"] = luong_attention(
            p["cross_attention"], x, memory, scores=SCORES[self.score], mask=tokens
        )
        h, saved["dropout"] = dropout(h, rate=rate, key=fold(key, 4))
        logits, saved["head"] = linear(p["head"], h)  # (B,T,V)
        return logits, saved

    def backward(self, dlogits, saved):
        """dlogits (B, T, V)   ->   g, the gradient of every parameter"""
        g, nothing = {}, [None] * STATES[self.cell]
        dh, g["head"] = linear_backward(dlogits, saved["head"])
        dh = dropout_backward(dh, saved["dropout"])
        dx, dmemory, g["cross_attention"] = luong_attention.backward(dh, saved["cross_attention"])
        dh, *dstates, g["decoder"] = self.layers.backward(dx, *nothing, saved["decoder"])
        g["target"] = embed_backward(dh, saved["target"])
        dh, *_, g["encoder"] = self.layers.backward(dmemory, *dstates, saved["encoder"])
        g["source"] = embed_backward(dh, saved["source"])
        return g

    # ------------------------------------------------------------------------------------------------- decoding

    def encode(self, p, source, source_mask=None):
        """source (B, S)   ->   memory (B, S, D), the states (L, B, D), and where tokens are: for decoding"""
        tokens = tokens_of(self, source, source_mask)
        h, _ = embed(p["source"], source, rate=0.0, key=None)
        (memory, *states), _ = self.layers(p["encoder"], h, mask=tokens, reverse=True)
        return memory, states, tokens

    def start(self, p, source, *, source_mask=None, length=None):
        """What `step` remembers: the decoder's states, and the memory. There is room for a target of any length."""
        memory, states, tokens = self.encode(p, source, source_mask)
        return [StateCache(states, (memory, tokens))]

    def step(self, p, ids, caches):
        """ids (B, T), the newest target tokens   ->   logits (B, V) of what follows the last; the states move by T"""
        (cache,) = caches
        memory, tokens = cache.memory
        h, _ = embed(p["target"], ids, rate=0.0, key=None)
        (x, *states), _ = self.layers(p["decoder"], h, *cache.states)
        h, _ = luong_attention(p["cross_attention"], x[:, -1:], memory, scores=SCORES[self.score], mask=tokens)
        cache.move(states, ids.shape[1])
        return linear(p["head"], h[:, -1])[0]

    # ---------------------------------------------------------------- how many numbers a pair of S and T tokens takes

    def attention_size(self, S, T):
        """The weights; of concat, what each pair of target and source is compared by, too."""
        return T * S * (self.d_model + 1 if self.score == "concat" else 1)

    def reading_size(self, S):
        """What all layers of the encoder keep of their steps."""
        return self.n_layers * steps_size(self, S)

    def decoding_size(self, S, T):
        """What decoding remembers: the states, and the memory, however long the target."""
        return (STATES[self.cell] * self.n_layers + S) * self.d_model
