"""Recurrence, and the scores of attention before it had heads: operations and blocks."""

import numpy as np

from ...blocks import bahdanau_scores, bidirectional, concat_scores, general_scores, recurrence, weight_dropped
from ...ops import additive_scores, dot_scores, gru, lstm, relu, rnn
from .case import case, cases_of


@cases_of(dot_scores)
def _(draw):
    B, T, S, A = draw.sizes(4)
    yield case(dot_scores, q=draw(B, T, A), k=draw(B, S, A))


@cases_of(additive_scores)
def _(draw):
    B, T, S, A = draw.sizes(4)
    yield case(additive_scores, p={"weight": draw(A)}, q=draw(B, T, A), k=draw(B, S, A))


def cell_cases(draw, cell, gates, states):
    """Cases of a recurrent operation whose states have these names."""
    B, T, D, H = draw.sizes(4, least=2)  # in a single step from a state of zeros, U feels nothing
    p, x, none = draw.cell(gates, D, H), draw(B, T, D), dict.fromkeys(states)
    yield case(cell, p=p, x=x, **none)
    given = {name: draw(B, H) for name in states}
    yield case(cell, p=p, x=x, **given, static={"mask": draw.tokens(B, T)})
    p["hidden"] = {"weight": p["hidden"]["weight"]}
    given = none | {states[-1]: draw(B, H)}
    yield case(cell, p=p, x=x, **given, static={"mask": draw.tokens(B, T), "reverse": True})


@cases_of(rnn)
def _(draw):
    yield from cell_cases(draw, rnn, 1, "h")
    B, T, D, H = draw.sizes(4, least=2)
    p, x = draw.cell(1, D, H), draw(B, T, D)
    for part in p.values():
        part["weight"] = 0.1 * part["weight"]
    x[..., 0] = 4 * np.where(draw.rng.random((B, T)) < 0.5, -1, 1)  # this one number decides on which side of the
    p["input"]["weight"][:, 0] = np.where(np.arange(H) % 2, -1, 1)  # kink a unit is, and keeps it far from it
    p["input"]["bias"], p["hidden"]["bias"] = 0.3 * draw(H), 0.3 * draw(H)
    yield case(rnn, p=p, x=x, h=draw(B, H), static={"activation": relu, "mask": draw.tokens(B, T)})


@cases_of(gru)
def _(draw):
    yield from cell_cases(draw, gru, 3, "h")


@cases_of(lstm)
def _(draw):
    yield from cell_cases(draw, lstm, 4, "hc")


@cases_of(bahdanau_scores)
def _(draw):
    B, T, S, D, E, A = draw.sizes(6)
    p = {"query": draw.linear(A, D), "key": {"weight": draw(A, E)}, "score": {"weight": draw(A)}}
    yield case(bahdanau_scores, p=p, q=draw(B, T, D), k=draw(B, S, E), effort=(4, 2))


@cases_of(general_scores)
def _(draw):
    B, T, S, D, E = draw.sizes(5)
    yield case(general_scores, p={"key": {"weight": draw(D, E)}}, q=draw(B, T, D), k=draw(B, S, E))


@cases_of(concat_scores)
def _(draw):
    B, T, S, D, E, A = draw.sizes(6)
    q, k, score = draw(B, T, D), draw(B, S, E), {"weight": draw(A)}
    yield case(concat_scores, p={"pair": draw.linear(A, D + E), "score": score}, q=q, k=k, effort=(4, 2))
    yield case(concat_scores, p={"pair": {"weight": draw(A, D + E)}, "score": score}, q=q, k=k, effort=(4, 2))


@cases_of(bidirectional)
def _(draw):
    B, T, D, H = draw.sizes(4, least=2)
    p, x = {way: draw.cell(3, D, H) for way in ("forward", "backward")}, draw(B, T, D)
    yield case(bidirectional(gru), p=p, x=x, h=draw(2, B, H), effort=(4, 2), static={"mask": draw.tokens(B, T)})
    p = {way: draw.cell(4, D, H) for way in ("forward", "backward")}
    yield case(bidirectional(lstm), p=p, x=x, h=None, c=draw(2, B, H), effort=(4, 2))
    layer, static = bidirectional(weight_dropped(lstm)), {"weight_rate": 0.3, "key": draw.key()}
    yield case(layer, p=p, x=x, h=None, c=None, effort=(2, 1), static=static)


@cases_of(recurrence)
def _(draw):
    B, T, D, H = draw.sizes(4, least=2)
    x, random = draw(B, T, D), {"dropout_rate": 0.3, "key": draw.key()}
    p = [draw.cell(4, width, H) for width in (D, H, H)]
    yield case(recurrence(lstm), p=p, x=x, h=None, c=draw(3, B, H), effort=(2, 2), static=random)
    p = [{way: draw.cell(1, width, H) for way in ("forward", "backward")} for width in (D, 2 * H)]
    static = {"mask": draw.tokens(B, T), **random}
    yield case(recurrence(bidirectional(rnn)), p=p, x=x, h=draw(2, 2, B, H), effort=(2, 2), static=static)
    p = [{way: draw.cell(3, width, H) for way in ("forward", "backward")} for width in (D, 2 * H)]
    layer, static = bidirectional(weight_dropped(gru)), {"weight_rate": 0.3, **random}
    yield case(recurrence(layer), p=p, x=x, h=draw(2, 2, B, H), effort=(2, 2), static=static)
