"""A docstring and its module: four ways to the same classifier."""

import numpy as np
import pictures
from pictures import BLUE, GREEN, GREY, ORANGE

from experiments.results import read

from .shared import mean_and_spread, measured_on


def pages():
    yield "ulmfit.md", ulmfit_table()
    yield from ((f"{name}.svg", svg) for name, svg in pictures.drawn((ulmfit_curves,)))


ULMFIT_WAYS = ("from nothing", "without step two", "ULMFiT", "ULMFiT's words alone")


def ulmfit_shares(name):
    """In percent, seed by seed"""
    runs = read("ulmfit")["runs"]
    last = [run[name] if isinstance(run[name], int) else run[name][-1][1] for run in runs]
    return np.array([100 * right / run["held_out"] for right, run in zip(last, runs, strict=True)])


def ulmfit_table():
    """Ways by seeds, their mean and spread; whether the gain is above two standard deviations; what was pre-trained"""
    found = read("ulmfit")
    runs = found["runs"]
    rows = [f"| | {' | '.join('seed ' + str(run['seed']) for run in runs)} | mean ± sd |"]
    rows.append(f"| --- |{' ---: |' * (len(runs) + 1)}")
    for name in ("counts of words", *ULMFIT_WAYS):
        shares = ulmfit_shares(name)
        rows.append(f"| {name} | {' | '.join(f'{share:.1f}' for share in shares)} | {mean_and_spread(shares)} |")
    gains = " ".join(ulmfit_gain(name) for name in ULMFIT_WAYS[2:])
    return "\n".join([*rows, "", f"In percent. {gains}", "", ulmfit_language_model(found), "", measured_on(found), ""])


def ulmfit_gain(name):
    """A sentence: is it above two standard deviations of the difference of two runs?"""
    ours, theirs = ulmfit_shares(name), ulmfit_shares("from nothing")
    gain, spread = ours.mean() - theirs.mean(), np.sqrt(ours.var(ddof=1) + theirs.var(ddof=1))
    verdict = "better by more than two" if gain > 2 * spread else "**not better** by two"
    return (
        f"{name}: {abs(gain):.1f} points {'above' if gain > 0 else 'below'} training from nothing, {verdict} standard "
        f"deviations of such a difference, which is {spread:.1f}."
    )


def ulmfit_language_model(found):
    """A sentence on the first two steps"""
    about, runs = found["runs"][0]["pretraining"], found["runs"]
    before, after = np.mean([run["perplexity"] for run in runs], 0)
    return (
        f"The language model learnt from {about['words']:,} words in {about['steps']:,} steps. Its perplexity on the "
        f"exam's texts, which it never reads, is {before:.0f} then, and {after:.0f} after step two (mean of the seeds)."
    )


def ulmfit_curves():
    """How many are right, over the steps of the classifier, each way and seed; a mark ends each stage

    Ways with a single stage would lie upon each other: they are moved a few steps to the right.
    """
    made, (ax,) = pictures.figure(7, 2.9)
    for name, color, beside in zip(ULMFIT_WAYS, (GREY, ORANGE, BLUE, GREEN), (4, 0, 0, 8)):
        for run in read("ulmfit")["runs"]:
            steps, right = np.array(run[name]).T
            label = name if run["seed"] == 0 else None
            ax.plot(steps + beside, 100 * right / run["held_out"], ".-", color=color, lw=1.2, label=label)
    ax.set(xlabel="step of the classifier", ylabel="right, of those held out", ylim=(0, 70))
    ax.yaxis.set_major_formatter(lambda share, _: f"{share:.0f}%")
    ax.grid(alpha=0.25)
    ax.legend(frameon=False, ncols=2, loc="upper left")
    return made
