"""Sentences through a published encoder: their similarity, and their clusters."""

import numpy as np
import pictures
from pictures import GREY

from experiments.results import read

from .shared import COLOURS


def pages():
    yield "sentences.md", sentences_table()
    yield from ((f"{name}.svg", svg) for name, svg in pictures.drawn((sentences,)))


def sentences():
    """The similarity of every two, and the sentences in a plane."""
    found = read("sentences")
    made, axes = pictures.figure(9, 4.2, 2, width_ratios=(1.1, 1))
    names = [f"{subject[0].upper()}{i % 3 + 1}" for i, subject in enumerate(found["subjects"])]
    image = axes[0].imshow(found["similarity"], cmap="Blues", vmin=0, vmax=1)
    axes[0].set(xticks=range(len(names)), xticklabels=names, yticks=range(len(names)), yticklabels=names)
    made.colorbar(image, ax=axes[0], label="cosine", shrink=0.8)
    for (x, y), cluster in zip(found["plane"], found["clusters"], strict=True):
        axes[1].scatter(x, y, color=(*COLOURS, GREY)[cluster])
    for subject in dict.fromkeys(found["subjects"]):
        places = np.array([place for place, of in zip(found["plane"], found["subjects"]) if of == subject])
        above = places[:, 0].mean(), places[:, 1].max()
        axes[1].annotate(subject, above, xytext=(0, 8), textcoords="offset points", ha="center")
    axes[1].set(aspect="equal", xticks=(), yticks=(), xlabel="first direction", ylabel="second")
    axes[1].margins(0.12)
    return made


def sentences_table():
    """Each sentence, its cluster, and the sentence that is nearest to it."""
    found, rows = read("sentences"), ["| | sentence | cluster | nearest |", "| --- | --- | ---: | --- |"]
    alike = np.array(found["similarity"]) - 2 * np.eye(len(found["sentences"]))
    names = [f"{subject[0].upper()}{i % 3 + 1}" for i, subject in enumerate(found["subjects"])]
    for i, (name, text) in enumerate(zip(names, found["sentences"], strict=True)):
        j = alike[i].argmax()
        rows.append(f"| {name} | {text} | {found['clusters'][i] + 1} | {names[j]}, {alike[i, j]:.2f} |")
    return "\n".join([*rows, ""])
