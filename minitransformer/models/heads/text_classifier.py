"""A label for a text, or for a pair of texts (Devlin et al. 2019, section 4.1).

h      = body(ids)
logits = W dropout(tanh(P h₀ + b)) + c                      h₀ stands for the whole: the first place's, [CLS]
"""

from dataclasses import dataclass
from typing import Any

import numpy as np

from ...convention import fold, registered
from ...ops import dropout, dropout_backward, linear, linear_backward, tanh, tanh_backward
from ..checks import check_count
from ..initial import affine


@registered("model")
@dataclass(frozen=True)
class TextClassifier:
    body: Any  # a BERT, or one of its kind
    n_classes: int = 2

    extended = False  # nor is a BERT, for its gelu

    def __post_init__(self):
        check_count("n_classes", self.n_classes)

    def init(self, rng, dtype=np.float32):
        """Parameters drawn from `rng`, a NumPy generator."""
        D = self.body.d_model
        return {
            "body": self.body.init(rng, dtype),
            "pooler": affine(rng, D, D, dtype),
            "classifier": affine(rng, self.n_classes, D, dtype),
        }

    def forward(self, p, ids, *, types=None, mask=None, key=None):
        """ids (B, T)   ->   logits (B, C) of the text's class; the rest as the body takes it"""
        saved = {}
        h, saved["body"] = self.body.forward(p["body"], ids, types=types, mask=mask, key=fold(key, 0))
        saved["shape"] = h.shape
        h, saved["pooler"] = linear(p["pooler"], h[:, 0])  # (B,D)
        h, saved["tanh"] = tanh(h)
        h, saved["dropout"] = dropout(h, rate=self.body.dropout_rate, key=fold(key, 1))
        logits, saved["classifier"] = linear(p["classifier"], h)  # (B,C)
        return logits, saved

    def backward(self, dlogits, saved):
        """dlogits (B, C)   ->   g, the gradient of every parameter"""
        g = {}
        dh, g["classifier"] = linear_backward(dlogits, saved["classifier"])
        dh = dropout_backward(dh, saved["dropout"])
        dh = tanh_backward(dh, saved["tanh"])
        dfirst, g["pooler"] = linear_backward(dh, saved["pooler"])
        dh = np.zeros(saved["shape"], dfirst.dtype)
        dh[:, 0] = dfirst  # nobody looked at the other places
        g["body"] = self.body.backward(dh, saved["body"])
        return g
