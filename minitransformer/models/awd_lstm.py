"""AWD-LSTM (Merity, Keskar & Socher 2018, "Regularizing and Optimizing LSTM Language Models").

    h      = token[ids]                     with words dropped from the table, and locked dropout of the input
    h      = LSTM upon LSTM of h            recurrent weights dropped; locked dropout of what goes up
    logits = token · h                      the head is the token embedding itself, whole; locked dropout before it

So the last layer is as wide as the embedding, and those between are as wide as one likes. What the layers remember at
the end of one piece of a text, the next piece may begin with.

Weights start as in the authors' program: the table uniform within 0.1, those of a layer within 1/√H, biases too.
"""

from dataclasses import dataclass

import numpy as np

from ..blocks import weight_dropped
from ..convention import fold, registered
from ..ops import embedding, embedding_backward, linear, linear_backward, locked_dropout, locked_dropout_backward, lstm
from ..ops.dropout import check_rate
from .checks import check_count, check_frozen
from .tied import with_table

CELL = weight_dropped(lstm)


@registered("model")
@dataclass(frozen=True)
class AWDLSTM:
    """The defaults are those with which the authors' program learns the Penn Treebank."""

    vocab_size: int = 10000
    n_layers: int = 3
    d_model: int = 400
    d_hidden: int = 1150
    word_rate: float = 0.1  # of whole words, dropout of the embedding's rows
    input_rate: float = 0.4
    hidden_rate: float = 0.25  # of what goes from layer to layer
    output_rate: float = 0.4
    weight_rate: float = 0.5  # of recurrent weights
    frozen: int = 0  # so many of the lowest layers, and the embedding (so the head as well), are not trained

    below = ("token",)  # the parameters below the layers
    head = "token"  # the name of the head's parameters

    def __post_init__(self):
        for name in ("vocab_size", "n_layers", "d_model", "d_hidden"):
            check_count(name, getattr(self, name))
        for name in ("word_rate", "input_rate", "hidden_rate", "output_rate", "weight_rate"):
            check_rate(getattr(self, name))
        check_frozen(self.frozen, self.n_layers)

    def width(self, i):
        """Of what layer i reads, and of what the one before it says."""
        return self.d_hidden if 0 < i < self.n_layers else self.d_model

    def init(self, rng, dtype=np.float32):
        """Parameters drawn from `rng`, a NumPy generator."""

        def uniform(width, *shape):
            return rng.uniform(-width, width, shape).astype(dtype)

        def affine(inp, H):
            return {"weight": uniform(H**-0.5, 4 * H, inp), "bias": uniform(H**-0.5, 4 * H)}

        def layer(inp, H):
            return {"input": affine(inp, H), "hidden": affine(H, H)}

        layers = [layer(self.width(i), self.width(i + 1)) for i in range(self.n_layers)]
        return {"token": {"weight": uniform(0.1, self.vocab_size, self.d_model)}, "layers": layers}

    def forward(self, p, ids, *states, mask=None, key=None):
        """ids (B, T)   states (B, H), h and c of every layer in turn, or none   ->   logits (B, T, V), last states...

        mask (B, T) Boolean, True = a token is there   key: a SeedSequence to draw dropout from; None for evaluation
        """
        (h, *last), saved = self.hidden(p, ids, *states, mask=mask, key=key)
        h, saved["output"] = locked_dropout(h, axis=1, rate=self.output_rate, key=fold(key, 3))
        logits, saved["head"] = linear(p["token"], h)  # (B,T,V), tied to the token embedding
        return (logits, *last), saved

    def backward(self, dlogits, *dlast_and_saved):
        """dlogits (B, T, V), of the last states   ->   of the first states, g, but for what is frozen"""
        *dlast, saved = dlast_and_saved
        if dlogits is None:
            return self.hidden_backward(None, *dlast, saved)
        dh, g_head = linear_backward(dlogits, saved["head"])
        dh = locked_dropout_backward(dh, saved["output"])
        *dstates, g = self.hidden_backward(dh, *dlast, saved)
        return *dstates, with_table(g, "token", g_head["weight"])

    def hidden(self, p, ids, *states, mask=None, key=None):
        """`forward` up to the head: ids (B, T)   ->   h (B, T, D), last states..."""
        states = states or (None,) * (2 * self.n_layers)
        if len(states) != 2 * self.n_layers:
            raise ValueError(f"AWDLSTM: {len(states)} states, expected h and c of {self.n_layers} layers")
        saved = {}
        table, saved["words"] = locked_dropout(p["token"]["weight"], axis=-1, rate=self.word_rate, key=fold(key, 0))
        h, saved["token"] = embedding({"weight": table}, ids)  # (B,T,D)
        h, saved["input"] = locked_dropout(h, axis=1, rate=self.input_rate, key=fold(key, 1))
        saved = {} if self.frozen else saved
        saved["layers"], last, key = [], [], fold(key, 2)
        for i, p_layer in enumerate(p["layers"]):
            saved_layer = {}
            if i:
                h, saved_layer["dropout"] = locked_dropout(h, axis=1, rate=self.hidden_rate, key=fold(key, 2 * i))
            how = {"mask": mask, "weight_rate": self.weight_rate, "key": fold(key, 2 * i + 1)}
            (h, *state), saved_layer["cell"] = CELL(p_layer, h, *states[2 * i : 2 * i + 2], **how)
            saved["layers"].append(None if i < self.frozen else saved_layer)
            last += state
        return (h, *last), saved

    def hidden_backward(self, dh, *dlast_and_saved):
        """dh (B, T, D), of the last states, each None where nothing was felt   ->   of the first states, g"""
        *dlast, saved = dlast_and_saved
        dlast = dlast or [None] * (2 * self.n_layers)
        dstates, layers = [None] * (2 * self.n_layers), [{} for _ in range(self.n_layers)]
        for i in reversed(range(self.frozen, self.n_layers)):
            ends = slice(2 * i, 2 * i + 2)
            dh, *dstates[ends], layers[i] = CELL.backward(dh, *dlast[ends], saved["layers"][i]["cell"])
            if i:
                dh = locked_dropout_backward(dh, saved["layers"][i]["dropout"])
        g = {"layers": layers}
        if not self.frozen:
            dh = locked_dropout_backward(dh, saved["input"])
            dtable = embedding_backward(dh, saved["token"])["weight"]
            g["token"] = {"weight": locked_dropout_backward(dtable, saved["words"])}
        return *dstates, g
