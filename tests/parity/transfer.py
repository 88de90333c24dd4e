"""The twins of what was learnt from plain text before there were transformers: torch.nn.functional and torch.nn.LSTM.

PyTorch has neither locked dropout nor dropped recurrent weights: its own LSTM is handed the weights that we dropped.
"""

import torch
import torch.nn.functional as F

from minitransformer import blocks, models, ops
from minitransformer.convention import fold
from minitransformer.ops.dropout import draw_kept
from minitransformer.training.language_model_losses import both_ways_loss, carried_next_token_loss

from .twins import twin, twin_of


@twin_of(ops.conv1d)
def _(p, x, *, padding=(0, 0), mask=None):
    x = x if mask is None else x.masked_fill(~mask[..., None], 0)
    return F.conv1d(F.pad(x.mT, padding), p["weight"], p.get("bias")).mT


@twin_of(ops.masked_max)
def _(x, *, mask):
    """A word without a character has no largest value anywhere: PyTorch would give -∞."""
    highest = x.masked_fill(~mask[..., None], -torch.inf).amax(1)
    return torch.where(mask.any(1)[:, None], highest, 0)


@twin_of(ops.locked_dropout)
def _(x, *, axis, rate, key=None):
    """The mask that we drew."""
    shape = [1 if i == axis % x.ndim else n for i, n in enumerate(x.shape)]
    kept = draw_kept(tuple(shape), rate, key)
    return x if kept is None else x * torch.tensor(kept) / (1 - rate)


@twin_of(blocks.highway)
def _(p, x, *, activation, key=None):
    """As the paper writes it first: with a carry gate of its own, 1 - t."""
    t, h = torch.sigmoid(F.linear(x, **p["gate"])), twin(activation)(F.linear(x, **p["transform"]))
    carry = 1 - t
    return h * t + x * carry


@twin_of(blocks.character_cnn)
def _(p, ids, *, mask, activation):
    """Word by word, each as long as it is."""
    words = [word(p, spelt[there], activation) for spelt, there in zip(ids.flatten(0, 1), mask.flatten(0, 1))]
    return torch.stack(words).unflatten(0, ids.shape[:2])


def word(p, spelt, activation):
    found = []
    for p_filter in p["filters"]:
        c = F.embedding(spelt, p["character"]["weight"]).T  # (D,W)
        if not len(spelt):
            found.append(c.new_zeros(len(p_filter["weight"])))
            continue
        h = F.conv1d(F.pad(c, (0, p_filter["weight"].shape[-1] - 1)), p_filter["weight"], p_filter["bias"])
        found.append(F.adaptive_max_pool1d(h, 1)[:, 0])
    h = twin(activation)(torch.cat(found))
    for p_layer in p["highway"]:
        h = twin(blocks.highway)(p_layer, h, activation=activation)
    return F.linear(h, **p["out"])


@twin_of(blocks.layer_mix)
def _(p, h):
    return p["scale"] * torch.einsum("l,l...->...", p["weight"].softmax(0), h)


@twin_of(blocks.weight_dropped)
def _(thing):
    def run(p, x, *states, weight_rate, key=None, **static):
        return twin(thing.cell)(dropped(p, weight_rate, key), x, *states, **static)

    return run


def dropped(p, rate, key):
    return {**p, "hidden": {**p["hidden"], "weight": twin(ops.dropout)(p["hidden"]["weight"], rate=rate, key=key)}}


def awd_lstm_hidden(model, p, ids, states, mask, key):
    """h of the last layer, last states"""
    states = states or (None,) * (2 * model.n_layers)
    table = twin(ops.locked_dropout)(p["token"]["weight"], axis=1, rate=model.word_rate, key=fold(key, 0))
    h = twin(ops.locked_dropout)(F.embedding(ids, table), axis=1, rate=model.input_rate, key=fold(key, 1))
    last, key = [], fold(key, 2)
    for i, layer in enumerate(p["layers"]):
        if i:
            h = twin(ops.locked_dropout)(h, axis=1, rate=model.hidden_rate, key=fold(key, 2 * i))
        p_layer = dropped(layer, model.weight_rate, fold(key, 2 * i + 1))
        h, *state = twin(ops.lstm)(p_layer, h, *states[2 * i : 2 * i + 2], mask=mask)
        last += state
    return h, last


@twin_of(models.AWDLSTM)
def _(model):
    def forward(p, ids, *states, mask=None, key=None):
        h, last = awd_lstm_hidden(model, p, ids, states, mask, key)
        h = twin(ops.locked_dropout)(h, axis=1, rate=model.output_rate, key=fold(key, 3))
        return h @ p["token"]["weight"].T, *last

    return forward


@twin_of(models.ULMFiT)
def _(model):
    def forward(p, ids, *, types=None, mask=None, key=None):
        there = torch.ones(ids.shape, dtype=bool) if mask is None else mask[:, 0, 0]
        h, last = awd_lstm_hidden(model.body, p["body"], ids, (), there, fold(key, 0))
        pooled = [last[-2], twin(ops.masked_max)(h, mask=there), twin(ops.masked_mean)(h, mask=there)]
        h = twin(ops.dropout)(torch.cat(pooled, 1), rate=model.pooled_rate, key=fold(key, 1))
        h = F.layer_norm(F.linear(h, **p["hidden"]), (model.d_hidden,), **p["norm"])
        h = twin(ops.dropout)(twin(model.activation)(h), rate=model.hidden_rate, key=fold(key, 2))
        return F.linear(h, **p["classifier"])

    return forward


@twin_of(models.ELMo)
def _(model):
    def forward(p, characters, *, mask=None, key=None):
        mask = torch.ones(characters.shape, dtype=bool) if mask is None else mask
        x = twin(blocks.character_cnn)(p["token"], characters, mask=mask, activation=model.activation)
        logits = []
        for i, way in enumerate(("forward", "backward")):
            h, there = x, mask.any(-1)
            for j, layer in enumerate(p[way]):
                into = twin(ops.dropout)(h, rate=model.dropout_rate, key=fold(fold(key, i), j))
                said = twin(ops.lstm)(layer, into, None, None, mask=there, reverse=bool(i))[0]
                h = said + h if j else said
            h = twin(ops.dropout)(h, rate=model.dropout_rate, key=fold(key, 2 + i))
            logits.append(F.linear(h, **p["head"]))
        return tuple(logits)

    return forward


@twin_of(carried_next_token_loss)
def _(loss):
    def value(p, ids, targets, *states, key=None):
        logits, *last = twin(loss.model)(p, ids, *states, key=key)
        return twin(ops.cross_entropy)(logits, targets), *last

    return value


@twin_of(both_ways_loss)
def _(loss):
    def value(p, characters, mask, after, before, *, key=None):
        logits = twin(loss.model)(p, characters, mask=mask, key=key)
        return tuple(twin(ops.cross_entropy)(*way) / 2 for way in zip(logits, (after, before), strict=True))

    return value
