"""GPT-2 (Radford et al. 2019, "Language Models are Unsupervised Multitask Learners", section 2.3).

    h      = dropout(token[ids] + position[0 ... T - 1])
    h      = causal pre-norm layers of h, the feed-forward four times as wide, with the tanh GELU
    logits = token · LN(h)                                      the head is the token embedding itself

Weights start normal with standard deviation 0.02, those that end a residual branch with 0.02/√(2 n_layers).
"""

import math
from dataclasses import dataclass

import numpy as np

from ..blocks import Cache, pre_norm_layer, pre_norm_layer_step, recompute, stack
from ..convention import fold, registered
from ..ops import (
    dropout,
    dropout_backward,
    embedding,
    embedding_backward,
    gelu_tanh,
    layer_norm,
    layer_norm_backward,
    learned_positions,
    learned_positions_backward,
    linear,
    linear_backward,
)
from ..ops.dropout import check_rate
from .checks import check_count, check_frozen
from .tied import add_head


@registered("model")
@dataclass(frozen=True)
class GPT2:
    """A stack of causal pre-norm layers between tied embeddings. The defaults are the published smallest model."""

    vocab_size: int = 50257
    context_length: int = 1024
    n_layers: int = 12
    n_heads: int = 12
    d_model: int = 768
    dropout_rate: float = 0.1
    recompute: bool = False  # layers keep only their input, and run again in the backward
    frozen: int = 0  # so many of the lowest layers, and the embeddings (so the head as well), are not trained

    below = ("token", "position")  # the parameters below the layers
    head = "token"  # the name of the head's parameters

    def __post_init__(self):
        for name in ("vocab_size", "context_length", "n_layers", "n_heads", "d_model"):
            check_count(name, getattr(self, name))
        if self.d_model % self.n_heads:
            raise ValueError(f"n_heads={self.n_heads} does not divide d_model={self.d_model}")
        check_rate(self.dropout_rate)
        check_frozen(self.frozen, self.n_layers)

    @property
    def layers(self):
        return stack(recompute(pre_norm_layer) if self.recompute else pre_norm_layer, self.frozen)

    def init(self, rng, dtype=np.float32):
        """Parameters drawn from `rng`, a NumPy generator."""
        D, residual = self.d_model, 0.02 / math.sqrt(2 * self.n_layers)  # two residual additions a layer

        def table(n, width, std=0.02):
            return {"weight": rng.normal(0, std, (n, width)).astype(dtype)}

        def affine(out, inp, std=0.02):
            return table(out, inp, std) | {"bias": np.zeros(out, dtype)}

        def norm():
            return {"weight": np.ones(D, dtype), "bias": np.zeros(D, dtype)}

        def layer():
            q, k, v, out = affine(D, D), affine(D, D), affine(D, D), affine(D, D, residual)
            return {
                "norm1": norm(),
                "attention": {"q": q, "k": k, "v": v, "out": out},
                "norm2": norm(),
                "feed_forward": {"up": affine(4 * D, D), "down": affine(D, 4 * D, residual)},
            }

        return {
            "token": table(self.vocab_size, D),
            "position": table(self.context_length, D),
            "layers": [layer() for _ in range(self.n_layers)],
            "norm": norm(),
        }

    def forward(self, p, ids, *, positions=None, mask=None, key=None):
        """ids (B, T)   ->   logits (B, T, V) of the token after each

        positions (T) or (B, T), by default 0 ... T - 1   mask (B or 1, 1, T or 1, T) Boolean, beside the causal one
        key: a SeedSequence to draw dropout from; None for evaluation
        """
        h, saved = self.hidden(p, ids, positions=positions, mask=mask, key=key)
        logits, saved["head"] = linear(p[self.head], h)  # (B,T,V), tied to the token embedding
        return logits, saved

    def backward(self, dlogits, saved):
        """dlogits (B, T, V)   ->   g, the gradient of every parameter that is not frozen"""
        dh, g_head = linear_backward(dlogits, saved["head"])
        return add_head(self.hidden_backward(dh, saved), self, g_head)  # the table was used twice: add

    def hidden(self, p, ids, *, positions=None, mask=None, key=None):
        """`forward` up to the head: ids (B, T)   ->   h (B, T, D), of which the logits are a linear map"""
        saved = {}
        tokens, saved["token"] = embedding(p["token"], ids)  # (B,T,D)
        h, saved["position"] = learned_positions(p["position"], tokens, positions=positions)
        h, saved["dropout"] = dropout(h, rate=self.dropout_rate, key=fold(key, 0))
        saved = {} if self.frozen else saved
        h, saved["layers"] = self.layers(
            p["layers"],
            h,
            key=fold(key, 1),
            n_heads=self.n_heads,
            activation=gelu_tanh,
            mask=mask,
            causal=True,
            dropout_rate=self.dropout_rate,
            attention_dropout_rate=self.dropout_rate,
        )
        h, saved["norm"] = layer_norm(p["norm"], h)
        return h, saved

    def hidden_backward(self, dh, saved):
        """dh (B, T, D)   ->   g, the gradient of every parameter that is not frozen, but for what the head felt"""
        g = {}
        dh, g["norm"] = layer_norm_backward(dh, saved["norm"])
        dh, g["layers"] = self.layers.backward(dh, saved["layers"])
        if self.frozen:
            return g
        dh = dropout_backward(dh, saved["dropout"])
        dtokens, g["position"] = learned_positions_backward(dh, saved["position"])
        g["token"] = embedding_backward(dtokens, saved["token"])
        return g

    def start(self, p, batch):
        """What `step` remembers between its calls, still empty."""
        size = batch, self.n_heads, self.context_length, self.d_model // self.n_heads
        return [Cache(*size, p["token"]["weight"].dtype) for _ in range(self.n_layers)]

    def step(self, p, ids, caches, *, positions=None, mask=None):
        """ids (B, T), the newest tokens   ->   logits (B, V) of what follows the last of them; the caches grow by T

        positions (T) or (B, T) of the newest, by default those that follow what the caches hold
        mask (B or 1, 1, T or 1, S) Boolean, beside the causal one, of all S that the caches then hold
        """
        if positions is None:
            positions = caches[0].length + np.arange(ids.shape[1])
        h, _ = learned_positions(p["position"], embedding(p["token"], ids)[0], positions=positions)
        for p_layer, cache in zip(p["layers"], caches, strict=True):
            h = pre_norm_layer_step(p_layer, h, cache, n_heads=self.n_heads, activation=gelu_tanh, mask=mask)
        return linear(p[self.head], layer_norm(p["norm"], h[:, -1])[0])[0]
