"""One vector for a text (Reimers & Gurevych 2019, "Sentence-BERT", section 3).

    y = Σ_t m_t h_t / Σ_t m_t        h = body(ids)        m_t = 1 where a token is, 0 where there is padding

or, with `pooling="first"`, y = h₀, the first place's.
"""

from dataclasses import dataclass
from typing import Any

import numpy as np

from ...convention import fold, registered
from ...ops import masked_mean, masked_mean_backward
from ..checks import check_count

POOLINGS = ("mean", "first")
LEAST = 3  # tokens of a text: one between two special ones


@registered("model")
@dataclass(frozen=True)
class SentenceEncoder:
    body: Any  # a BERT, or one of its kind
    pooling: str = "mean"
    max_length: int | None = None  # tokens of a text that it is made for, special ones too; None: its body's context
    lowers: bool = False  # whether it is made for texts that are lowered first

    extended = False  # nor is a BERT, for its gelu

    def __post_init__(self):
        if self.pooling not in POOLINGS:
            raise ValueError(f"pooling is {' or '.join(POOLINGS)}, not {self.pooling!r}")
        if self.max_length is not None:
            check_count("max_length", self.max_length, LEAST)

    def init(self, rng, dtype=np.float32):
        """Parameters drawn from `rng`, a NumPy generator."""
        return {"body": self.body.init(rng, dtype)}

    def forward(self, p, ids, *, types=None, mask=None, key=None):
        """ids (B, T)   ->   y (B, D); mask (B, 1, 1, T), True = a token is there; the rest as the body takes it"""
        saved = {}
        h, saved["body"] = self.body.forward(p["body"], ids, types=types, mask=mask, key=fold(key, 0))
        counted = self.counted(ids, mask)
        y, saved["mean"] = masked_mean(h, mask=counted)
        return y, saved

    def counted(self, ids, mask):
        """(B, T) Boolean: over which places the mean is taken"""
        if self.pooling == "first":
            return np.broadcast_to(np.arange(ids.shape[1]) == 0, ids.shape)
        if mask is None:
            return np.ones(ids.shape, bool)
        if mask.shape[1:] != (1, 1, ids.shape[1]):
            raise ValueError(f"the mask has shape {mask.shape}, expected (B or 1, 1, 1, T) with T = {ids.shape[1]}")
        return np.broadcast_to(mask[:, 0, 0], ids.shape)

    def backward(self, dy, saved):
        """dy (B, D)   ->   g, the gradient of every parameter"""
        dh = masked_mean_backward(dy, saved["mean"])
        return {"body": self.body.backward(dh, saved["body"])}
