"""What stood where a token was masked (Devlin et al. 2019, section 3.1, task 1; the head as in their code).

h      = body(ids)
logits = token · LN(gelu(W h + b)) + c                      the table is the body's own token embedding
"""

from dataclasses import dataclass
from typing import Any

import numpy as np

from ...convention import fold, registered
from ...ops import gelu, layer_norm, layer_norm_backward, linear, linear_backward
from ..initial import affine, norm


@registered("model")
@dataclass(frozen=True)
class MaskedLanguageModel:
    body: Any  # a BERT, or one of its kind

    extended = False  # nor is a BERT, for its gelu

    def init(self, rng, dtype=np.float32):
        """Parameters drawn from `rng`, a NumPy generator."""
        D = self.body.d_model
        return {
            "body": self.body.init(rng, dtype),
            "transform": affine(rng, D, D, dtype),
            "norm": norm(D, dtype),
            "table": {"bias": np.zeros(self.body.vocab_size, dtype)},  # its weight is the body's
        }

    def forward(self, p, ids, *, types=None, mask=None, key=None):
        """ids (B, T)   ->   logits (B, T, V) of the token at each place; the rest as the body takes it"""
        saved = {}
        h, saved["body"] = self.body.forward(p["body"], ids, types=types, mask=mask, key=fold(key, 0))
        h, saved["transform"] = linear(p["transform"], h)
        h, saved["gelu"] = gelu(h)
        h, saved["norm"] = layer_norm(p["norm"], h, eps=self.body.eps)
        table = p["body"]["token"] | p["table"]
        logits, saved["table"] = linear(table, h)  # (B,T,V)
        return logits, saved

    def backward(self, dlogits, saved):
        """dlogits (B, T, V)   ->   g, the gradient of every parameter"""
        g = {}
        dh, g_table = linear_backward(dlogits, saved["table"])
        dh, g["norm"] = layer_norm_backward(dh, saved["norm"])
        dh = gelu.backward(dh, saved["gelu"])
        dh, g["transform"] = linear_backward(dh, saved["transform"])
        g["body"] = self.body.backward(dh, saved["body"])
        if "token" in g["body"]:
            g["body"]["token"] = {"weight": g["body"]["token"]["weight"] + g_table["weight"]}  # used twice: add
        g["table"] = {"bias": g_table["bias"]}
        return g
