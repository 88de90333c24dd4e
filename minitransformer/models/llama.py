"""LLaMA (Touvron et al. 2023, "LLaMA: Open and Efficient Foundation Language Models", section 2.2), and its successors.

    h      = token[ids]
    h      = causal layers of h: RMS norms, rotary positions, gated feed-forward; no biases anywhere
    logits = head · RMS(h)                              the head is a table of its own, or the token embedding

In the largest of LLaMA 2, and in all from Llama 3 on, several query heads share the keys and values of one (Ainslie et
al. 2023, grouped-query attention); from Llama 3.1 on, the rotary positions are scaled (`frequencies.py`). Weights start
normal with standard deviation 0.02.
"""

from dataclasses import dataclass
from typing import Any

import numpy as np

from ..blocks import Cache, llama_layer, llama_layer_step, recompute, stack
from ..convention import fold, registered
from ..ops import embedding, embedding_backward, linear, linear_backward, rms_norm, rms_norm_backward
from ..ops.rotary import PAIRINGS
from .checks import check_count, check_frozen
from .frequencies import check_scaling, frequencies
from .initial import scale, table
from .tied import add_head

MOST = 1e30  # beyond which no such number makes sense


@registered("model")
@dataclass(frozen=True)
class LLaMA:
    """A stack of LLaMA's layers. The defaults are the smallest published one, of seven billion parameters."""

    vocab_size: int = 32000
    context_length: int = 2048
    n_layers: int = 32
    n_heads: int = 32
    n_kv_heads: int = 32
    d_model: int = 4096
    d_head: int = 128
    d_ff: int = 11008
    eps: float = 1e-6  # of every norm
    rotary_base: float = 10000.0
    rotary_scaling: Any = None  # of `frequencies.py`
    pairing: str = "halves"  # of `ops.rotary`
    tied: bool = False  # the head is the token embedding
    recompute: bool = False  # layers keep only their input, and run again in the backward
    frozen: int = 0  # so many of the lowest layers, and the embedding (so a tied head as well), are not trained

    below = ("token",)  # the parameters below the layers

    def __post_init__(self):
        for name in ("vocab_size", "context_length", "n_layers", "n_heads", "n_kv_heads", "d_model", "d_head", "d_ff"):
            check_count(name, getattr(self, name))
        if self.n_heads % self.n_kv_heads:
            raise ValueError(f"n_kv_heads={self.n_kv_heads} does not divide n_heads={self.n_heads}")
        if self.d_head % 2:
            raise ValueError(f"d_head={self.d_head} is odd; rotary positions turn its columns two by two")
        for name, least in (("eps", 0), ("rotary_base", 1)):
            value = getattr(self, name)
            if type(value) not in (int, float) or not least < value < MOST:
                raise ValueError(f"{name} must be a number above {least} and below {MOST:.0e}, not {value!r}")
        check_scaling(self.rotary_scaling)
        check_frozen(self.frozen, self.n_layers)
        if not isinstance(self.tied, bool):
            raise ValueError(f"tied is True or False, not {self.tied!r}")
        if self.pairing not in PAIRINGS:
            raise ValueError(f"pairing is {' or '.join(PAIRINGS)}, not {self.pairing!r}")

    @property
    def head(self):
        """The name of the head's parameters."""
        return "token" if self.tied else "head"

    @property
    def layers(self):
        return stack(recompute(llama_layer) if self.recompute else llama_layer, self.frozen)

    def init(self, rng, dtype=np.float32):
        """Parameters drawn from `rng`, a NumPy generator."""
        D, F, Q, KV = self.d_model, self.d_ff, self.n_heads * self.d_head, self.n_kv_heads * self.d_head

        def layer():
            maps = (("q", Q, D), ("k", KV, D), ("v", KV, D), ("out", D, Q))
            return {
                "norm1": scale(D, dtype),
                "attention": {name: table(rng, out, inp, dtype) for name, out, inp in maps},
                "norm2": scale(D, dtype),
                "feed_forward": {
                    "gate": table(rng, F, D, dtype),
                    "up": table(rng, F, D, dtype),
                    "down": table(rng, D, F, dtype),
                },
            }

        p = {
            "token": table(rng, self.vocab_size, D, dtype),
            "layers": [layer() for _ in range(self.n_layers)],
            "norm": scale(D, dtype),
        }
        return p if self.tied else p | {"head": table(rng, self.vocab_size, D, dtype)}

    def heads(self, positions=None):
        """What every layer is told of its heads and of where its rows stand."""
        turns = frequencies(self.d_head, self.rotary_base, self.rotary_scaling)
        rotary = {"frequencies": tuple(turns.tolist()), "positions": positions, "pairing": self.pairing}
        return {"n_heads": self.n_heads, "n_kv_heads": self.n_kv_heads, "rotary": rotary, "eps": self.eps}

    def forward(self, p, ids, *, positions=None, mask=None, key=None):
        """ids (B, T)   ->   logits (B, T, V) of the token after each

        positions (T) or (B, T), by default 0 ... T - 1   mask (B or 1, 1, T or 1, T) Boolean, beside the causal one
        key: as other models take it; nothing is drawn here
        """
        h, saved = self.hidden(p, ids, positions=positions, mask=mask, key=key)
        logits, saved["head"] = linear(p[self.head], h)  # (B,T,V)
        return logits, saved

    def backward(self, dlogits, saved):
        """dlogits (B, T, V)   ->   g, the gradient of every parameter that is not frozen"""
        dh, g_head = linear_backward(dlogits, saved["head"])
        return add_head(self.hidden_backward(dh, saved), self, g_head)

    def hidden(self, p, ids, *, positions=None, mask=None, key=None):
        """`forward` up to the head: ids (B, T)   ->   h (B, T, D), of which the logits are a linear map"""
        saved = {}
        if ids.shape[1] > self.context_length:
            raise ValueError(f"{ids.shape[1]} tokens are more than the context of {self.context_length}")
        h, saved["token"] = embedding(p["token"], ids)  # (B,T,D)
        saved = {} if self.frozen else saved
        h, saved["layers"] = self.layers(p["layers"], h, key=fold(key, 0), mask=mask, **self.heads(positions))
        h, saved["norm"] = rms_norm(p["norm"], h, eps=self.eps)
        return h, saved

    def hidden_backward(self, dh, saved):
        """dh (B, T, D)   ->   g, the gradient of every parameter that is not frozen, but for what the head felt"""
        g = {}
        dh, g["norm"] = rms_norm_backward(dh, saved["norm"])
        dh, g["layers"] = self.layers.backward(dh, saved["layers"])
        if self.frozen:
            return g
        g["token"] = embedding_backward(dh, saved["token"])
        return g

    def start(self, p, batch):
        """What `step` remembers between its calls, still empty."""
        size = batch, self.n_kv_heads, self.context_length, self.d_head
        return [Cache(*size, p["token"]["weight"].dtype) for _ in range(self.n_layers)]

    def step(self, p, ids, caches, *, positions=None, mask=None):
        """ids (B, T), the newest tokens   ->   logits (B, V) of what follows the last of them; the caches grow by T

        positions (T) or (B, T) of the newest, by default those that follow what the caches hold
        mask (B or 1, 1, T or 1, S) Boolean, beside the causal one, of all S that the caches then hold
        """
        if positions is None:
            positions = caches[0].length + np.arange(ids.shape[1])
        h, heads = embedding(p["token"], ids)[0], self.heads(positions)
        for p_layer, cache in zip(p["layers"], caches, strict=True):
            h = llama_layer_step(p_layer, h, cache, mask=mask, **heads)
        return linear(p[self.head], rms_norm(p["norm"], h[:, -1], eps=self.eps)[0])[0]
