"""Operations."""

import numpy as np

from ...ops import (
    attention,
    cross_entropy,
    dropout,
    embedding,
    gelu,
    gelu_tanh,
    layer_norm,
    learned_positions,
    linear,
    linear_cross_entropy,
    masked_mean,
    relu,
    rms_norm,
    rotary,
    silu,
    sinusoidal_positions,
    softmax,
    tanh,
)
from .case import case, cases_of


@cases_of(linear)
def _(draw):
    B, T, D, E = draw.sizes(4)
    yield case(linear, p=draw.linear(E, D), x=draw(B, T, D))
    yield case(linear, p={"weight": draw(E, D)}, x=draw(D))


@cases_of(embedding)
def _(draw):
    B, T, V, D = draw.sizes(4)
    yield case(embedding, p={"weight": draw(V, D)}, ids=draw.ids(V, B, T))


@cases_of(layer_norm)
def _(draw):
    B, T, D = draw.sizes(3, least=3)  # of width 1 there is nothing to normalise
    yield case(layer_norm, p=draw.norm(D), x=draw(B, T, D))
    yield case(layer_norm, p=draw.norm(D), x=draw(T, D), static={"eps": 0.1})


@cases_of(rms_norm)
def _(draw):
    B, T, D = draw.sizes(3, least=2)
    yield case(rms_norm, p={"weight": draw(D)}, x=draw(B, T, D))
    yield case(rms_norm, p={"weight": draw(D)}, x=draw(T, D), static={"eps": 0.1})


@cases_of(softmax)
def _(draw):
    B, T, D = draw.sizes(3, least=2)  # of one element the softmax is 1, whatever it is
    yield case(softmax, x=2 * draw(B, T, D))


@cases_of(relu)
def _(draw):
    yield case(relu, x=draw.away_from_zero(*draw.sizes(3, least=2)))


@cases_of(gelu)
def _(draw):
    yield case(gelu, x=2 * draw(*draw.sizes(3)))


@cases_of(gelu_tanh)
def _(draw):
    yield case(gelu_tanh, x=2 * draw(*draw.sizes(3)))


@cases_of(silu)
def _(draw):
    yield case(silu, x=2 * draw(*draw.sizes(3)))


@cases_of(tanh)
def _(draw):
    yield case(tanh, x=2 * draw(*draw.sizes(3)))


@cases_of(masked_mean)
def _(draw):
    B, T, D = draw.sizes(3, least=2)
    mask = draw.rng.random((B, T)) < 0.6
    mask[:, -1:], mask[:1] = True, False  # of the first, nothing counts
    yield case(masked_mean, x=draw(B, T, D), static={"mask": mask})


@cases_of(dropout)
def _(draw):
    shape = draw.sizes(3, least=2)
    yield case(dropout, x=draw(*shape), static={"rate": 0.4, "key": draw.key()})
    yield case(dropout, x=draw(*shape), static={"rate": 0.4, "key": None})


@cases_of(attention)
def _(draw):
    B, G, T, S, K = draw.sizes(5, least=2)  # with one key there is nothing to choose, and no gradient for the query
    q, k, v = draw(B, G, T, K), draw(B, G, S, K), draw(B, G, S, K)
    yield case(attention, q=q, k=k, v=v, bias=None)
    yield case(attention, q=q, k=k, v=v, bias=None, static={"causal": True})
    mask, grouped = draw.mask(B, 1, T, S), draw(B, 2 * G, T, K)
    yield case(attention, q=grouped, k=k, v=v, bias=draw(1, 2 * G, T, S), static={"mask": mask})
    random = {"dropout_rate": 0.3, "key": draw.key()}
    yield case(attention, q=q, k=k, v=v, bias=draw(B, 1, 1, S), static=random)
    yield case(attention, q=draw(B, G, 1, K), k=k, v=v, bias=None, static={"causal": True})  # as in decoding


@cases_of(cross_entropy)
def _(draw):
    B, T, V = draw.sizes(3, least=2)
    targets = draw.ids(V, B, T)
    yield case(cross_entropy, logits=2 * draw(B, T, V), targets=targets)
    ignored = np.where(np.arange(T) == 0, -100, targets)
    yield case(cross_entropy, logits=2 * draw(B, T, V), targets=ignored, static={"label_smoothing": 0.2})


@cases_of(linear_cross_entropy)
def _(draw):
    B, T, V, D = draw.sizes(4, least=2)
    p, targets = {"weight": draw(V, D)}, draw.ids(V, B, T)
    yield case(linear_cross_entropy, p=p, x=draw(B, T, D), targets=targets)
    ignored = np.where(np.arange(T) == 0, -100, targets)
    yield case(linear_cross_entropy, p=p, x=draw(B, T, D), targets=ignored, static={"label_smoothing": 0.2})


@cases_of(sinusoidal_positions)
def _(draw):
    B, T, D = draw.sizes(3)
    yield case(sinusoidal_positions, x=draw(B, T, D))
    yield case(sinusoidal_positions, x=draw(B, T, D), static={"positions": draw.ids(50, B, T)})


@cases_of(learned_positions)
def _(draw):
    B, T, D = draw.sizes(3)
    yield case(learned_positions, p={"weight": draw(T + 2, D)}, x=draw(B, T, D))
    yield case(
        learned_positions, p={"weight": draw(T + 2, D)}, x=draw(B, T, D), static={"positions": draw.ids(T, B, T)}
    )


@cases_of(rotary)
def _(draw):
    B, H, T, half = draw.sizes(4)
    x, turns = draw(B, H, T, 2 * half), np.abs(draw(half))
    yield case(rotary, x=x, static={"frequencies": turns})
    yield case(rotary, x=x, static={"frequencies": turns, "positions": draw.ids(50, B, T), "pairing": "neighbours"})
