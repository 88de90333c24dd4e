"""A label for a text, or for a pair of texts (Devlin et al. 2019, section 4.1).

h      = body(ids)
logits = W dropout(f(P h₀ + b)) + c                         h₀ stands for the whole: the first place's, [CLS]

f is tanh, and in DistilBERT ReLU. RoBERTa has P dropout(h₀) instead of P h₀.
"""

from dataclasses import dataclass
from typing import Any

import numpy as np

from ...convention import fold, registered
from ...ops import dropout, dropout_backward, linear, linear_backward, tanh
from ...ops.dropout import check_rate
from ..checks import check_count
from ..initial import affine


@registered("model")
@dataclass(frozen=True)
class TextClassifier:
    body: Any  # a BERT, or one of its kind
    n_classes: int = 2
    activation: Any = tanh  # f
    dropout_rate: float | None = None  # None: the body's
    drops_first: bool = False  # whether h₀ itself goes through dropout, too

    extended = False  # nor is a BERT, for its gelu

    def __post_init__(self):
        check_count("n_classes", self.n_classes)
        check_rate(self.rate)

    @property
    def rate(self):
        return self.body.dropout_rate if self.dropout_rate is None else self.dropout_rate

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
        h, saved["first"] = dropout(h[:, 0], rate=self.rate if self.drops_first else 0.0, key=fold(key, 2))  # (B,D)
        h, saved["pooler"] = linear(p["pooler"], h)
        h, saved["activation"] = self.activation(h)
        h, saved["dropout"] = dropout(h, rate=self.rate, key=fold(key, 1))
        logits, saved["classifier"] = linear(p["classifier"], h)  # (B,C)
        return logits, saved

    def backward(self, dlogits, saved):
        """dlogits (B, C)   ->   g, the gradient of every parameter"""
        g = {}
        dh, g["classifier"] = linear_backward(dlogits, saved["classifier"])
        dh = dropout_backward(dh, saved["dropout"])
        dh = self.activation.backward(dh, saved["activation"])
        dh, g["pooler"] = linear_backward(dh, saved["pooler"])
        dfirst = dropout_backward(dh, saved["first"])
        dh = np.zeros(saved["shape"], dfirst.dtype, like=dfirst)
        dh[:, 0] = dfirst  # nobody looked at the other places
        g["body"] = self.body.backward(dh, saved["body"])
        return g
