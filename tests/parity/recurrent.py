"""The twins of recurrent operations: the modules of torch.nn, whose packed sequences have no padding to step over.

A step without a token leaves the state as it was. So wherever in a sequence the tokens stand, it is the sequence of the
tokens alone that PyTorch is handed, and what it says of them is put back to their places.
"""

import torch
from torch import nn
from torch.nn.utils.rnn import pack_padded_sequence, pad_packed_sequence

from minitransformer import ops

from .twins import call, twin_of


def module_names(p, suffix="l0"):
    """Our cell's parameters under the names of a layer of the modules, which have both biases or none."""
    named = {}
    for ours, theirs in (("input", "ih"), ("hidden", "hh")):
        weight = p[ours]["weight"]
        named[f"weight_{theirs}_{suffix}"] = weight
        named[f"bias_{theirs}_{suffix}"] = p[ours].get("bias", weight.new_zeros(len(weight)))
    return named


def tokens_first(mask):
    """(B, T): the order of the positions of each sequence in which those with a token come first."""
    return (~mask).to(int).argsort(stable=True, dim=1)


def run_packed(module, named, x, states, mask):
    """y (B, T, H) and the module's last states; states as the module has them."""
    order = tokens_first(mask)[..., None]  # (B,T,1)
    packed = pack_padded_sequence(
        torch.take_along_dim(x, order, 1), mask.sum(1), batch_first=True, enforce_sorted=False
    )
    y, last = call(module, named, packed, states)
    y, _ = pad_packed_sequence(y, batch_first=True, total_length=x.shape[1])
    return torch.zeros_like(y).scatter(1, order.expand_as(y), y), last


def cell_twin(kind, n_states):
    def cell(p, x, *states, mask=None, reverse=False, activation=None):
        H = p["hidden"]["weight"].shape[1]
        zeros = x.new_zeros(1, len(x), H)
        states = tuple(zeros if state is None else state[None] for state in states)
        mask = torch.ones(x.shape[:2], dtype=bool) if mask is None else mask
        if reverse:
            x, mask = x.flip(1), mask.flip(1)
        settings = {} if activation is None else {"nonlinearity": activation.name}
        module = kind(x.shape[-1], H, batch_first=True, **settings)
        y, last = run_packed(module, module_names(p), x, states if n_states == 2 else states[0], mask)
        last = last if n_states == 2 else (last,)
        return y.flip(1) if reverse else y, *(state[0] for state in last)

    return cell


twin_of(ops.rnn)(cell_twin(nn.RNN, 1))
twin_of(ops.gru)(cell_twin(nn.GRU, 1))
twin_of(ops.lstm)(cell_twin(nn.LSTM, 2))
