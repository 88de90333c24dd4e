"""Words in two senses: what each layer of an ELMo knows of them."""

import numpy as np
import pictures
from pictures import BLUE, GREY, ORANGE

from experiments.results import read

from .shared import mean_and_spread, measured_on


def pages():
    yield "elmo_words.md", elmo_words()
    yield "elmo_layers.md", elmo_layers()
    yield from ((f"{name}.svg", svg) for name, svg in pictures.drawn((elmo_neighbours,)))


def elmo_words():
    """Of each word: how many occurrences in each sense, cosines, nearest neighbours; the mean of the seeds"""
    rows = ["| word | of each sense | | within a sense | across | nearest is of the same sense |"]
    rows += ["| --- | ---: | --- | ---: | ---: | ---: |"]
    for words in zip(*(run["words"] for run in read("elmo")["runs"]), strict=True):
        for layer in (1, 2):
            within, across, same = np.mean([word["layers"][layer] for word in words], 0)
            share, n = 100 * same / (2 * words[0]["each"]), words[0]["each"]
            name = (f"`{words[0]['word']}`", f"{n}") if layer == 1 else ("", "")
            rows.append(f"| {name[0]} | {name[1]} | layer {layer} | {within:.3f} | {across:.3f} | {share:.0f} % |")
    return "\n".join([*rows, ""])


def elmo_shares(run):
    """Of a run: the share of occurrences whose nearest is of their sense, by layer; 0 has one vector for both"""
    n = sum(2 * word["each"] for word in run["words"])
    return [100 * sum(word["layers"][layer][2] for word in run["words"]) / n for layer in (1, 2)]


def elmo_layers():
    """What can be read off each layer, and off the mixture"""
    found = read("elmo")
    runs, rows = (
        found["runs"],
        ["| read off | senses told rightly | nearest is of the same sense | weight in the mixture |"],
    )
    rows.append("| --- | ---: | ---: | ---: |")
    for layer, name in enumerate(("layer 0, the bare token", "layer 1", "layer 2")):
        right = mean_and_spread([100 * run["alone"][layer] / run["held_out"] for run in runs])
        nearest = mean_and_spread([elmo_shares(run)[layer - 1] for run in runs]) + " %" if layer else "–"
        weight = mean_and_spread([run["mixture"][layer] for run in runs], "{:.2f}")
        rows.append(f"| {name} | {right} % | {nearest} | {weight} |")
    right = mean_and_spread([100 * run["right"] / run["held_out"] for run in runs])
    rows.append(f"| the mixture | {right} % | | |")
    perplexity = mean_and_spread([run["perplexity"] for run in runs])
    note = f"Mean and standard deviation of {len(runs)} seeds; perplexity of what is held out, both ways: {perplexity}."
    return "\n".join([*rows, "", note, "", measured_on(found), ""])


def elmo_neighbours():
    """Word by word, how often the nearest neighbour is of the same sense, beside what guessing would give"""
    made, (ax,) = pictures.figure(7, 2.9)
    runs = read("elmo")["runs"]
    words = [word["word"] for word in runs[0]["words"]]
    for layer, color in ((1, ORANGE), (2, BLUE)):
        shares = [[100 * w["layers"][layer][2] / (2 * w["each"]) for w in run["words"]] for run in runs]
        at = np.arange(len(words)) + 0.2 * (2 * layer - 3)
        ax.bar(at, np.mean(shares, 0), 0.38, color=color, alpha=0.75, label=f"layer {layer}")
        for share in shares:
            ax.plot(at, share, ".", color="black", ms=3)
    ax.axhline(50, color=GREY, lw=1, ls="--", label="guessing")
    ax.set(ylabel="nearest is of the same sense", ylim=(0, 105), xticks=range(len(words)))
    ax.set_xticklabels(words, rotation=30)
    ax.yaxis.set_major_formatter(lambda share, _: f"{share:.0f}%")
    ax.legend(frameon=False, ncols=3, loc="upper right", bbox_to_anchor=(1, 1.16))
    return made
