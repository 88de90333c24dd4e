"""The bottleneck: what one state cannot hold, and what looking back gives.

Two tasks. Reversal: to write a sequence of symbols from its end; they are chance, so each of them must get through. And
dates: to read one as people write it, character by character, and write it in ISO 8601; ten characters, however long
the source. All models have the same number of parameters, within 5 %, and learn for the same time. Then they are asked
sources of every length, also of lengths beyond those that they learnt from; an answer counts if all of it is right.
"""

from functools import partial
from typing import NamedTuple

import numpy as np

from ..models import BahdanauSeq2Seq, LuongSeq2Seq, Seq2Seq, Transformer
from .learning import BATCH, EXAM, count, median, say, side_by_side
from .pictures import COLOURS, figure
from .tasks import SYMBOLS, Dates, Symbols, from_the_end

PARAMETERS, MOST_OFF = 60_000, 0.05
PEAK = 4e-3  # the highest learning rate, of all
SEEDS, SECONDS = 3, 16.0


class Lengths(NamedTuple):
    """Of a task's sources: the shortest and the longest learnt from, the longest asked, and how many are a part."""

    shortest: int
    longest: int
    beyond: int
    part: int

    @property
    def learnt(self):
        return range(self.shortest, self.longest + 1)

    @property
    def asked(self):
        return [range(n, n + self.part) for n in range(self.shortest, self.beyond + 1, self.part)]


TASKS = {  # name: what, and of which lengths
    "reversal": (Symbols(from_the_end), Lengths(2, 16, 22, 1)),
    "dates": (Dates(), Lengths(6, 32, 38, 3)),
}


def recurrent(kind, **more):
    return lambda task, width: kind(
        task.vocab_size, task.target_vocab_size, cell="lstm", n_layers=1, d_model=width, dropout_rate=0.0, **more
    )


def transformer(task, inner):
    sizes = {"n_layers": 2, "n_heads": 4, "d_model": 36, "d_ff": inner}
    return Transformer(task.vocab_size, task.target_vocab_size, **sizes, dropout_rate=0.0, shared=False)


MODELS = {  # name: task, width -> model
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


def measure(seeds=SEEDS, seconds=SECONDS, parameters=PARAMETERS, tell=say):
    jobs = [
        (
            {"task": name, "model": model},
            (sized(partial(make, task), parameters), task, PEAK, lengths.learnt, lengths.asked, seconds, seed),
        )
        for name, (task, lengths) in TASKS.items()
        for seed in range(seeds)
        for model, make in MODELS.items()
    ]
    settings = {"seeds": seeds, "seconds": seconds, "symbols": SYMBOLS, "batch": BATCH, "exam": EXAM, "peak": PEAK}
    lengths = {name: lengths._asdict() for name, (_, lengths) in TASKS.items()}
    return {"settings": settings, "lengths": lengths, "runs": side_by_side(jobs, tell)}


def shares(found, task):
    """{model: shares of right answers (seeds, parts of the exam)}"""
    shares = {}
    for run in found["runs"]:
        if run["task"] == task:
            shares.setdefault(run["model"], []).append([right for _, right in run["right"]])
    return {name: np.array(right) for name, right in shares.items()}


def draw(found):
    """The share of right answers against the length: the mean of the seeds, and from the least to the greatest."""
    made, axes = figure(10, 4, len(found["lengths"]), sharey=True)
    for (task, sizes), ax in zip(found["lengths"].items(), axes):
        lengths = Lengths(**sizes)
        middles = [median(part) for part in lengths.asked]
        for (name, right), colour in zip(shares(found, task).items(), COLOURS):
            ax.plot(middles, right.mean(0), color=colour, label=name, lw=1.6)
            ax.fill_between(middles, right.min(0), right.max(0), color=colour, alpha=0.15, lw=0)
        ax.axvspan(lengths.longest + 0.5, lengths.beyond + 0.5, color="#8a949e", alpha=0.15, lw=0)
        ax.text(lengths.longest + 0.7, 1.04, "longer than any\nlearnt from", va="bottom", size=8, color="#59636e")
        ax.set(xlabel=f"{task}: length of the source", ylim=(-0.02, 1.03))
        ax.set_xlim(lengths.shortest, lengths.beyond + 0.5)
        ax.set_xticks(middles[:: 2 if lengths.part == 1 else 1])
    axes[0].set_ylabel("answers right to the end")
    axes[0].yaxis.set_major_formatter(lambda share, _: f"{100 * share:.0f}%")
    axes[-1].legend(frameon=False, loc="center left", bbox_to_anchor=(1, 0.5))
    return made


def tables(found):
    """One a task."""
    return [table(found, task, Lengths(**sizes)) for task, sizes in found["lengths"].items()]


def table(found, task, lengths):
    """A row a model: parameters, steps of each seed, and the share of right answers at some lengths."""
    shown = [i for i, part in enumerate(lengths.asked) if i % (len(lengths.asked) // 5) == 0 or lengths.longest in part]
    rows = [
        [task, "parameters", "steps", *(f"length {span(lengths.asked[i])}" for i in shown)],
        ["---", *["---:"] * (2 + len(shown))],
    ]
    for name, right in shares(found, task).items():
        runs = [run for run in found["runs"] if (run["task"], run["model"]) == (task, name)]
        steps = ", ".join(f"{run['steps']:,}" for run in runs)
        rows.append([name, f"{runs[0]['parameters']:,}", steps, *(spread(right[:, i]) for i in shown)])
    return rows


def span(lengths):
    """7, or 6-8"""
    return f"{lengths[0]}-{lengths[-1]}" if len(lengths) > 1 else f"{lengths[0]}"


def spread(right):
    """Mean and standard deviation of the seeds, in per cent."""
    return f"{100 * right.mean():.0f} ± {100 * right.std(ddof=1):.0f}" if len(right) > 1 else f"{100 * right[0]:.0f}"
