"""RoBERTa (Liu et al. 2019, "RoBERTa: A Robustly Optimized BERT Pretraining Approach", section 3).

    n_t = 1 if ids_t is no padding, else 0          position_t = padding_idx + n_t (n_0 + ... + n_t)

    h = dropout(LN(token[ids] + position[position_t] + type[0]))
    h = post-norm layers of h, in which every place attends to every other

Positions count from padding_idx + 1, and padding has row padding_idx (as in their code). So of 514 rows a text can have
512. (There the rows of padding in both tables get no gradient; here they get what is felt of them, which is nothing
where a mask hides padding and no target counts there.) There is one type, whose row is a bias. Otherwise it is a BERT;
what is new is how it was trained, and the tokenizer.
"""

from dataclasses import dataclass

import numpy as np

from ..blocks import post_norm_layer, stack
from ..convention import fold, registered
from ..ops import (
    dropout,
    dropout_backward,
    embedding,
    embedding_backward,
    layer_norm,
    layer_norm_backward,
    learned_positions,
    learned_positions_backward,
)
from .encoder import check_encoder, initial_layers, layer_settings
from .initial import norm, table


@registered("model")
@dataclass(frozen=True)
class RoBERTa:
    """A BERT whose positions count the tokens that are no padding. The defaults are the published base model."""

    vocab_size: int = 50265
    n_positions: int = 514  # rows of their table; those up to padding_idx are no token's
    padding_idx: int = 1  # the id of padding, and its position
    n_types: int = 1
    n_layers: int = 12
    n_heads: int = 12
    d_model: int = 768
    d_ff: int = 3072
    dropout_rate: float = 0.1
    attention_dropout_rate: float = 0.1  # of the attention's weights
    eps: float = 1e-5  # of every norm
    frozen: int = 0  # so many of the lowest layers, and what is below them, are not trained

    below = ("token", "position", "type", "norm")  # the parameters below the layers

    extended = False  # nor is a BERT, for its gelu

    def __post_init__(self):
        check_encoder(self, "n_positions", "n_types")
        if type(self.padding_idx) is not int or not 0 <= self.padding_idx < self.vocab_size:
            raise ValueError(f"padding_idx={self.padding_idx!r} is no id of a vocabulary of {self.vocab_size}")
        if self.context_length < 1:
            raise ValueError(f"n_positions={self.n_positions} has no room behind padding_idx={self.padding_idx}")

    @property
    def context_length(self):
        """The most tokens of a text."""
        return self.n_positions - self.padding_idx - 1

    @property
    def layers(self):
        return stack(post_norm_layer, self.frozen)

    def init(self, rng, dtype=np.float32):
        """Parameters drawn from `rng`, a NumPy generator."""
        D = self.d_model
        return {
            "token": table(rng, self.vocab_size, D, dtype),
            "position": table(rng, self.n_positions, D, dtype),
            "type": table(rng, self.n_types, D, dtype),
            "norm": norm(D, dtype),
            "layers": initial_layers(self, rng, dtype),
        }

    def positions_of(self, ids):
        """ids (B, T)   ->   positions (B, T). ValueError for more tokens than the context has."""
        counts = ids != self.padding_idx
        n = counts.cumsum(1)
        if n.size and n[:, -1].max() > self.context_length:
            raise ValueError(f"there are {n[:, -1].max()} tokens, outside the context of {self.context_length}")
        return self.padding_idx + n * counts

    def forward(self, p, ids, *, types=None, mask=None, key=None):
        """ids (B, T), those that are padding_idx do not count as positions   ->   h (B, T, D)

        types (B, T), by default all 0   mask (B or 1, 1, T or 1, T) Boolean, True = may attend: padding is hidden by it
        key: a SeedSequence to draw dropout from; None for evaluation
        """
        saved = {}
        h, saved["token"] = embedding(p["token"], ids)  # (B,T,D)
        h, saved["position"] = learned_positions(p["position"], h, positions=self.positions_of(ids))
        of_type, saved["type"] = embedding(p["type"], np.zeros_like(ids) if types is None else types)
        h, saved["norm"] = layer_norm(p["norm"], h + of_type, eps=self.eps)
        h, saved["dropout"] = dropout(h, rate=self.dropout_rate, key=fold(key, 0))
        saved = {} if self.frozen else saved
        h, saved["layers"] = self.layers(p["layers"], h, mask=mask, key=fold(key, 1), **layer_settings(self))
        return h, saved

    def backward(self, dh, saved):
        """dh (B, T, D)   ->   g, the gradient of every parameter that is not frozen"""
        g = {}
        dh, g["layers"] = self.layers.backward(dh, saved["layers"])
        if self.frozen:
            return g
        dh = dropout_backward(dh, saved["dropout"])
        dsum, g["norm"] = layer_norm_backward(dh, saved["norm"])
        g["type"] = embedding_backward(dsum, saved["type"])  # h + of_type
        dh, g["position"] = learned_positions_backward(dsum, saved["position"])
        g["token"] = embedding_backward(dh, saved["token"])
        return g
