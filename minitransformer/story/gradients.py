"""Gradients along time: how much of what is felt at the last step arrives k steps before it.

A state of each kind of cell is run over chance, and what the loss feels of the last state is a random direction. Its
length is followed backwards from step to step. Where every step multiplies by less than one, it vanishes; by more, it
explodes. In an LSTM and a GRU, that factor is a gate, which may stand open: then it hardly changes. To attention, one
position is as near as another.

All of it is at the beginning, before anything is learnt: parameters are drawn as named, and averaged over a batch.
"""

import numpy as np

from ..blocks import multi_head_attention
from ..convention import fold, generator
from ..models.recurrent import affine, cell
from ..ops import gru, lstm, rnn
from .learning import say
from .pictures import COLOURS, figure

WIDTH, STEPS, BATCH, HEADS = 64, 100, 16, 4
SEED = 0
OPEN = 5.0  # the bias of a gate that keeps what is there: σ(5) = 0.993


def plain(scale):
    """A plain RNN whose recurrent weights are normal with standard deviation scale/√H."""

    def make(rng):
        p = cell(rng, "rnn", WIDTH, WIDTH, np.float64)
        p["hidden"]["weight"] = rng.normal(0, scale / WIDTH**0.5, (WIDTH, WIDTH))
        return rnn, p

    return make


def gated(thing, gate=None, bias=0.0):
    """An LSTM or a GRU; the bias of its gate of this number."""

    def make(rng):
        p = cell(rng, thing.name, WIDTH, WIDTH, np.float64)
        if gate is not None:
            p["input"]["bias"][gate * WIDTH : (gate + 1) * WIDTH] = bias
        return thing, p

    return make


CELLS = {
    "RNN, small recurrent weights": plain(0.5),
    "RNN, large recurrent weights": plain(4.0),
    "GRU": gated(gru),
    "GRU, its gate open": gated(gru, 1, OPEN),  # r, z, n
    "LSTM": gated(lstm),
    "LSTM, its gate open": gated(lstm, 1, OPEN),  # i, f, n, o
}


def through_time(thing, p, x, rng):
    """The lengths of what is felt of the state k = 0, 1, ... steps before the last, (STEPS), a mean over the batch"""
    states, saved = [None] * (2 if thing is lstm else 1), []
    for t in range(x.shape[1]):
        (_, *states), saved_step = thing(p, x[:, t : t + 1], *states)
        saved.append(saved_step)
    dstates = [rng.normal(size=state.shape) for state in states]
    felt = [length(dstates)]
    for saved_step in reversed(saved[1:]):
        _, *dstates, _ = thing.backward(None, *dstates, saved_step)
        felt.append(length(dstates))
    return np.array(felt)


def length(parts):
    """The length of (h, c) together, a mean over the batch."""
    return np.sqrt(sum((part * part).sum(-1) for part in parts)).mean()


def through_attention(x, rng):
    """The same of self-attention: what the last position feels of each before it."""
    p = {name: affine(rng, WIDTH, WIDTH, np.float64) for name in ("q", "k", "v", "out")}
    y, saved = multi_head_attention(p, x, x, n_heads=HEADS, causal=True)
    dy = np.zeros_like(y)
    dy[:, -1] = rng.normal(size=dy[:, -1].shape)
    dx, dmemory, *_ = multi_head_attention.backward(dy, saved)
    return np.sqrt(((dx + dmemory) ** 2).sum(-1)).mean(0)[::-1]


def measure(seed=SEED, tell=say):
    root, curves = np.random.SeedSequence(seed), {}
    x = generator(fold(root, 0)).normal(size=(BATCH, STEPS, WIDTH))
    for i, (name, make) in enumerate(CELLS.items()):
        rng = generator(fold(root, 1 + i))
        thing, p = make(rng)
        curves[name] = through_time(thing, p, x, rng)
    curves["self-attention"] = through_attention(x, generator(fold(root, 1 + len(CELLS))))
    found = {name: rounded(curve / curve[0 if name in CELLS else 1]) for name, curve in curves.items()}
    for name, curve in found.items():
        tell(f"{name:30} after 10 steps {curve[10]:8.1e}   after {STEPS - 1} {curve[-1]:8.1e}")
    return {"settings": {"width": WIDTH, "steps": STEPS, "batch": BATCH, "seed": seed}, "curves": found}


def rounded(curve):
    """Five digits of each number."""
    return [float(f"{value:.4e}") for value in curve]


def draw(found):
    made, (ax,) = figure(7.4, 3.8)
    colours = (COLOURS[1], COLOURS[0], COLOURS[5], COLOURS[3], "#8fd19e", COLOURS[2], COLOURS[-1])
    for (name, curve), colour in zip(found["curves"].items(), colours, strict=True):
        ax.plot(np.arange(len(curve)), curve, color=colour, label=name, lw=1.6)
    ax.set(yscale="log", ylim=(1e-12, 1e12), xlabel="steps before the last", ylabel="length of what is felt there")
    ax.legend(frameon=False, loc="center left", bbox_to_anchor=(1, 0.5))
    return made


def tables(found):
    """One. A row a kind: how much is felt so many steps back."""
    shown = (1, 10, 30, found["settings"]["steps"] - 1)
    rows = [["", *(f"{k} step{'s' * (k != 1)} back" for k in shown)], ["---", *["---:"] * len(shown)]]
    return [rows + [[name, *(f"{curve[k]:.1e}" for k in shown)] for name, curve in found["curves"].items()]]
