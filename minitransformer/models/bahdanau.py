"""Sequence to sequence with the first attention (Bahdanau, Cho & Bengio 2015, "RNNsearch").

    memory  = recurrence in both directions (source[ids])           each position knows what stands on either side
    h_0     = tanh(W_s · the state in which the run from the end arrives at the first token)
    y, z    = at each step: look at the memory with h_{t-1}; h_t = cell([target[id], context], h_{t-1})
    logits  = head tanh(W_o [y, z, target[ids]])

The context goes into the cell's input, so a step must wait for what the one before has seen: blocks/attentive.py. The
paper has GRUs, one layer in each direction. Its readout (A.2.2) is a maxout of pairs where this file has the tanh of
`logits`, and is told h_{t-1}, the state before the step, where this file has y_t = h_t, the state after it.
"""

from dataclasses import dataclass

import numpy as np

from ..blocks import StateCache, attentive, bidirectional, cell_of, recurrence
from ..convention import fold, registered
from ..ops import dropout, dropout_backward, linear, linear_backward, tanh, tanh_backward
from .recurrent import STATES, affine, cell, check_sizes, embed, embed_backward, steps_size, table, tokens_of, vector


@registered("model")
@dataclass(frozen=True)
class BahdanauSeq2Seq:
    """A recurrent encoder in both directions, and a recurrent decoder that looks. The defaults are nearly published."""

    vocab_size: int = 30_000  # of the source and, unless that is given, of the target
    target_vocab_size: int | None = None
    cell: str = "gru"  # or lstm, or rnn
    n_layers: int = 1  # of the encoder; the decoder has one
    d_model: int = 1000  # of states, of what is compared, and of embeddings (620 in the paper)
    dropout_rate: float = 0.0

    def __post_init__(self):
        check_sizes(self)

    @property
    def reader(self):
        return recurrence(bidirectional(cell_of(self.cell)))

    @property
    def writer(self):
        return attentive(cell_of(self.cell))

    def init(self, rng, dtype=np.float32):
        """Parameters drawn from `rng`, a NumPy generator, as recurrent.py says."""
        V, D = self.target_vocab_size or self.vocab_size, self.d_model

        def layer(inp):
            return {way: cell(rng, self.cell, D, inp, dtype) for way in ("forward", "backward")}

        look = {
            "query": affine(rng, D, D, dtype),
            "key": affine(rng, D, 2 * D, dtype, bias=False),
            "score": vector(rng, D, dtype),
        }
        return {
            "source": table(rng, self.vocab_size, D, dtype),
            "encoder": [layer(2 * D if i else D) for i in range(self.n_layers)],
            "begin": affine(rng, D, D, dtype),
            "target": table(rng, V, D, dtype),
            "decoder": {"cross_attention": look, "cell": cell(rng, self.cell, D, 3 * D, dtype)},
            "readout": affine(rng, D, 4 * D, dtype),
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
        (memory, *last), saved["encoder"] = self.reader(
            p["encoder"], h, mask=tokens, dropout_rate=rate, key=fold(key, 1)
        )
        states, saved["begin"] = self.begin(p["begin"], last)
        x, saved["target"] = embed(p["target"], target, rate=rate, key=fold(key, 2))
        (y, z, *_), saved["decoder"] = self.writer(p["decoder"], x, memory, *states, mask=tokens)
        h, saved["readout"] = self.readout(p["readout"], y, z, x)
        h, saved["dropout"] = dropout(h, rate=rate, key=fold(key, 3))
        logits, saved["head"] = linear(p["head"], h)  # (B,T,V)
        return logits, saved

    def backward(self, dlogits, saved):
        """dlogits (B, T, V)   ->   g, the gradient of every parameter"""
        g, nothing = {}, [None] * STATES[self.cell]
        dh, g["head"] = linear_backward(dlogits, saved["head"])
        dh = dropout_backward(dh, saved["dropout"])
        dy, dz, dx_read, g["readout"] = self.readout_backward(dh, saved["readout"])
        dx, dmemory, dh, *_, g["decoder"] = self.writer.backward(dy, dz, *nothing, saved["decoder"])
        g["target"] = embed_backward(dx + dx_read, saved["target"])  # x was used twice: add
        dlast, g["begin"] = self.begin_backward(dh, saved["begin"])
        dh, *_, g["encoder"] = self.reader.backward(dmemory, *dlast, saved["encoder"])
        g["source"] = embed_backward(dh, saved["source"])
        return g

    def begin(self, p, last):
        """The encoder's last states (L, 2, B, D)   ->   those that the decoder begins with, all but h of zeros"""
        saved = {"shape": last[0].shape}
        h, saved["linear"] = linear(p, last[0][-1, 1])  # (B,D), of the last layer's run from the end
        h, saved["tanh"] = tanh(h)
        return [h, *[None] * (len(last) - 1)], saved

    def begin_backward(self, dh, saved):
        """dlast, g"""
        dh, g = linear_backward(tanh_backward(dh, saved["tanh"]), saved["linear"])
        dlast = np.zeros(saved["shape"], dh.dtype, like=dh)
        dlast[-1, 1] = dh
        return [dlast, *[None] * (STATES[self.cell] - 1)], g

    def readout(self, p, y, z, x):
        """y (B, T, D), z (B, T, 2D), x (B, T, D)   ->   h (B, T, D)"""
        saved = {}
        h, saved["linear"] = linear(p, np.concatenate([y, z, x], -1))
        h, saved["tanh"] = tanh(h)
        return h, saved

    def readout_backward(self, dh, saved):
        """dy, dz, dx, g"""
        D = self.d_model
        dall, g = linear_backward(tanh_backward(dh, saved["tanh"]), saved["linear"])
        return *np.split(dall, [D, 3 * D], -1), g

    # ------------------------------------------------------------------------------------------------- decoding

    def encode(self, p, source, source_mask=None):
        """source (B, S)   ->   memory (B, S, 2D), the decoder's states, and where tokens are: for decoding"""
        tokens = tokens_of(self, source, source_mask)
        h, _ = embed(p["source"], source, rate=0.0, key=None)
        (memory, *last), _ = self.reader(p["encoder"], h, mask=tokens)
        return memory, self.begin(p["begin"], last)[0], tokens

    def start(self, p, source, *, source_mask=None, length=None):
        """What `step` remembers: the decoder's states, and the memory. There is room for a target of any length."""
        memory, states, tokens = self.encode(p, source, source_mask)
        return [StateCache(states, (memory, tokens))]

    def step(self, p, ids, caches):
        """ids (B, T), the newest target tokens   ->   logits (B, V) of what follows the last; the states move by T"""
        (cache,) = caches
        memory, tokens = cache.memory
        x, _ = embed(p["target"], ids, rate=0.0, key=None)
        (y, z, *states), _ = self.writer(p["decoder"], x, memory, *cache.states, mask=tokens)
        cache.move(states, ids.shape[1])
        return linear(p["head"], self.readout(p["readout"], y, z, x)[0][:, -1])[0]

    # ---------------------------------------------------------------- how many numbers a pair of S and T tokens takes

    def attention_size(self, S, T):
        """What each pair of target and source is compared by, and the weights."""
        return T * S * (self.d_model + 1)

    def reading_size(self, S):
        """What all layers of the encoder keep of their steps."""
        return 2 * self.n_layers * steps_size(self, S)

    def decoding_size(self, S, T):
        """What decoding remembers: the states, and the memory of both directions, however long the target."""
        return (STATES[self.cell] + 2 * S) * self.d_model
