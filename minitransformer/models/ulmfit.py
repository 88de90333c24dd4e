"""The classifier of ULMFiT (Howard & Ruder 2018, "Universal Language Model Fine-tuning", section 3.3).

h      = body(ids)                          a language model's hidden states, one a token
pooled = [h_last, max over h, mean of h]    "concat pooling": a text is classified by a word or two that stand anywhere
logits = W₂ dropout(relu(norm(W₁ dropout(pooled) + b₁))) + b₂

The norm is a layer norm here. The paper's is a batch norm, whose running statistics would be neither a parameter nor
an input.
"""

from dataclasses import dataclass
from typing import Any

import numpy as np

from ..convention import fold, registered
from ..ops import (
    dropout,
    dropout_backward,
    layer_norm,
    layer_norm_backward,
    linear,
    linear_backward,
    masked_max,
    masked_max_backward,
    masked_mean,
    masked_mean_backward,
    relu,
)
from ..ops.dropout import check_rate
from .awd_lstm import AWDLSTM
from .checks import check_count
from .initial import norm


@registered("model")
@dataclass(frozen=True)
class ULMFiT:
    body: Any  # an AWDLSTM
    n_classes: int = 2
    d_hidden: int = 50
    pooled_rate: float = 0.2
    hidden_rate: float = 0.1
    activation: Any = relu

    def __post_init__(self):
        if not isinstance(self.body, AWDLSTM):
            raise ValueError(f"ULMFiT: body is {self.body!r}, expected an AWDLSTM")
        check_count("n_classes", self.n_classes)
        check_count("d_hidden", self.d_hidden)
        check_rate(self.pooled_rate)
        check_rate(self.hidden_rate)

    def init(self, rng, dtype=np.float32):
        """Parameters drawn from `rng`, a NumPy generator."""

        def affine(out, inp):
            return {"weight": rng.normal(0, inp**-0.5, (out, inp)).astype(dtype), "bias": np.zeros(out, dtype)}

        return {
            "body": self.body.init(rng, dtype),
            "hidden": affine(self.d_hidden, 3 * self.body.d_model),
            "norm": norm(self.d_hidden, dtype),
            "classifier": affine(self.n_classes, self.d_hidden),
        }

    def forward(self, p, ids, *, types=None, mask=None, key=None):
        """ids (B, T)   mask (B, 1, 1, T) Boolean, True = a token is there   ->   logits (B, C) of the text's class

        types: an LSTM knows of none. ValueError where there are some, and for a mask of another shape.
        """
        if types is not None and types.any():
            raise ValueError("ULMFiT: an LSTM reads one text, and knows of no types")
        B, T = ids.shape
        if mask is not None and mask.shape != (B, 1, 1, T):
            raise ValueError(f"ULMFiT: mask has shape {mask.shape}, expected ({B}, 1, 1, {T})")
        saved, there = {}, np.ones(ids.shape, bool) if mask is None else mask[:, 0, 0]
        (h, *last), saved["body"] = self.body.hidden(p["body"], ids, mask=there, key=fold(key, 0))
        highest, saved["max"] = masked_max(h, mask=there)  # (B,D)
        mean, saved["mean"] = masked_mean(h, mask=there)
        pooled = np.concatenate([last[-2], highest, mean], -1)  # (B,3D); the last but one state: h of the last layer
        h, saved["pooled"] = dropout(pooled, rate=self.pooled_rate, key=fold(key, 1))
        h, saved["hidden"] = linear(p["hidden"], h)
        h, saved["norm"] = layer_norm(p["norm"], h)
        h, saved["activation"] = self.activation(h)
        h, saved["dropout"] = dropout(h, rate=self.hidden_rate, key=fold(key, 2))
        logits, saved["classifier"] = linear(p["classifier"], h)  # (B,C)
        return logits, saved

    def backward(self, dlogits, saved):
        """dlogits (B, C)   ->   g, the gradient of every parameter that is not frozen"""
        g = {}
        dh, g["classifier"] = linear_backward(dlogits, saved["classifier"])
        dh = dropout_backward(dh, saved["dropout"])
        dh = self.activation.backward(dh, saved["activation"])
        dh, g["norm"] = layer_norm_backward(dh, saved["norm"])
        dh, g["hidden"] = linear_backward(dh, saved["hidden"])
        dlast, dhighest, dmean = np.split(dropout_backward(dh, saved["pooled"]), 3, -1)
        dh = masked_max_backward(dhighest, saved["max"])
        dh = dh + masked_mean_backward(dmean, saved["mean"])
        *_, g["body"] = self.body.hidden_backward(dh, *self.felt_at_the_end(dlast), saved["body"])
        return g

    def felt_at_the_end(self, dh):
        """Of the body's last states: nothing but of the last layer's h."""
        return *[None] * (2 * self.body.n_layers - 2), dh, None
