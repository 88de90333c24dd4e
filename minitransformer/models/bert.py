"""BERT (Devlin et al. 2019, "BERT: Pre-training of Deep Bidirectional Transformers", section 3 and appendix A).

    h = dropout(LN(token[ids] + position[0 ... T - 1] + type[types]))
    h = post-norm layers of h, in which every place attends to every other

types tell a first text (0) from a second (1). What is made of h, a label for the text, for each token, a span, the
tokens that were masked, is a head's: `heads/`. Weights start normal with standard deviation 0.02.
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
class BERT:
    """A stack of post-norm layers that look both ways. The defaults are the published base model, uncased."""

    vocab_size: int = 30522
    context_length: int = 512
    n_types: int = 2
    n_layers: int = 12
    n_heads: int = 12
    d_model: int = 768
    d_ff: int = 3072
    dropout_rate: float = 0.1
    attention_dropout_rate: float = 0.1  # of the attention's weights
    eps: float = 1e-12  # of every norm
    frozen: int = 0  # so many of the lowest layers, and what is below them, are not trained

    below = ("token", "position", "type", "norm")  # the parameters below the layers
    extended = False  # gelu's error function exists up to float64

    def __post_init__(self):
        check_encoder(self, "context_length", "n_types")

    @property
    def layers(self):
        return stack(post_norm_layer, self.frozen)

    def init(self, rng, dtype=np.float32):
        """Parameters drawn from `rng`, a NumPy generator."""
        D = self.d_model
        return {
            "token": table(rng, self.vocab_size, D, dtype),
            "position": table(rng, self.context_length, D, dtype),
            "type": table(rng, self.n_types, D, dtype),
            "norm": norm(D, dtype),
            "layers": initial_layers(self, rng, dtype),
        }

    def forward(self, p, ids, *, types=None, mask=None, key=None):
        """ids (B, T)   ->   h (B, T, D)

        types (B, T), by default all 0   mask (B or 1, 1, T or 1, T) Boolean, True = may attend: padding is hidden by it
        key: a SeedSequence to draw dropout from; None for evaluation
        """
        saved = {}
        h, saved["token"] = embedding(p["token"], ids)  # (B,T,D)
        h, saved["position"] = learned_positions(p["position"], h)
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
