"""What BERT and those after it have in common: how sizes are checked, how layers begin, how they are called."""

import numpy as np

from ..ops import gelu
from ..ops.dropout import check_rate
from .checks import check_count, check_frozen
from .initial import affine, norm


def check_encoder(model, *more):
    """ValueError unless sizes, rates and eps make sense. more: sizes that not every such model has"""
    for name in ("vocab_size", *more, "n_layers", "n_heads", "d_model", "d_ff"):
        check_count(name, getattr(model, name))
    if model.d_model % model.n_heads:
        raise ValueError(f"n_heads={model.n_heads} does not divide d_model={model.d_model}")
    check_rate(model.dropout_rate)
    check_rate(model.attention_dropout_rate)
    if not (isinstance(model.eps, float) and 0 < model.eps < np.inf):
        raise ValueError(f"eps must be a number above 0, not {model.eps!r}")
    check_frozen(model.frozen, model.n_layers)


def initial_layers(model, rng, dtype):
    """[parameters of a post-norm layer, ...]"""
    D, F = model.d_model, model.d_ff
    return [
        {
            "attention": {name: affine(rng, D, D, dtype) for name in ("q", "k", "v", "out")},
            "norm1": norm(D, dtype),
            "feed_forward": {"up": affine(rng, F, D, dtype), "down": affine(rng, D, F, dtype)},
            "norm2": norm(D, dtype),
        }
        for _ in range(model.n_layers)
    ]


def layer_settings(model):
    """What every layer is called with, but for mask and key."""
    return {
        "n_heads": model.n_heads,
        "activation": gelu,
        "eps": model.eps,
        "dropout_rate": model.dropout_rate,
        "attention_dropout_rate": model.attention_dropout_rate,
    }
