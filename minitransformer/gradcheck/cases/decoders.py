"""Models that go on with a text, and their losses."""

import numpy as np

from ...models import GPT2, LLaMA
from ...training.losses import fused_next_token_loss, next_token_loss
from .blocks import KEY_BIAS
from .case import case, cases_of


def tiny_gpt2(draw, **more):
    V, C = draw.sizes(2, least=4)
    model = GPT2(vocab_size=V, context_length=C, n_layers=2, n_heads=2, d_model=6, dropout_rate=0.2, **more)
    return model, draw.perturbed(model.init(draw.rng, np.float64)), tuple(f"p.layers.{i}.{KEY_BIAS}" for i in range(2))


@cases_of(GPT2)
def _(draw):
    model, p, zero = tiny_gpt2(draw)
    T = model.context_length - 1
    ids = draw.ids(model.vocab_size, 3, T)
    yield case(model, p=p, ids=ids, zero=zero, effort=(2, 2), static={"key": draw.key()})
    model, p, zero = tiny_gpt2(draw, recompute=True)
    T = model.context_length - 1
    mask = draw.padding(3, T)  # rows padded on the left by 0, 1 and 2
    static = {"mask": mask, "positions": np.maximum(mask[:, 0, 0].cumsum(1) - 1, 0), "key": draw.key()}
    yield case(model, p=p, ids=draw.ids(model.vocab_size, 3, T), zero=zero, effort=(1, 1), static=static)


def tiny_llama(draw, **more):
    V, C, F = draw.sizes(3, least=4)
    sizes = {"n_layers": 2, "n_heads": 4, "n_kv_heads": 2, "d_model": 12, "d_head": 4, "d_ff": F}
    model = LLaMA(vocab_size=V, context_length=C, **sizes, **more)
    return model, draw.perturbed(model.init(draw.rng, np.float64))


@cases_of(LLaMA)
def _(draw):
    model, p = tiny_llama(draw)
    yield case(model, p=p, ids=draw.ids(model.vocab_size, 3, model.context_length - 1), effort=(2, 2))
    scaling = {"kind": "llama3", "factor": 8.0, "low": 1.0, "high": 4.0, "context": 16}
    more = {"tied": True, "recompute": True, "pairing": "neighbours", "rotary_scaling": scaling}
    model, p = tiny_llama(draw, **more)
    T = model.context_length - 1
    mask = draw.padding(3, T)
    static = {"mask": mask, "positions": np.maximum(mask[:, 0, 0].cumsum(1) - 1, 0)}
    yield case(model, p=p, ids=draw.ids(model.vocab_size, 3, T), effort=(1, 1), static=static)


@cases_of(next_token_loss)
def _(draw):
    model, p, zero = tiny_gpt2(draw)
    T = model.context_length
    ids, targets = draw.ids(model.vocab_size, 2, T), draw.ids(model.vocab_size, 2, T)
    targets[0, :2] = -100
    loss = next_token_loss(model, label_smoothing=0.1)
    yield case(loss, p=p, ids=ids, targets=targets, zero=zero, effort=(1, 2), static={"key": draw.key()})


@cases_of(fused_next_token_loss)
def _(draw):
    model, p, zero = tiny_gpt2(draw)
    ids, targets = draw.ids(model.vocab_size, 2, 4), draw.ids(model.vocab_size, 2, 4)
    targets[0, :2] = -100
    loss = fused_next_token_loss(model, label_smoothing=0.1)
    yield case(loss, p=p, ids=ids, targets=targets, zero=zero, effort=(1, 2), static={"key": draw.key()})
    model, p = tiny_llama(draw)
    ids, targets = draw.ids(model.vocab_size, 2, 4), draw.ids(model.vocab_size, 2, 4)
    yield case(fused_next_token_loss(model), p=p, ids=ids, targets=targets, effort=(1, 2))
