"""A word as its characters say it (Kim et al. 2016, section 3; in a large model, Jozefowicz et al. 2016).

forward     c = characters[ids]                                 (N, W, D), N words of at most W characters
            for every filter width K:  h_K = max over t of (W_K window_t(c) + b_K)
            h = f([h_1, h_2, ...])                              which pieces of a word are there, wherever they stand
            h = highway layers of h                             how the pieces go together
            y = W h + b

backward    the forward read from the bottom up; the characters were read by every width: add

A word that nobody has ever seen has a vector like those of the words it is spelt like. Behind a word's last character
there are zeros, K - 1 for a filter of width K, so that every character begins a window, and padding changes nothing.
"""

import numpy as np

from ..convention import backward_of, block
from ..ops import (
    conv1d,
    conv1d_backward,
    embedding,
    embedding_backward,
    linear,
    linear_backward,
    masked_max,
    masked_max_backward,
)
from ..ops.linear import rows
from .highway import highway
from .stack import stack


@block
def character_cnn(p, ids, *, mask, activation):
    """p: character (C, D), a table; filters, [(E_i, D, K_i), ...]; highway, a list of layers (ΣE, ΣE); out (F, ΣE)
    ids (B, T, W)   mask (B, T, W) Boolean, True = a character is there   activation: f   ->   y (B, T, F)

    Of a word without any character, y is the same whatever its ids. ValueError for ids of other axes, and another mask.
    """
    if ids.ndim != 3 or mask.shape != ids.shape:
        raise ValueError(
            f"character_cnn: ids have shape {ids.shape} and the mask {mask.shape}, expected (B, T, W) of both"
        )
    saved, (B, T, W) = {"by": activation}, ids.shape
    mask = mask.reshape(B * T, W)
    c, saved["character"] = embedding(p["character"], ids.reshape(B * T, W))  # (BT,W,D)
    found, saved["filters"] = [], []
    for p_filter in p["filters"]:
        h, saved_filter = conv1d(p_filter, c, padding=(0, p_filter["weight"].shape[-1] - 1), mask=mask)  # (BT,W,E_i)
        h, saved_max = masked_max(h, mask=mask)
        found.append(h)
        saved["filters"].append((saved_filter, saved_max))
    h, saved["activation"] = activation(np.concatenate(found, -1))  # (BT,ΣE)
    h, saved["highway"] = stack(highway)(p["highway"], h, activation=activation)
    y, saved["out"] = linear(p["out"], h)
    return y.reshape(B, T, y.shape[-1]), saved


@backward_of(character_cnn)
def character_cnn_backward(dy, saved):
    """g"""
    g = {}
    dh, g["out"] = linear_backward(rows(dy), saved["out"])
    dh, g["highway"] = stack(highway).backward(dh, saved["highway"])
    dh = saved["by"].backward(dh, saved["activation"])
    dc, g["filters"], end = 0, [], 0
    for saved_filter, saved_max in saved["filters"]:
        begin, end = end, end + saved_max.shape[-1]
        dpart = masked_max_backward(dh[:, begin:end], saved_max)
        dpart, g_filter = conv1d_backward(dpart, saved_filter)
        dc = dc + dpart  # every width read the characters: add
        g["filters"].append(g_filter)
    g["character"] = embedding_backward(dc, saved["character"])
    return g
