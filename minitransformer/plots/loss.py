"""The loss over the steps, while training and on held-out text."""

import io

from ..files import write_atomically


def draw_loss(records, path, title):
    """A PNG at `path` of records with step, training_loss and validation_loss. ImportError without matplotlib."""
    from matplotlib.figure import Figure  # no pyplot: no window system is needed

    figure = Figure(figsize=(7, 4.2), dpi=150, layout="constrained")
    axes = figure.add_subplot()
    steps = [record.step for record in records]
    for name, color, meaning in (
        ("training", "#9aa5b1", "training, mean since the point before"),
        ("validation", "#1f6feb", "validation, held-out text"),
    ):
        losses = [getattr(record, f"{name}_loss") for record in records]
        axes.plot(steps, losses, marker="o", markersize=4, color=color, label=f"{meaning}: {losses[-1]:.3f}")
    axes.set(title=title, xlabel="step", ylabel="cross-entropy (nats a token)")
    axes.legend(frameon=False)
    axes.grid(alpha=0.25)
    axes.spines[["top", "right"]].set_visible(False)
    png = io.BytesIO()
    figure.savefig(png, format="png")
    write_atomically(path, png.getvalue())
