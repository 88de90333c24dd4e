"""The twins of attention before it had heads, and of the models with it: the modules of torch.nn, and their cells."""

import torch
import torch.nn.functional as F
from torch import nn

from minitransformer import blocks, models, ops
from minitransformer.convention import fold
from minitransformer.models.luong import SCORES

from .twins import call, twin, twin_of

CELLS = {ops.rnn: nn.RNNCell, ops.gru: nn.GRUCell, ops.lstm: nn.LSTMCell}


@twin_of(ops.context)
def _(s, v, *, mask=None):
    """Where a source has no token, a softmax would be 0/0."""
    mask = torch.ones(v.shape[:2], dtype=torch.bool) if mask is None else mask
    some = mask.any(1)[:, None, None]
    s = torch.where(some, s.masked_fill(~mask[:, None], -torch.inf), 0.0)
    return torch.where(some, F.softmax(s, -1), 0.0) @ v


@twin_of(blocks.attentive)
def _(thing):
    """Step by step, over a cell of torch.nn."""

    def run(p, x, memory, *states, mask=None):
        look, cell = p["cross_attention"], p["cell"]
        sides = {"input": "ih", "hidden": "hh"}
        named = {f"{kind}_{theirs}": leaf for ours, theirs in sides.items() for kind, leaf in cell[ours].items()}
        H = cell["hidden"]["weight"].shape[1]
        module = CELLS[thing.cell](cell["input"]["weight"].shape[1], H)
        states = [x.new_zeros(len(x), H) if state is None else state for state in states]
        y, contexts = [], []
        for x_t in x.unbind(1):
            s = twin(blocks.bahdanau_scores)(look, states[0][:, None], memory)
            contexts.append(twin(ops.context)(s, memory, mask=mask)[:, 0])
            seen = torch.cat([x_t, contexts[-1]], -1)
            state = call(module, named, seen, tuple(states) if len(states) == 2 else states[0])
            states = list(state) if len(states) == 2 else [state]
            y.append(states[0])
        return torch.stack(y, 1), torch.stack(contexts, 1), *states

    return run


@twin_of(blocks.luong_attention)
def _(p, x, memory, *, scores, mask=None):
    s = twin(scores)(*([p["scores"]] if "scores" in p else []), x, memory)
    return torch.tanh(twin(ops.linear)(p["out"], torch.cat([twin(ops.context)(s, memory, mask=mask), x], -1)))


def embedded(model, p, ids, key):
    return twin(ops.dropout)(F.embedding(ids, p["weight"]), rate=model.dropout_rate, key=key)


def read_from_the_end(model, p, source, source_mask, key):
    """memory, last states, and where tokens are"""
    x, layers = embedded(model, p["source"], source, fold(key, 0)), twin(model.layers)
    mask = torch.ones_like(source, dtype=torch.bool) if source_mask is None else source_mask[:, 0, 0].expand_as(source)
    if key is None:
        memory, *last = layers(p["encoder"], x.flip(1), mask=mask.flip(1))
        memory = memory.flip(1)
    else:  # what is dropped hangs on the place
        how = {"dropout_rate": model.dropout_rate, "key": fold(key, 1)}
        memory, *last = layers(p["encoder"], x, mask=mask, reverse=True, **how)
    return memory, last, mask


def written(model, p, target, states, key):
    x, how = embedded(model, p["target"], target, fold(key, 2)), {}
    if key is not None:
        how = {"dropout_rate": model.dropout_rate, "key": fold(key, 3)}
    return twin(model.layers)(p["decoder"], x, *states, **how)[0]


def head(model, p, h, key):
    return F.linear(twin(ops.dropout)(h, rate=model.dropout_rate, key=key), p["weight"], p["bias"])


@twin_of(models.Seq2Seq)
def _(model):
    def forward(p, source, target, *, source_mask=None, key=None):
        memory, states, mask = read_from_the_end(model, p, source, source_mask, key)
        if model.summary == "mean":
            mean = (memory * mask[..., None]).sum(1) / mask.sum(1, keepdim=True)
            states = [mean.expand(len(p["decoder"]), -1, -1).contiguous() for _ in states]
        return head(model, p["head"], written(model, p, target, states, key), fold(key, 4))

    return forward


@twin_of(models.LuongSeq2Seq)
def _(model):
    def forward(p, source, target, *, source_mask=None, key=None):
        memory, states, mask = read_from_the_end(model, p, source, source_mask, key)
        x = written(model, p, target, states, key)
        h = twin(blocks.luong_attention)(p["cross_attention"], x, memory, scores=SCORES[model.score], mask=mask)
        return head(model, p["head"], h, fold(key, 4))

    return forward


@twin_of(models.BahdanauSeq2Seq)
def _(model):
    def forward(p, source, target, *, source_mask=None, key=None):
        x, mask = embedded(model, p["source"], source, fold(key, 0)), None
        if source_mask is not None:
            mask = source_mask[:, 0, 0].expand_as(source)
        how = {} if key is None else {"dropout_rate": model.dropout_rate, "key": fold(key, 1)}
        memory, last, *others = twin(model.reader)(p["encoder"], x, mask=mask, **how)
        h = torch.tanh(twin(ops.linear)(p["begin"], last[-1, 1]))
        x = embedded(model, p["target"], target, fold(key, 2))
        y, z, *_ = twin(model.writer)(p["decoder"], x, memory, h, *[None] * len(others), mask=mask)
        h = torch.tanh(twin(ops.linear)(p["readout"], torch.cat([y, z, x], -1)))
        return head(model, p["head"], h, fold(key, 3))

    return forward
