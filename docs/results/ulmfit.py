"""A docstring and its module: two ways to a language model, and five to the same classifier."""

import numpy as np
import pictures
from pictures import BLUE, GREEN, GREY, ORANGE

from experiments.results import read

from .shared import mean_and_spread, measured_on


def pages():
    yield "ulmfit.md", ulmfit_table()
    yield "ulmfit_pretraining.md", ulmfit_pretraining_table()
    yield from ((f"{name}.svg", svg) for name, svg in pictures.drawn((ulmfit_pretraining, ulmfit_curves)))


ULMFIT_WAYS = ("from nothing", "without step two", "ULMFiT", "ULMFiT by AdamW", "ULMFiT's words alone")
ULMFIT_OF = {"averaged SGD": "ULMFiT", "AdamW": "ULMFiT by AdamW"}  # the classifier that begins with its language model


def ulmfit_shares(name):
    """In percent, seed by seed"""
    runs = read("ulmfit")["runs"]
    last = [run[name] if isinstance(run[name], int) else run[name][-1][1] for run in runs]
    return np.array([100 * right / run["held_out"] for right, run in zip(last, runs, strict=True)])


def ulmfit_table():
    """Ways by seeds, their mean and spread; whether the gain is above two standard deviations"""
    found = read("ulmfit")
    runs = found["runs"]
    rows = [f"| | {' | '.join('seed ' + str(run['seed']) for run in runs)} | mean ± sd |"]
    rows.append(f"| --- |{' ---: |' * (len(runs) + 1)}")
    for name in ("counts of words", *ULMFIT_WAYS):
        shares = ulmfit_shares(name)
        rows.append(f"| {name} | {' | '.join(f'{share:.1f}' for share in shares)} | {mean_and_spread(shares)} |")
    pairs = [(name, "from nothing") for name in ULMFIT_WAYS[2:]]
    pairs += [("ULMFiT", "ULMFiT by AdamW"), ("ULMFiT's words alone", "ULMFiT")]
    gains = " ".join(ulmfit_gain(*pair) for pair in pairs)
    return "\n".join([*rows, "", f"In percent. {gains}", "", measured_on(found), ""])


def ulmfit_gain(name, than):
    """A sentence: is it above two standard deviations of the difference of two runs?"""
    ours, theirs = ulmfit_shares(name), ulmfit_shares(than)
    gain, spread = ours.mean() - theirs.mean(), np.sqrt(ours.var(ddof=1) + theirs.var(ddof=1))
    verdict = "better by more than two" if gain > 2 * spread else "**not better** by two"
    return (
        f"{name}: {abs(gain):.1f} points {'above' if gain > 0 else 'below'} *{than}*, {verdict} standard "
        f"deviations of such a difference, which is {spread:.1f}."
    )


def ulmfit_pretraining_table():
    """Optimizers by what their language models are worth: perplexities, then classes"""
    found = read("ulmfit")
    runs, abouts = found["runs"], found["runs"][0]["pretraining"]
    rows = ["| step one by | rate | held out of step one | the exam, before step two | after it | right classes |"]
    rows.append(f"| --- |{' ---: |' * 5}")
    for by, name in ULMFIT_OF.items():
        rate, held_out = found["settings"]["pretraining"]["rates"][by], abouts[by]["held_out"]
        before, after = (mean_and_spread(each) for each in zip(*(run["perplexity"][by] for run in runs), strict=True))
        right = mean_and_spread(ulmfit_shares(name))
        rows.append(f"| {by} | {rate:g} | {held_out:.1f} | {before} | {after} | {right} % |")
    about = abouts["averaged SGD"]
    note = (
        f"Perplexities, but for the last column; mean and standard deviation of {len(runs)} seeds. Either learnt from "
        f"{about['words']:,} words in {about['steps']:,} steps; the last {about['averaged']:,} of gradient descent are "
        "averaged. The exam's texts are never read."
    )
    return "\n".join([*rows, "", note, ""])


def ulmfit_pretraining():
    """Perplexity of what is held out over the steps of step one, by either optimizer, and where averaging begins"""
    made, (ax,) = pictures.figure(7, 2.9)
    abouts = read("ulmfit")["runs"][0]["pretraining"]
    for by, color in zip(ULMFIT_OF, (BLUE, ORANGE)):
        ax.plot(*np.array(abouts[by]["curve"]).T, color=color, lw=1.2, label=by)
    about = abouts["averaged SGD"]
    ax.axvline(about["steps"] - about["averaged"], color=GREY, lw=1, ls="--", label="averaging begins")
    ax.set(xlabel="step of the language model", ylabel="perplexity, held out", yscale="log", ylim=(75, 500))
    ax.set_yticks([100, 200, 400], ["100", "200", "400"])
    ax.minorticks_off()
    ax.grid(alpha=0.25)
    ax.legend(frameon=False)
    return made


def ulmfit_curves():
    """How many are right, over the steps of the classifier, each way and seed; a mark ends each stage

    Ways with a single stage would lie upon each other: they are moved a few steps to the right.
    """
    made, (ax,) = pictures.figure(7, 2.9)
    looks = ((GREY, ".-", 4), (ORANGE, ".-", 0), (BLUE, ".-", 0), (BLUE, ".:", 0), (GREEN, ".-", 8))
    for name, (color, style, beside) in zip(ULMFIT_WAYS, looks, strict=True):
        for run in read("ulmfit")["runs"]:
            steps, right = np.array(run[name]).T
            label = name if run["seed"] == 0 else None
            ax.plot(steps + beside, 100 * right / run["held_out"], style, color=color, lw=1.2, label=label)
    ax.set(xlabel="step of the classifier", ylabel="right, of those held out", ylim=(0, 70))
    ax.yaxis.set_major_formatter(lambda share, _: f"{share:.0f}%")
    ax.grid(alpha=0.25)
    ax.legend(frameon=False, ncols=2, loc="upper left")
    return made
