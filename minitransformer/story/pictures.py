"""How the pictures of the story look."""

COLOURS = ("#24292f", "#8a949e", "#2b8a3e", "#d9730d", "#b35900", "#f2a65a", "#1f6feb")


def figure(width, height, columns=1, **more):
    """A matplotlib figure, and its axes in a row. ImportError without matplotlib."""
    import numpy as np
    from matplotlib.figure import Figure  # no pyplot: no window system is needed

    made = Figure(figsize=(width, height), layout="constrained")
    axes = np.atleast_1d(made.subplots(1, columns, **more))
    for ax in axes:
        ax.spines[["top", "right"]].set_visible(False)
        ax.grid(alpha=0.25)
    return made, axes


def svg(made):
    """The figure as SVG (bytes), the same each time."""
    import io

    import matplotlib

    out = io.BytesIO()
    with matplotlib.rc_context({"svg.hashsalt": "minitransformer", "svg.fonttype": "path", "font.size": 9}):
        made.savefig(out, format="svg", metadata={"Date": None})
    return out.getvalue()
