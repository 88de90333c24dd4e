"""What BERT was trained to say before anything else was asked of it (Devlin et al. 2019, section 3.1, both tasks).

h      = body(ids)
masked = token · LN(gelu(W h + b)) + c          what stood where a token was masked, as in MaskedLanguageModel
next   = N tanh(P h₀ + d) + e                   0: the second text follows the first    1: it comes from elsewhere

h₀ is the first place's, [CLS]. Its map and tanh are the pooler, which a TextClassifier goes on with.
"""

from dataclasses import dataclass
from typing import Any

import numpy as np

from ...convention import felt, fold, registered
from ...ops import linear, linear_backward, tanh
from ..initial import affine
from ..tied import with_table
from .masked_language_model import MaskedLanguageModel, token_logits, token_logits_backward


@registered("model")
@dataclass(frozen=True)
class PreTraining:
    body: Any  # a BERT

    extended = False  # nor is a BERT, for its gelu

    @property
    def masked(self):
        """The model of one task alone, which takes the same parameters."""
        return MaskedLanguageModel(self.body)

    def init(self, rng, dtype=np.float32):
        """Parameters drawn from `rng`, a NumPy generator."""
        D = self.body.d_model
        return self.masked.init(rng, dtype) | {"pooler": affine(rng, D, D, dtype), "next": affine(rng, 2, D, dtype)}

    def forward(self, p, ids, *, types=None, mask=None, places=None, key=None):
        """ids (B, T)   ->   masked (B, T, V), next (B, 2), both logits; the rest as the body takes it

        places (N), each from 0 to B·T - 1: masked (N, V), of these alone
        """
        saved = {}
        h, saved["body"] = self.body.forward(p["body"], ids, types=types, mask=mask, key=fold(key, 0))
        masked, said = token_logits(p, h, places, eps=self.body.eps)
        first, saved["pooler"] = linear(p["pooler"], h[:, 0])  # (B,D)
        first, saved["tanh"] = tanh(first)
        follows, saved["next"] = linear(p["next"], first)  # (B,2)
        return (masked, follows), saved | said

    def backward(self, dmasked, dfollows, saved):
        """dmasked, dfollows, of the shapes of both logits   ->   g, the gradient of every parameter"""
        dh, dtoken, g = token_logits_backward(felt(dmasked, saved["table"], like=dfollows), saved)
        dfirst, g["next"] = linear_backward(felt(dfollows, saved["next"], like=dmasked), saved["next"])
        dfirst = tanh.backward(dfirst, saved["tanh"])
        dfirst, g["pooler"] = linear_backward(dfirst, saved["pooler"])
        dh = np.concatenate([dh[:, :1] + dfirst[:, None], dh[:, 1:]], 1)  # h[:, 0], used twice: add
        return g | {"body": with_table(self.body.backward(dh, saved["body"]), "token", dtoken)}
