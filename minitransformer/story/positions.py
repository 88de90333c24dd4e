"""Positions: what a Transformer knows of order, and what it cannot learn without.

Attention sees a set. Of a source without positions, the encoder says the same of a symbol wherever it stands, and the
decoder cannot know which one was last. Two tasks: to write a sequence from its end, which asks for its order, and to
write it sorted, which does not. Each is learnt with positions and without, for the same time.
"""

import numpy as np

from ..models import Transformer
from ..ops import embedding, embedding_backward
from ..ops.positions import sinusoid_table
from .learning import EXAM, count, say, side_by_side
from .pictures import COLOURS, figure
from .tasks import SYMBOLS, VOCAB, Symbols, from_the_end, in_order

SIZES = {"n_layers": 2, "n_heads": 4, "d_model": 36, "d_ff": 72, "dropout_rate": 0.0, "shared": False}
PEAK, SHORTEST, LONGEST = 4e-3, 2, 8
SEEDS, SECONDS = 3, 8.0
TASKS = {"from the end": Symbols(from_the_end), "sorted": Symbols(in_order)}
TABLE = 128  # positions, and columns, of the table that is drawn


class WithoutPositions(Transformer):
    """A Transformer whose embeddings are all that it is given."""

    def embed(self, p, ids, key):
        h, saved = embedding(p, ids)
        return h * self.d_model**0.5, saved

    def embed_backward(self, dh, saved):
        return embedding_backward(dh * self.d_model**0.5, saved)


MODELS = {"with positions": Transformer, "without": WithoutPositions}


def measure(seeds=SEEDS, seconds=SECONDS, longest=LONGEST, tell=say):
    lengths = range(SHORTEST, longest + 1)
    asked = [[n] for n in lengths]
    jobs = [
        ({"model": name, "task": title}, (kind(VOCAB, **SIZES), task, PEAK, lengths, asked, seconds, seed))
        for seed in range(seeds)
        for title, task in TASKS.items()
        for name, kind in MODELS.items()
    ]
    table = sinusoid_table(np.arange(TABLE), TABLE, float)
    products = {"distance": list(range(TABLE)), "product": (table[0] @ table.T).round(6).tolist()}
    settings = {"seeds": seeds, "seconds": seconds, "symbols": SYMBOLS, "exam": EXAM, "model": SIZES}
    settings["parameters"] = count(Transformer(VOCAB, **SIZES))
    return {"settings": settings, "products": products, "runs": side_by_side(jobs, tell)}


def draw(found):
    """The table; its rows' products against their distance; and what is learnt with it and without."""
    made, axes = figure(11, 3.3, 3, width_ratios=(1.1, 1, 1.1))
    ax = axes[0]
    image = ax.imshow(
        sinusoid_table(np.arange(TABLE), TABLE, float), cmap="RdBu", aspect="auto", interpolation="nearest"
    )
    ax.set(xlabel="column", ylabel="position", title="the table")
    ax.grid(False)
    made.colorbar(image, ax=ax)
    axes[1].plot(found["products"]["distance"], found["products"]["product"], color=COLOURS[-1])
    axes[1].set(xlabel="distance", ylabel="product of two rows", title="near positions are alike")
    ax = axes[2]
    for task, colour in zip(TASKS, (COLOURS[-1], COLOURS[3])):
        for name, style in zip(MODELS, ("-", "--")):
            runs = [run["right"] for run in found["runs"] if (run["model"], run["task"]) == (name, task)]
            lengths, right = np.array(runs[0])[:, 0], np.array(runs)[..., 1]
            ax.plot(lengths, right.mean(0), style, color=colour, label=f"{task}, {name}")
            ax.fill_between(lengths, right.min(0), right.max(0), color=colour, alpha=0.15, lw=0)
    ax.yaxis.set_major_formatter(lambda share, _: f"{100 * share:.0f}%")
    ax.set(xlabel="length", ylabel="answers right to the end", ylim=(-0.02, 1.03), title="what is learnt")
    ax.legend(frameon=False, fontsize=8)
    return made


def tables(found):
    """One. A row a task and a model: right answers at every length, in per cent, a mean over the seeds."""
    lengths = [n for n, _ in found["runs"][0]["right"]]
    rows = [["task", "model", *(f"length {n}" for n in lengths)], ["---", "---", *["---:"] * len(lengths)]]
    for task in TASKS:
        for name in MODELS:
            runs = [run["right"] for run in found["runs"] if (run["model"], run["task"]) == (name, task)]
            rows.append([task, name, *(f"{100 * share:.0f}" for share in np.array(runs)[..., 1].mean(0))])
    return [rows]
