"""The loss over the steps, while training and on held-out text."""

import io

from ..files import write_atomically


def draw_loss(records, path, title):
    """A PNG at `path` of records with step, training_loss and validation_loss. ImportError without matplotlib."""
    from matplotlib.figure import Figure  # no pyplot: no window system is needed

    figure = Figure(figsize=(7, 4.2), dpi=150, layout="constrained")
    axes = figure.add_subplot()
    steps = [record.step for record in records]
    for name, color in (("training", "#9aa5b1"), ("validation", "#1f6feb")):
        losses = [getattr(record, f"{name}_loss") for record in records]
        axes.plot(steps, losses, marker="o", markersize=4, color=color)
        axes.annotate(
            f"{name} {losses[-1]:.3f}",
            (steps[-1], losses[-1]),
            xytext=(8, 0),
            textcoords="offset points",
            va="center",
            color=color,
        )
    axes.set(title=title, xlabel="step", ylabel="cross-entropy (nats a token)")
    axes.margins(x=0.02)
    axes.set_xlim(right=steps[-1] + 0.22 * max(steps[-1] - steps[0], 1))
    axes.grid(alpha=0.25)
    axes.spines[["top", "right"]].set_visible(False)
    png = io.BytesIO()
    figure.savefig(png, format="png")
    write_atomically(path, png.getvalue())
