"""The twins of recurrent operations and blocks: the modules of torch.nn over packed sequences, which have no padding.

A step without a token leaves the state as it was. So wherever in a sequence the tokens stand, it is the sequence of the
tokens alone that PyTorch is handed, and what it says of them is put back to their places.
"""

import torch
from torch import nn
from torch.nn.utils.rnn import pack_padded_sequence, pad_packed_sequence

from minitransformer import blocks, ops
from minitransformer.blocks.bidirectional import draws
from minitransformer.convention import fold

from .twins import call, twin, twin_of

KINDS = {ops.rnn: nn.RNN, ops.gru: nn.GRU, ops.lstm: nn.LSTM}


def module_names(layers):
    """Our parameters under the names of the modules, which have both biases or none."""
    named = {}
    for i, directions in enumerate(layers):
        for p, suffix in zip(directions, (f"l{i}", f"l{i}_reverse")):
            for ours, theirs in (("input", "ih"), ("hidden", "hh")):
                weight = p[ours]["weight"]
                named[f"weight_{theirs}_{suffix}"] = weight
                named[f"bias_{theirs}_{suffix}"] = p[ours].get("bias", weight.new_zeros(len(weight)))
    return named


def run_module(cell, layers, x, *states, mask=None, activation=None):
    """layers [[the parameters of each direction], ...]; states as the modules have them, or None   ->   y, *states"""
    L, directions, H = len(layers), len(layers[0]), layers[0][0]["hidden"]["weight"].shape[1]
    settings = {} if activation is None else {"nonlinearity": activation.name}
    module = KINDS[cell](x.shape[-1], H, L, batch_first=True, bidirectional=directions == 2, **settings)
    zeros = x.new_zeros(L * directions, len(x), H)
    states = tuple(zeros if state is None else state for state in states) or (zeros,) * (1 + (cell is ops.lstm))
    mask = torch.ones(x.shape[:2], dtype=bool) if mask is None else mask
    order = (~mask).to(int).argsort(stable=True, dim=1)[..., None]  # (B,T,1), the places with a token first
    packed = pack_padded_sequence(torch.take_along_dim(x, order, 1), mask.sum(1), True, enforce_sorted=False)
    y, last = call(module, module_names(layers), packed, states if len(states) == 2 else states[0])
    y, _ = pad_packed_sequence(y, batch_first=True, total_length=x.shape[1])
    return torch.zeros_like(y).scatter(1, order.expand_as(y), y), *(last if len(states) == 2 else (last,))


def cell_twin(cell):
    def run(p, x, *states, mask=None, reverse=False, **settings):
        if reverse:
            x, mask = x.flip(1), None if mask is None else mask.flip(1)
        states = (None if state is None else state[None] for state in states)
        y, *last = run_module(cell, [[p]], x, *states, mask=mask, **settings)
        return y.flip(1) if reverse else y, *(state[0] for state in last)

    return run


for cell in KINDS:
    twin_of(cell)(cell_twin(cell))


@twin_of(blocks.bidirectional)
def _(thing):
    """With a key, of which each run has its own, it is run by run."""

    def run(p, x, *states, key=None, **settings):
        if key is None:
            return run_module(thing.cell, [[p["forward"], p["backward"]]], x, *states, **settings)
        found = []
        for i, way in enumerate(("forward", "backward")):
            given = (None if state is None else state[i] for state in states)
            more = settings | {"key": fold(key, i), "reverse": way == "backward"}
            found.append(twin(thing.cell)(p[way], x, *given, **more))
        ys, *lasts = zip(*found)
        return torch.cat(ys, -1), *map(torch.stack, lasts)

    return run


@twin_of(blocks.recurrence)
def _(thing):
    """With dropout, which PyTorch draws otherwise, it is layer by layer."""

    def run(p, x, *states, dropout_rate=0.0, key=None, **settings):
        if key is not None:
            last = []
            for i, p_layer in enumerate(p):
                x = twin(ops.dropout)(x, rate=dropout_rate, key=fold(key, i)) if i else x
                given = (None if state is None else state[i] for state in states)
                own = {"key": fold(fold(key, 0), i)} if draws(thing.layer) else {}
                x, *last_layer = twin(thing.layer)(p_layer, x, *given, **own, **settings)
                last.append(last_layer)
            return x, *map(torch.stack, zip(*last))
        if not isinstance(thing.layer, blocks.bidirectional):
            return run_module(thing.layer, [[layer] for layer in p], x, *states, **settings)
        layers = [[layer["forward"], layer["backward"]] for layer in p]
        states = (None if state is None else state.flatten(0, 1) for state in states)  # (L,2,B,H) -> (2L,B,H)
        y, *last = run_module(thing.layer.cell, layers, x, *states, **settings)
        return y, *(state.unflatten(0, (len(p), 2)) for state in last)

    return run
