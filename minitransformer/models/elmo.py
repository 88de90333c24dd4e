"""ELMo (Peters et al. 2018, "Deep Contextualized Word Representations", section 3).

    x           = character_cnn(characters)                         a token as it is spelt, whatever stands around it
    h_1         = lstm(x)           h_j = lstm(h_{j-1}) + h_{j-1}   once from the front, once from the end
    layer 0     = [x, x]            layer j = [h_j forward, h_j backward]
    logits      = W h_L + b         of the next token from the front, of the one before from the end; one W for both

The two directions are two stacks that read the same x and never each other: whoever is to say a token must not have
seen it. Only what is made of the finished layers (`layer_mix`) knows both sides.

Published: LSTMs of 4096 units projected to 512. Here a layer is as wide as it says, without a projection.
"""

from dataclasses import dataclass
from typing import Any

import numpy as np

from ..blocks import character_cnn, character_cnn_backward
from ..convention import felt, fold, registered
from ..ops import dropout, dropout_backward, linear, linear_backward, lstm, lstm_backward, relu
from ..ops.dropout import check_rate
from .checks import check_count

WAYS = ("forward", "backward")


@registered("model")
@dataclass(frozen=True)
class ELMo:
    """The defaults are the published ones, but for the projection."""

    n_characters: int = 262
    vocab_size: int = 793471
    d_character: int = 16
    filters: tuple = ((1, 32), (2, 32), (3, 64), (4, 128), (5, 256), (6, 512), (7, 1024))  # (width, how many), ...
    n_highway: int = 2
    n_layers: int = 2
    d_model: int = 512  # of each direction
    dropout_rate: float = 0.1
    activation: Any = relu  # of the characters' network

    def __post_init__(self):
        for name in ("n_characters", "vocab_size", "d_character", "n_highway", "n_layers", "d_model"):
            check_count(name, getattr(self, name))
        if not self.filters:
            raise ValueError("ELMo: there is no filter, and so nothing of a word would be read")
        for filter in self.filters:
            for name, value in zip(("a filter's width", "the number of filters"), filter, strict=True):
                check_count(name, value)
        check_rate(self.dropout_rate)

    def init(self, rng, dtype=np.float32):
        """Parameters drawn from `rng`, a NumPy generator."""

        def normal(out, *inp, bias=0.0):
            weight = rng.normal(0, np.prod(inp) ** -0.5, (out, *inp)).astype(dtype)
            return {"weight": weight, "bias": np.full(out, bias, dtype)}

        C, D, E = self.d_character, self.d_model, sum(n for _, n in self.filters)
        token = {
            "character": {"weight": rng.normal(0, 1, (self.n_characters, C)).astype(dtype)},
            "filters": [normal(n, C, K) for K, n in self.filters],
            "highway": [{"transform": normal(E, E), "gate": normal(E, E, bias=-1.0)} for _ in range(self.n_highway)],
            "out": normal(D, E),
        }
        layers = {way: [{"input": normal(4 * D, D), "hidden": normal(4 * D, D)} for _ in self.layers] for way in WAYS}
        return {"token": token, **layers, "head": normal(self.vocab_size, D)}

    @property
    def layers(self):
        return range(self.n_layers)

    def forward(self, p, characters, *, mask=None, key=None):
        """characters (B, T, W)   ->   logits (B, T, V) of the token after each, and of the token before each

        mask (B, T, W) Boolean, True = a character is there; a token without one is none
        key: a SeedSequence to draw dropout from; None for evaluation
        """
        h, saved = self.hidden(p, characters, mask=mask, key=key)
        saved["head"], logits = [], []
        for i, top in enumerate(np.split(h[-1], 2, -1)):
            top, saved_dropout = dropout(top, rate=self.dropout_rate, key=fold(key, 2 + i))
            said, saved_head = linear(p["head"], top)
            logits.append(said)
            saved["head"].append((saved_dropout, saved_head))
        return tuple(logits), saved

    def backward(self, dafter, dbefore, saved):
        """dafter, dbefore (B, T, V)   ->   g, the gradient of every parameter"""
        dtop, heads = [], []
        for dlogits, other, (saved_dropout, saved_head) in zip((dafter, dbefore), (dbefore, dafter), saved["head"]):
            d, g_head = linear_backward(felt(dlogits, saved_head, like=other), saved_head)
            dtop.append(dropout_backward(d, saved_dropout))
            heads.append(g_head)
        dtop = np.concatenate(dtop, -1)
        g = self.hidden_backward([*[np.zeros_like(dtop)] * self.n_layers, dtop], saved)
        g["head"] = {name: heads[0][name] + heads[1][name] for name in heads[0]}  # both ways use it: add
        return g

    def hidden(self, p, characters, *, mask=None, key=None):
        """characters (B, T, W)   ->   h (L + 1, B, T, 2D), of every layer, that of the bare tokens first"""
        mask = np.ones(characters.shape, bool) if mask is None else mask
        saved = {}
        x, saved["token"] = character_cnn(p["token"], characters, mask=mask, activation=self.activation)  # (B,T,D)
        said = []
        for i, way in enumerate(WAYS):
            heard, saved[way] = self.run(p[way], x, mask.any(-1), reverse=way == "backward", key=fold(key, i))
            said.append(heard)
        return np.stack([np.concatenate(pair, -1) for pair in zip(*said)]), saved

    def hidden_backward(self, dh, saved):
        """dh (L + 1, B, T, 2D)   ->   g, the gradient of every parameter but the head's"""
        g, dx, halves = {}, 0, zip(*(np.split(dlayer, 2, -1) for dlayer in dh))
        for way, dsaid in zip(WAYS, halves):
            dx_way, g[way] = self.run_backward(dsaid, saved[way])
            dx = dx + dx_way  # both ways read x: add
        g["token"] = character_cnn_backward(dx, saved["token"])
        return g

    def run(self, p, x, mask, *, reverse, key):
        """One direction: x (B, T, D)   ->   [x, h_1, ..., h_L]"""
        said, saved = [x], []
        for i, p_layer in enumerate(p):
            saved_layer = {}
            h, saved_layer["dropout"] = dropout(x, rate=self.dropout_rate, key=fold(key, i))
            (h, *_), saved_layer["lstm"] = lstm(p_layer, h, mask=mask, reverse=reverse)
            x = h + x if i else h  # around every layer but the first
            said.append(x)
            saved.append(saved_layer)
        return said, saved

    def run_backward(self, dsaid, saved):
        """[dx, dh_1, ..., dh_L]   ->   dx, [g of every layer]"""
        dh, g = dsaid[-1], []
        for i in reversed(self.layers):
            d, *_, g_layer = lstm_backward(dh, None, None, saved[i]["lstm"])
            d = dropout_backward(d, saved[i]["dropout"])
            dh = dsaid[i] + (d + dh if i else d)  # h_j = lstm(h_{j-1}) + h_{j-1}, and layer j - 1 was shown
            g.append(g_layer)
        return dh, g[::-1]
