"""Where in a text the answer to a question begins and ends (Devlin et al. 2019, section 4.2).

    start_t = s · h_t + b₀        end_t = e · h_t + b₁        h = body(question and text)

Each is a choice of one place among all. So the logits are (B, 2, T), and the loss is the mean of two cross-entropies.
DistilBERT has dropout(h_t) instead of h_t.
"""

from dataclasses import dataclass
from typing import Any

import numpy as np

from ...convention import fold, registered
from ...ops import dropout, dropout_backward, linear, linear_backward
from ...ops.dropout import check_rate
from ..initial import affine


@registered("model")
@dataclass(frozen=True)
class SpanFinder:
    body: Any  # a BERT, or one of its kind
    dropout_rate: float = 0.0  # of h

    extended = False  # nor is a BERT, for its gelu

    def __post_init__(self):
        check_rate(self.dropout_rate)

    def init(self, rng, dtype=np.float32):
        """Parameters drawn from `rng`, a NumPy generator."""
        return {"body": self.body.init(rng, dtype), "ends": affine(rng, 2, self.body.d_model, dtype)}

    def forward(self, p, ids, *, types=None, mask=None, key=None):
        """ids (B, T)   ->   logits (B, 2, T) of beginning and end being at each place; the rest as the body takes it"""
        saved = {}
        h, saved["body"] = self.body.forward(p["body"], ids, types=types, mask=mask, key=fold(key, 0))
        h, saved["dropout"] = dropout(h, rate=self.dropout_rate, key=fold(key, 1))
        logits, saved["ends"] = linear(p["ends"], h)  # (B,T,2)
        return logits.swapaxes(1, 2), saved

    def backward(self, dlogits, saved):
        """dlogits (B, 2, T)   ->   g, the gradient of every parameter"""
        g = {}
        dh, g["ends"] = linear_backward(dlogits.swapaxes(1, 2), saved["ends"])
        dh = dropout_backward(dh, saved["dropout"])
        g["body"] = self.body.backward(dh, saved["body"])
        return g
