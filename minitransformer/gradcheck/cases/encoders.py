"""BERT and its kind, their heads, and the loss of labels."""

import numpy as np

from ...models import (
    BERT,
    DistilBERT,
    MaskedLanguageModel,
    PreTraining,
    RoBERTa,
    SentenceEncoder,
    SpanFinder,
    TextClassifier,
    TokenClassifier,
)
from ...ops import relu
from ...training.losses import label_loss, masked_token_loss, pretraining_loss
from .blocks import KEY_BIAS
from .case import case, cases_of


def tiny_body(draw, kind, n_layers):
    """A BERT, or one of its kind; its ids and types, for texts of T tokens in a context of T + 1."""
    V, T, types = draw.sizes(3, least=3)
    sizes = {"n_layers": n_layers, "n_heads": 2, "d_model": 6, "d_ff": 5, "dropout_rate": 0.2}
    if kind is DistilBERT:
        return DistilBERT(V, T + 1, **sizes), draw.ids(V, 3, T), None
    if kind is RoBERTa:
        return RoBERTa(V, T + 4, 2, types, **sizes), draw.ids(V, 3, T), draw.ids(types, 3, T)
    return BERT(V, T + 1, types, **sizes), draw.ids(V, 3, T), draw.ids(types, 3, T)


def tiny_bert(draw, head, body=BERT, **more):
    """A body or a head over one, the arguments and settings of a case, and its zeros: padding behind the texts."""
    bare = head is body
    n_layers = 2 if bare else 1
    body, ids, types = tiny_body(draw, body, n_layers)
    model = body if bare else head(body, **more)
    static = {"types": types, "mask": draw.padding(*ids.shape)[..., ::-1], "key": draw.key()}
    args = {"p": draw.perturbed(model.init(draw.rng, np.float64)), "ids": ids}
    path = "p." if bare else "p.body."
    return model, args, static, tuple(f"{path}layers.{i}.{KEY_BIAS}" for i in range(n_layers))


def head_cases(draw, head, body=BERT, asked=None, **more):
    """asked: whether some places alone are asked, one of them twice"""
    model, args, static, zero = tiny_bert(draw, head, body, **more)
    if asked:
        static["places"] = draw.ids(args["ids"].size, 4)
    yield case(model, **args, zero=zero, effort=(1, 1), static=static)


@cases_of(BERT)
def _(draw):
    yield from head_cases(draw, BERT)


@cases_of(DistilBERT)
def _(draw):
    yield from head_cases(draw, DistilBERT, DistilBERT)


@cases_of(RoBERTa)
def _(draw):
    yield from head_cases(draw, RoBERTa, RoBERTa)


@cases_of(MaskedLanguageModel)
def _(draw):
    yield from head_cases(draw, MaskedLanguageModel)
    yield from head_cases(draw, MaskedLanguageModel, RoBERTa, asked=True)


@cases_of(PreTraining)
def _(draw):
    yield from head_cases(draw, PreTraining)
    yield from head_cases(draw, PreTraining, asked=True)


@cases_of(TextClassifier)
def _(draw):
    yield from head_cases(draw, TextClassifier, n_classes=3)
    yield from head_cases(draw, TextClassifier, DistilBERT, n_classes=4, activation=relu, dropout_rate=0.3)
    yield from head_cases(draw, TextClassifier, RoBERTa, n_classes=4, drops_first=True)


@cases_of(TokenClassifier)
def _(draw):
    yield from head_cases(draw, TokenClassifier, n_classes=3, dropout_rate=0.3)


@cases_of(SpanFinder)
def _(draw):
    yield from head_cases(draw, SpanFinder)
    yield from head_cases(draw, SpanFinder, DistilBERT, dropout_rate=0.3)


@cases_of(SentenceEncoder)
def _(draw):
    yield from head_cases(draw, SentenceEncoder)
    yield from head_cases(draw, SentenceEncoder, pooling="first")


@cases_of(label_loss)
def _(draw):
    model, args, static, zero = tiny_bert(draw, TokenClassifier, n_classes=3)
    targets = draw.ids(3, *args["ids"].shape)
    targets[:, -1] = -100
    batch = {"types": static["types"], "mask": static["mask"], "targets": targets}
    loss = label_loss(model, label_smoothing=0.1)
    yield case(loss, **args, **batch, zero=zero, effort=(1, 1), static={"key": static["key"]})


def masked_batch(draw, head):
    """A model under this head, what its loss takes but for origins, settings and zeros; of each row some are asked."""
    model, args, static, zero = tiny_bert(draw, head)
    targets = draw.ids(model.body.vocab_size, *args["ids"].shape)
    targets[:, ::2] = -100
    batch = args | {"types": static["types"], "mask": static["mask"], "targets": targets}
    return model, batch, {"key": static["key"]}, zero


@cases_of(masked_token_loss)
def _(draw):
    model, batch, static, zero = masked_batch(draw, MaskedLanguageModel)
    yield case(masked_token_loss(model, label_smoothing=0.1), **batch, zero=zero, effort=(1, 1), static=static)


@cases_of(pretraining_loss)
def _(draw):
    model, batch, static, zero = masked_batch(draw, PreTraining)
    batch |= {"origins": draw.ids(2, len(batch["ids"]))}
    yield case(pretraining_loss(model), **batch, zero=zero, effort=(1, 1), static=static)
