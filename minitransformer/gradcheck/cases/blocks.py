"""What architectures are made of."""

import numpy as np

from ...blocks import (
    feed_forward,
    gated_feed_forward,
    llama_layer,
    multi_head_attention,
    post_norm_decoder_layer,
    post_norm_layer,
    pre_norm_decoder_layer,
    pre_norm_layer,
    recompute,
    stack,
)
from ...ops import gelu_tanh, silu
from .case import case, cases_of


@cases_of(feed_forward)
def _(draw):
    B, T, D, F = draw.sizes(4)
    yield case(feed_forward, p=draw.feed_forward(D, F), x=draw(B, T, D), static={"activation": gelu_tanh})
    yield case(feed_forward, p=draw.feed_forward(D, F), x=draw(B, T, D), static={"activation": silu})


@cases_of(gated_feed_forward)
def _(draw):
    B, T, D, F = draw.sizes(4)
    yield case(gated_feed_forward, p=draw.gated_feed_forward(D, F), x=draw(B, T, D), static={"activation": silu})
    p = {name: {"weight": each["weight"]} for name, each in draw.gated_feed_forward(D, F).items()}
    yield case(gated_feed_forward, p=p, x=draw(B, T, D), static={"activation": gelu_tanh})


KEY_BIAS = (
    "attention.k.bias"  # moves every score of a query alike, which the softmax does not feel: its gradient is zero
)


@cases_of(multi_head_attention)
def _(draw):
    B, T, S, K, E = draw.sizes(5, least=2)
    zero, effort = ("p.k.bias",), (4, 2)
    x, memory = draw(B, T, 3 * K), draw(B, S, E)
    p = draw.attention(3 * K, memory_width=E)
    static = {"n_heads": 3, "mask": draw.mask(B, 1, T, S)}
    yield case(multi_head_attention, p=p, x=x, memory=memory, bias=None, zero=zero, effort=effort, static=static)
    p = draw.attention(4 * K, n_heads=4, n_kv_heads=2)
    static = {"n_heads": 4, "n_kv_heads": 2, "causal": True, "dropout_rate": 0.2, "key": draw.key()}
    x, memory, bias = draw(B, T, 4 * K), draw(B, T, 4 * K), draw(1, 4, T, T)
    yield case(multi_head_attention, p=p, x=x, memory=memory, bias=bias, zero=zero, effort=effort, static=static)
    turns = {"rotary": {"frequencies": np.abs(draw(K)), "positions": draw.rng.permutation(50)[:T]}}
    p, x = draw.attention(4 * K, n_heads=2), draw(B, T, 4 * K)
    p["k"], p["v"] = draw.linear(4 * K, 4 * K), draw.linear(4 * K, 4 * K)
    static = {"n_heads": 2, "causal": True} | turns  # of which the bias of the keys is felt: it is turned by position
    yield case(multi_head_attention, p=p, x=x, memory=x + draw(B, T, 4 * K), bias=None, effort=effort, static=static)


@cases_of(llama_layer)
def _(draw):
    B, T, half, F = draw.sizes(4, least=2)
    D = 4 * half + 1  # no multiple of what its heads have together
    p = {
        "norm1": {"weight": draw.norm(D)["weight"]},
        "attention": {
            name: {"weight": draw(out, inp) / np.sqrt(inp)}
            for name, out, inp in (("q", 8 * half, D), ("k", 4 * half, D), ("v", 4 * half, D), ("out", D, 8 * half))
        },
        "norm2": {"weight": draw.norm(D)["weight"]},
        "feed_forward": {name: {"weight": w["weight"]} for name, w in draw.gated_feed_forward(D, F).items()},
    }
    rotary = {"frequencies": np.abs(draw(half)), "positions": draw.ids(9, B, T), "pairing": "neighbours"}
    static = {"n_heads": 4, "n_kv_heads": 2, "rotary": rotary, "mask": draw.padding(B, T), "eps": 1e-3}
    yield case(llama_layer, p=p, x=draw(B, T, D), effort=(3, 2), static=static)


def layer_cases(draw, layer):
    B, T, K, F = draw.sizes(4, least=2)
    x, p, effort = draw(B, T, 2 * K), draw.layer(2 * K, F), (3, 2)
    zero = (f"p.{KEY_BIAS}",)
    static = {"n_heads": 2, "activation": gelu_tanh, "mask": draw.padding(B, T)}
    yield case(layer, p=p, x=x, zero=zero, effort=effort, static=static)
    rates = {"dropout_rate": 0.2, "attention_dropout_rate": 0.3, "key": draw.key()}
    static = {"n_heads": 2, "activation": silu, "causal": True, "eps": 1e-3, **rates}
    yield case(layer, p=p, x=x, zero=zero, effort=effort, static=static)


@cases_of(pre_norm_layer)
def _(draw):
    yield from layer_cases(draw, pre_norm_layer)


@cases_of(post_norm_layer)
def _(draw):
    yield from layer_cases(draw, post_norm_layer)


def decoder_layer_cases(draw, layer):
    B, T, S, K, F = draw.sizes(5, least=2)
    D = 2 * K
    p = draw.decoder_layer(D, F)
    zero = (f"p.{KEY_BIAS}", f"p.cross_{KEY_BIAS}")
    static = {
        "n_heads": 2,
        "activation": silu,
        "mask": draw.padding(B, T),
        "memory_mask": draw.padding(B, S),
        "eps": 1e-3,
        "dropout_rate": 0.2,
        "attention_dropout_rate": 0.3,
        "key": draw.key(),
    }
    yield case(layer, p=p, x=draw(B, T, D), memory=draw(B, S, D), zero=zero, effort=(3, 2), static=static)


@cases_of(pre_norm_decoder_layer)
def _(draw):
    yield from decoder_layer_cases(draw, pre_norm_decoder_layer)


@cases_of(post_norm_decoder_layer)
def _(draw):
    yield from decoder_layer_cases(draw, post_norm_decoder_layer)


@cases_of(stack)
def _(draw):
    B, T, D, F = draw.sizes(4, least=3)  # a norm of two values is ±1, whatever they are
    p = [draw.layer(D, F), draw.layer(D, F)]
    zero = tuple(f"p.{i}.{KEY_BIAS}" for i in range(2))
    static = {"n_heads": 1, "activation": gelu_tanh, "causal": True, "dropout_rate": 0.2, "key": draw.key()}
    yield case(stack(pre_norm_layer), p=p, x=draw(B, T, D), zero=zero, effort=(2, 2), static=static)
    B, T, S, K, F = draw.sizes(5, least=2)
    D = 3 * K
    p = [draw.decoder_layer(D, F), draw.decoder_layer(D, F)]
    zero = tuple(f"p.{i}.{name}" for i in range(2) for name in (KEY_BIAS, f"cross_{KEY_BIAS}"))
    static = {"n_heads": 3, "activation": silu, "memory_mask": draw.padding(B, S)}
    thing, args = stack(pre_norm_decoder_layer), {"x": draw(B, T, D), "memory": draw(B, S, D)}
    yield case(thing, p=p, **args, zero=zero, effort=(1, 1), static=static)


@cases_of(recompute)
def _(draw):
    B, T, D, F = draw.sizes(4, least=3)  # a norm of two values is ±1, whatever they are
    static = {"n_heads": 1, "activation": gelu_tanh, "dropout_rate": 0.2, "key": draw.key()}
    zero = (f"p.{KEY_BIAS}",)
    thing = recompute(post_norm_layer)
    yield case(thing, p=draw.layer(D, F), x=draw(B, T, D), zero=zero, effort=(3, 2), static=static)
