"""A label for every token, as for the names in a text (Devlin et al. 2019, section 5.3).

logits = W dropout(body(ids)) + b
"""

from dataclasses import dataclass
from typing import Any

import numpy as np

from ...convention import fold, registered
from ...ops import dropout, dropout_backward, linear, linear_backward
from ...ops.dropout import check_rate
from ..checks import check_count
from ..initial import affine


@registered("model")
@dataclass(frozen=True)
class TokenClassifier:
    body: Any  # a BERT, or one of its kind
    n_classes: int = 2
    dropout_rate: float | None = None  # None: the body's

    extended = False  # nor is a BERT, for its gelu

    def __post_init__(self):
        check_count("n_classes", self.n_classes)
        check_rate(self.rate)

    @property
    def rate(self):
        return self.body.dropout_rate if self.dropout_rate is None else self.dropout_rate

    def init(self, rng, dtype=np.float32):
        """Parameters drawn from `rng`, a NumPy generator."""
        return {
            "body": self.body.init(rng, dtype),
            "classifier": affine(rng, self.n_classes, self.body.d_model, dtype),
        }

    def forward(self, p, ids, *, types=None, mask=None, key=None):
        """ids (B, T)   ->   logits (B, T, C) of each token's class; the rest as the body takes it"""
        saved = {}
        h, saved["body"] = self.body.forward(p["body"], ids, types=types, mask=mask, key=fold(key, 0))
        h, saved["dropout"] = dropout(h, rate=self.rate, key=fold(key, 1))
        logits, saved["classifier"] = linear(p["classifier"], h)  # (B,T,C)
        return logits, saved

    def backward(self, dlogits, saved):
        """dlogits (B, T, C)   ->   g, the gradient of every parameter"""
        g = {}
        dh, g["classifier"] = linear_backward(dlogits, saved["classifier"])
        dh = dropout_backward(dh, saved["dropout"])
        g["body"] = self.body.backward(dh, saved["body"])
        return g
