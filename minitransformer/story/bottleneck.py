"""The bottleneck: what one state cannot hold, and what looking back gives.

The task is to write a sequence of symbols from its end. The symbols are chance, so each of them must get through. All
models have the same number of parameters, within 5 %, and learn for the same time. Then they answer sequences of every
length, also of lengths beyond those that they learnt from; an answer counts if all of it is right.
"""

import numpy as np

from ..models import BahdanauSeq2Seq, LuongSeq2Seq, Seq2Seq, Transformer
from .pictures import COLOURS, figure
from .sequences import BATCH, EXAM, SYMBOLS, VOCAB, count, from_the_end, say, side_by_side

SHORTEST, LONGEST, BEYOND = 2, 16, 22  # lengths: that are learnt from, and up to which it is measured
PARAMETERS, MOST_OFF = 60_000, 0.05
PEAK = 4e-3  # the highest learning rate, of all
SEEDS, SECONDS = 3, 16.0


def recurrent(kind, **more):
    return lambda width: kind(VOCAB, cell="lstm", n_layers=1, d_model=width, dropout_rate=0.0, **more)


def transformer(inner):
    return Transformer(VOCAB, n_layers=2, n_heads=4, d_model=36, d_ff=inner, dropout_rate=0.0, shared=False)


MODELS = {  # name: width -> model
    "last state": recurrent(Seq2Seq),
    "mean of the states": recurrent(Seq2Seq, summary="mean"),
    "Bahdanau": recurrent(BahdanauSeq2Seq),
    "Luong, dot": recurrent(LuongSeq2Seq, score="dot"),
    "Luong, general": recurrent(LuongSeq2Seq, score="general"),
    "Luong, concat": recurrent(LuongSeq2Seq, score="concat"),
    "Transformer": transformer,
}


def sized(make, parameters=PARAMETERS):
    """The model that `make` makes of the width with which it has about so many parameters. ValueError if none has."""
    low = high = 1
    while count(make(high)) < parameters:
        low, high = high, 2 * high
    while low < high:  # the narrowest with at least so many
        middle = (low + high) // 2
        low, high = (low, middle) if count(make(middle)) >= parameters else (middle + 1, high)
    model = min(map(make, (max(low - 1, 1), low)), key=lambda model: abs(count(model) - parameters))
    if abs(count(model) - parameters) > MOST_OFF * parameters:
        raise ValueError(f"no width gives a {type(model).__name__} {parameters:,} parameters, within {MOST_OFF:.0%}")
    return model


def measure(seeds=SEEDS, seconds=SECONDS, parameters=PARAMETERS, longest=LONGEST, beyond=BEYOND, tell=say):
    lengths, asked = range(SHORTEST, longest + 1), range(SHORTEST, beyond + 1)
    jobs = [
        ({"model": name}, (sized(make, parameters), from_the_end, PEAK, list(lengths), list(asked), seconds, seed))
        for seed in range(seeds)
        for name, make in MODELS.items()
    ]
    settings = {"seeds": seeds, "seconds": seconds, "shortest": SHORTEST, "longest": longest, "beyond": beyond}
    settings |= {"symbols": SYMBOLS, "batch": BATCH, "exam": EXAM, "peak": PEAK}
    return {"settings": settings, "runs": side_by_side(jobs, tell)}


def shares(found):
    """{model: (lengths, shares of right answers (seeds, lengths))}"""
    shares = {}
    for run in found["runs"]:
        lengths, right = np.array(run["right"]).T
        shares.setdefault(run["model"], (lengths, []))[1].append(right)
    return {name: (lengths, np.array(right)) for name, (lengths, right) in shares.items()}


def draw(found):
    """The share of right answers against the length: the mean of the seeds, and from the least to the greatest."""
    made, (ax,) = figure(7.4, 4)
    for (name, (lengths, right)), colour in zip(shares(found).items(), COLOURS):
        ax.plot(lengths, right.mean(0), color=colour, label=name, lw=1.6)
        ax.fill_between(lengths, right.min(0), right.max(0), color=colour, alpha=0.15, lw=0)
    longest = found["settings"]["longest"]
    ax.axvspan(longest + 0.5, found["settings"]["beyond"] + 0.5, color="#8a949e", alpha=0.15, lw=0)
    ax.text(longest + 0.7, 1.04, "longer than any\nlearnt from", va="bottom", size=8, color="#59636e")
    ax.set(xlabel="length", ylabel="answers right to the end", ylim=(-0.02, 1.03))
    ax.yaxis.set_major_formatter(lambda share, _: f"{100 * share:.0f}%")
    ax.set_xlim(found["settings"]["shortest"], found["settings"]["beyond"] + 0.5)
    ax.set_xticks(range(found["settings"]["shortest"], found["settings"]["beyond"] + 1, 2))
    ax.legend(frameon=False, loc="center left", bbox_to_anchor=(1, 0.5))
    return made


def table(found):
    """A row a model: parameters, steps of each seed, and the share of right answers at some lengths."""
    settings = found["settings"]
    shown = sorted({*range(settings["shortest"], settings["beyond"] + 1, 4), settings["longest"]})
    rows = [
        ["model", "parameters", "steps", *(f"length {n}" for n in shown)],
        ["---", *["---:"] * (2 + len(shown))],
    ]
    for name, (lengths, right) in shares(found).items():
        runs = [run for run in found["runs"] if run["model"] == name]
        cells = [spread(right[:, list(lengths).index(n)]) for n in shown]
        rows.append([name, f"{runs[0]['parameters']:,}", ", ".join(f"{run['steps']:,}" for run in runs), *cells])
    return rows


def spread(right):
    """Mean and deviation of the seeds, in per cent."""
    return f"{100 * right.mean():.0f} ± {100 * right.std(ddof=1):.0f}" if len(right) > 1 else f"{100 * right[0]:.0f}"
