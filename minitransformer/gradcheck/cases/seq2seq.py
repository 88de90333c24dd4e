"""Attention before it had heads, and the sequence-to-sequence models that are made of it and of recurrence."""

from ...blocks import attentive, concat_scores, general_scores, luong_attention
from ...models import BahdanauSeq2Seq, LuongSeq2Seq, Seq2Seq
from ...ops import context, dot_scores, gru, lstm, rnn
from .case import case, cases_of


@cases_of(context)
def _(draw):
    B, T, S, E = draw.sizes(4, least=2)
    every = (B * T * S, 3)  # each element: a row that feels but one element of dy is seen, too
    yield case(context, s=draw(B, T, S), v=draw(B, S, E), effort=every)
    mask = draw.tokens(B, S)
    mask[-1:] = False
    yield case(context, s=draw(B, T, S), v=draw(B, S, E), effort=every, static={"mask": mask})


def look(draw, H, E, A):
    """The parameters with which a state of H numbers looks at a memory of width E."""
    return {"query": draw.linear(A, H), "key": {"weight": draw(A, E)}, "score": {"weight": draw(A)}}


@cases_of(attentive)
def _(draw):
    for cell, gates, given in ((gru, 3, {"h": None}), (lstm, 4, {"h": None, "c": 1}), (rnn, 1, {"h": 1})):
        B, T, S, D, E, H, A = draw.sizes(7, least=2)
        p = {"cross_attention": look(draw, H, E, A), "cell": draw.cell(gates, D + E, H)}
        states = {name: None if state is None else draw(B, H) for name, state in given.items()}
        static = {"mask": draw.tokens(B, S)} if cell is not gru else {}
        args = {"p": p, "x": draw(B, T, D), "memory": draw(B, S, E), **states}
        yield case(attentive(cell), **args, effort=(2, 1), static=static)


@cases_of(luong_attention)
def _(draw):
    B, T, S, D, F, A = draw.sizes(6, least=2)
    E = D + 2
    for scores, p, width in (
        (dot_scores, {}, D),
        (general_scores, {"scores": {"key": {"weight": draw(D, E)}}}, E),
        (concat_scores, {"scores": {"pair": draw.linear(A, D + E), "score": {"weight": draw(A)}}}, E),
    ):
        p, static = p | {"out": draw.linear(F, width + D)}, {"scores": scores, "mask": draw.tokens(B, S)}
        yield case(luong_attention, p=p, x=draw(B, T, D), memory=draw(B, S, width), effort=(4, 2), static=static)


def seq2seq_case(draw, kind, **more):
    """A case of a model whose sources are padded, on either side."""
    V, W = draw.sizes(2, least=4)
    B, S, T, D = draw.sizes(4, least=2)
    model = kind(vocab_size=V, target_vocab_size=W, d_model=D, dropout_rate=0.2, **more)
    p = draw.perturbed(model.init(draw.rng, float))
    static = {"source_mask": draw.tokens(B, S)[:, None, None], "key": draw.key()}
    return case(model, p=p, source=draw.ids(V, B, S), target=draw.ids(W, B, T), effort=(1, 1), static=static)


@cases_of(Seq2Seq)
def _(draw):
    yield seq2seq_case(draw, Seq2Seq, cell="lstm", n_layers=2)
    yield seq2seq_case(draw, Seq2Seq, cell="gru", n_layers=1, summary="mean")


@cases_of(LuongSeq2Seq)
def _(draw):
    yield seq2seq_case(draw, LuongSeq2Seq, cell="lstm", n_layers=1, score="dot")
    yield seq2seq_case(draw, LuongSeq2Seq, cell="rnn", n_layers=1, score="concat")


@cases_of(BahdanauSeq2Seq)
def _(draw):
    yield seq2seq_case(draw, BahdanauSeq2Seq, cell="lstm")
