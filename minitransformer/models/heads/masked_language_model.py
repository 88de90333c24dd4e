"""What stood where a token was masked (Devlin et al. 2019, section 3.1, task 1; the head as in their code).

h      = body(ids)
logits = token · LN(gelu(W h + b)) + c                      the table is the body's own token embedding

The vocabulary is long and few places are asked: `places` chooses them before anything is multiplied by the table.
"""

from dataclasses import dataclass
from typing import Any

import numpy as np

from ...convention import fold, registered
from ...ops import (
    embedding,
    embedding_backward,
    gelu,
    layer_norm,
    layer_norm_backward,
    linear,
    linear_backward,
)
from ..initial import affine, norm
from ..tied import with_table


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

    def forward(self, p, ids, *, types=None, mask=None, places=None, key=None):
        """ids (B, T)   ->   logits (B, T, V) of the token at each place; the rest as the body takes it

        places (N), each from 0 to B·T - 1: logits (N, V) of these alone
        """
        saved = {}
        h, saved["body"] = self.body.forward(p["body"], ids, types=types, mask=mask, key=fold(key, 0))
        logits, said = token_logits(p, h, places, eps=self.body.eps)
        return logits, saved | said

    def backward(self, dlogits, saved):
        """dlogits, of the shape of the logits   ->   g, the gradient of every parameter"""
        dh, dtoken, g = token_logits_backward(dlogits, saved)
        return g | {"body": with_table(self.body.backward(dh, saved["body"]), "token", dtoken)}


def token_logits(p, h, places, *, eps):
    """h (B, T, D)   ->   logits (B, T, V), or (N, V) of the places"""
    saved = {"shape": h.shape, "places": None}
    if places is not None:  # of h a row for each place, as of a table one for each id
        h, saved["places"] = embedding({"weight": h.reshape(-1, h.shape[-1])}, places)  # (N,D)
    h, saved["transform"] = linear(p["transform"], h)
    h, saved["gelu"] = gelu(h)
    h, saved["norm"] = layer_norm(p["norm"], h, eps=eps)
    logits, saved["table"] = linear(p["body"]["token"] | p["table"], h)
    return logits, saved


def token_logits_backward(dlogits, saved):
    """dlogits   ->   dh (B, T, D), what the body's table felt of this use, and g"""
    g = {}
    dh, g_table = linear_backward(dlogits, saved["table"])
    g["table"] = {"bias": g_table["bias"]}
    dh, g["norm"] = layer_norm_backward(dh, saved["norm"])
    dh = gelu.backward(dh, saved["gelu"])
    dh, g["transform"] = linear_backward(dh, saved["transform"])
    if saved["places"] is not None:
        dh = embedding_backward(dh, saved["places"])["weight"].reshape(saved["shape"])
    return dh, g_table["weight"], g
