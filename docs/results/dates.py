"""Where a recurrent translator looks."""

import numpy as np

from experiments.results import read
from minitransformer.plots.attention import Attention, Text, draw_attention


def pages():
    yield "dates_bahdanau.svg", dates_bahdanau()


def dates_bahdanau():
    """Where a recurrent decoder looks while it writes a date, as SVG."""
    found = read("dates_bahdanau")["cross_attention"]
    weights = np.array(found["weights"])[None, None] / 1000
    sides = Text("target, as it is written", tuple(found["target"])), Text("source", tuple(found["source"]))
    return draw_attention([Attention("decoder cross-attention", *sides, weights, [1], [1])], found["title"], "svg")
