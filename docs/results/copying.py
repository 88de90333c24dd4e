"""Copying and adding: a table of the runs, what they learnt over the steps, where a copy looks."""

import numpy as np
import pictures
from pictures import GREY

from experiments.results import read
from minitransformer.plots.attention import Attention, Text, draw_attention

from .shared import COLOURS, machine_of


def pages():
    for name in ("copy_task", "copy_task_published_rate", "addition"):
        yield f"{name}.md", table_of_runs(read(name))
    yield from ((f"{name}.svg", svg) for name, svg in pictures.drawn((copy_task_curves, addition_curves)))
    yield "copy_task_cross_attention.svg", copy_task_cross_attention()


def table_of_runs(found):
    """A row a seed, and below it what they were measured on."""
    rows = ["| seed | right, of those held out | steps | processor time |", "| ---: | ---: | ---: | ---: |"]
    for run in found["runs"]:
        right = f"{run['right']:,} of {run['held_out']:,}"
        rows.append(f"| {run['seed']} | {right} | {run['steps']:,} | {run['cpu_seconds']:.0f} s |")
    return "\n".join([*rows, "", f"Time is that of both threads together. {machine_of(found)}.", ""])


def axes_of_share():
    made, (ax,) = pictures.figure(7, 2.8)
    ax.set(xlabel="step", ylabel="right, of those held out", ylim=(0, 1.03))
    ax.yaxis.set_major_formatter(lambda share, _: f"{100 * share:.0f}%")
    ax.grid(alpha=0.25)
    return made, ax


def draw_shares(ax, runs, **style):
    for run, color in zip(runs, COLOURS, strict=True):
        steps, right = np.array(run["curve"]).T
        ax.plot(steps, right / run["held_out"], **{"color": color, "label": f"seed {run['seed']}"} | style)


def addition_curves():
    made, ax = axes_of_share()
    draw_shares(ax, read("addition")["runs"])
    ax.legend(frameon=False)
    return made


def copy_task_curves():
    """Both learning rates; the published one in grey."""
    made, ax = axes_of_share()
    draw_shares(ax, read("copy_task_published_rate")["runs"], color=GREY, label=None, lw=1)
    ax.plot([], [], color=GREY, lw=1, label="published rate, each seed")
    draw_shares(ax, read("copy_task")["runs"])
    ax.legend(frameon=False, loc="lower right")
    return made


def copy_task_cross_attention():
    """Of the first seed and the first sequence held out, as SVG."""
    found = read("copy_task")["runs"][0]["cross_attention"]
    weights, symbols = np.array(found["weights"]) / 1000, tuple(map(str, found["symbols"]))
    sides = Text("target, as it is written", symbols[1:]), Text("source", symbols)
    layers, heads = (list(range(1, n + 1)) for n in weights.shape[:2])
    shown = Attention("decoder cross-attention", *sides, weights, layers, heads)
    return draw_attention([shown], " ".join(symbols), "svg")
