"""What recurrent models share: the sizes of their cells, how their parameters begin, the mask of a source.

The weights of cells begin uniform in ±1/√H, as in PyTorch; their biases at 0, but that of an LSTM's forget gate at 1:
open (Gers, Schmidhuber & Cummins 2000; Jozefowicz, Zaremba & Sutskever 2015). Tables begin normal with standard
deviation 1, other maps uniform in ±√(6 / (in + out)), with biases of 0.
"""

import numpy as np

from ..blocks import cell_of
from ..ops import dropout, dropout_backward, embedding, embedding_backward
from ..ops.dropout import check_rate
from .checks import check_count

GATES = {"rnn": 1, "gru": 3, "lstm": 4}
STATES = {"rnn": 1, "gru": 1, "lstm": 2}  # h, and an LSTM's c


def check_sizes(model):
    """ValueError for sizes that make no sense, and for a cell that there is not."""
    for name in ("vocab_size", "n_layers", "d_model"):
        check_count(name, getattr(model, name))
    if model.target_vocab_size is not None:
        check_count("target_vocab_size", model.target_vocab_size)
    check_rate(model.dropout_rate)
    cell_of(model.cell)


def table(rng, n, width, dtype):
    return {"weight": rng.normal(0, 1, (n, width)).astype(dtype)}


def affine(rng, out, inp, dtype, bias=True):
    limit = np.sqrt(6 / (inp + out))  # Glorot & Bengio 2010, equation 16
    p = {"weight": rng.uniform(-limit, limit, (out, inp)).astype(dtype)}
    return p | {"bias": np.zeros(out, dtype)} if bias else p


def vector(rng, n, dtype):
    """A row of a map to one number."""
    return {"weight": affine(rng, 1, n, dtype, bias=False)["weight"][0]}


def cell(rng, name, inner, width, dtype):
    """The parameters of a cell with a state of `inner` numbers, which reads rows of this width."""
    limit, rows = inner**-0.5, GATES[name] * inner
    p = {
        part: {"weight": rng.uniform(-limit, limit, (rows, inp)).astype(dtype), "bias": np.zeros(rows, dtype)}
        for part, inp in (("input", width), ("hidden", inner))
    }
    if name == "lstm":
        p["input"]["bias"][inner : 2 * inner] = 1  # i, f, n, o
    return p


def steps_size(model, S):
    """How many numbers a layer keeps of S steps: what it read, its gates, the states before and after."""
    return S * (3 + GATES[model.cell] + STATES[model.cell]) * model.d_model


def tokens_of(model, source, source_mask):
    """source_mask (B or 1, 1, 1, S), or None   ->   (B, S), as recurrence takes it, or None. ValueError, TypeError."""
    name = type(model).__name__
    if source.ndim != 2 or source.shape[1] == 0:
        raise ValueError(f"{name}: the source has shape {source.shape}, expected (B, S) with at least one token")
    if source_mask is None:
        return None
    B, S = source.shape
    if source_mask.shape not in ((B, 1, 1, S), (1, 1, 1, S)):
        raise ValueError(f"{name}: source_mask has shape {source_mask.shape}, expected ({B} or 1, 1, 1, {S})")
    if source_mask.dtype != bool:
        raise TypeError(f"{name}: source_mask must be Boolean, not {source_mask.dtype}")
    tokens = np.broadcast_to(source_mask[:, 0, 0], (B, S))
    if not tokens.any(1).all():
        raise ValueError(f"{name}: source {np.argmin(tokens.any(1))} of the batch has no token")
    return tokens


def embed(p, ids, *, rate, key):
    """dropout(W[ids]): ids (B, T)   ->   h (B, T, D)"""
    saved = {}
    h, saved["embedding"] = embedding(p, ids)
    h, saved["dropout"] = dropout(h, rate=rate, key=key)
    return h, saved


def embed_backward(dh, saved):
    return embedding_backward(dropout_backward(dh, saved["dropout"]), saved["embedding"])
