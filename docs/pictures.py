"""The pictures on the pages, drawn by the code that the pages are about."""

import io

import numpy as np

from minitransformer.ops import gelu, gelu_tanh, relu, silu
from minitransformer.ops.attention import may_attend
from minitransformer.ops.positions import sinusoid_table
from minitransformer.training.schedules import (
    inverse_square_root,
    slanted_triangular,
    warmup_cosine,
    warmup_linear,
)

BLUE, ORANGE, GREEN, GREY = "#1f6feb", "#d9730d", "#2b8a3e", "#8a949e"


def figure(width, height, columns=1, **more):
    from matplotlib.figure import Figure

    made = Figure(figsize=(width, height), layout="constrained")
    axes = np.atleast_1d(made.subplots(1, columns, **more))
    for ax in axes:
        ax.spines[["top", "right"]].set_visible(False)
    return made, axes


def sinusoids():
    """The table for 64 positions of width 64: pairs of columns, each slower than the one before."""
    made, (ax,) = figure(7, 3.4)
    image = ax.imshow(sinusoid_table(np.arange(64), 64, float), cmap="RdBu", aspect="auto", interpolation="nearest")
    ax.set(xlabel="column", ylabel="position")
    made.colorbar(image, ax=ax)
    return made


def activations():
    """Three activations and their slopes, from their own backward passes."""
    x = np.linspace(-4, 3, 561)
    made, axes = figure(7.2, 3.2, 2)
    for thing, color in ((relu, GREY), (gelu, BLUE), (silu, ORANGE)):
        y, saved = thing(x)
        axes[0].plot(x, y, color=color, label=thing.__name__)
        axes[1].plot(x, thing.backward(np.ones_like(x), saved), color=color)
    axes[0].set(title="y", xlabel="x", ylim=(-0.5, 3))
    axes[1].set(title="∂y/∂x", xlabel="x")
    axes[0].legend(frameon=False)
    for ax in axes:
        ax.grid(alpha=0.25)
    return made


def gelu_difference():
    """How far the tanh approximation is from the exact GELU."""
    x = np.linspace(-6, 6, 1201)
    made, (ax,) = figure(7, 2.6)
    ax.plot(x, 1e4 * (gelu_tanh(x)[0] - gelu(x)[0]), color=BLUE)
    ax.set(xlabel="x", ylabel="(gelu_tanh - gelu) · 10⁴")
    ax.grid(alpha=0.25)
    return made


def masks():
    """Who may attend to whom: causal, causal with fewer queries than keys, causal and padded."""
    padding = (np.arange(6) >= 2)[None, None, None]
    shown = (
        ("causal", 6, None),
        ("causal, 2 queries, 6 keys", 2, None),
        ("causal, 2 positions of padding", 6, padding),
    )
    made, axes = figure(7.6, 2.9, 3)
    for ax, (title, T, mask) in zip(axes, shown):
        allowed = np.broadcast_to(may_attend(np.zeros((1, 1, T, 1)), 6, mask, causal=True), (1, 1, T, 6))[0, 0]
        ax.pcolormesh(allowed, cmap="Blues", vmin=-0.2, vmax=1.4, edgecolors="white", linewidth=1.5)
        ax.set(title=title, xlabel="key", ylabel="query", aspect="equal")
        ax.set_xticks(np.arange(6) + 0.5, np.arange(6))
        ax.set_yticks(np.arange(T) + 0.5, np.arange(T))
        ax.title.set_fontsize(9)
        ax.invert_yaxis()
        ax.tick_params(length=0)
        ax.spines[:].set_visible(False)
    return made


def tiles():
    """What the kernel of attention computes under a causal mask, and what of that may be seen."""
    from minitransformer.kernels.cpu.attention import seen_of

    made, axes = figure(7.6, 3.7, 2)
    for ax, T in zip(axes, (20, 8)):
        allowed, shade = may_attend(np.zeros((1, 1, T, 1)), 20, None, causal=True), np.full((T, 20), np.nan)
        computed = []
        for t in range(0, T, 4):
            seen = seen_of(t + 4, T, 20, True)
            computed += [(slice(t, t + 4), slice(j, min(j + 5, seen))) for j in range(0, seen, 5)]
        frame(ax, slice(0, T), slice(0, 20), GREY)
        for rows, columns in computed:
            shade[rows, columns] = allowed[rows, columns]
            frame(ax, rows, columns, ORANGE)
        ax.pcolormesh(shade, cmap="Blues", vmin=-0.25, vmax=1.4, edgecolors="white", linewidth=0.8)
        ax.set(title=f"{T} queries, 20 keys", xlabel="key", ylabel="query", aspect="equal", anchor="N")
        ax.set(xticks=range(0, 21, 5), yticks=range(0, T + 1, 4), xlim=(0, 20), ylim=(T, 0))
        ax.title.set_fontsize(9)
        ax.tick_params(length=0)
        ax.spines[:].set_visible(False)
    return made


def frame(ax, rows, columns, color):
    """A line around a part of a matrix."""
    x, y = (columns.start, columns.stop), (rows.start, rows.stop)
    ax.plot([x[0], x[1], x[1], x[0], x[0]], [y[0], y[0], y[1], y[1], y[0]], color=color, lw=1.3, clip_on=False)


def layers():
    """The wiring of both layers, the stream from the bottom to the top."""
    made, axes = figure(6.4, 4.6, 2)
    for ax, title, pre in zip(axes, ("pre_norm_layer", "post_norm_layer"), (True, False)):
        ax.set(title=title, xlim=(-1.7, 3.3), ylim=(-0.9, 8.9), aspect="equal")
        ax.axis("off")
        ax.annotate("", (0, 8.7), (0, -0.7), arrowprops={"arrowstyle": "-|>", "color": GREY, "lw": 2})
        for part, name, bottom in ((1, "attention", 0.0), (2, "feed_forward", 4.2)):
            branch(ax, bottom, [f"norm{part}", name] if pre else [name])
            if not pre:
                box(ax, 0, bottom + 3.5, f"norm{part}", ORANGE)
        ax.text(0.15, -0.8, "x")
        ax.text(0.15, 8.55, "y")
    return made


def branch(ax, bottom, names):
    """Out of the stream, through boxes, and back in with a plus."""
    top = bottom + 2.6
    ax.plot([0, 1.9, 1.9], [bottom, bottom, top], color=GREY, lw=1.2)
    ax.annotate("", (0.22, top), (1.9, top), arrowprops={"arrowstyle": "-|>", "color": GREY, "lw": 1.2})
    for name, y in zip(names, (bottom + 0.8, bottom + 1.8) if len(names) == 2 else (bottom + 1.3,)):
        box(ax, 1.9, y, name, ORANGE if name.startswith("norm") else BLUE)
    ax.text(0, top, "+", ha="center", va="center", bbox={"boxstyle": "circle", "fc": "white", "ec": GREY})


def box(ax, x, y, text, color):
    style = {"boxstyle": "round,pad=0.35", "fc": "white", "ec": color, "lw": 1.4}
    ax.text(x, y, text, ha="center", va="center", bbox=style)


def schedules():
    """The four schedules over 2,000 steps, 200 of them warm-up."""
    steps = np.arange(2000)
    made, (ax,) = figure(7, 2.8)
    drawn = (
        ("warmup_cosine", warmup_cosine(peak=1e-3, end=1e-4, warmup=200, steps=2000), BLUE),
        ("warmup_linear", warmup_linear(peak=1e-3, end=1e-4, warmup=200, steps=2000), ORANGE),
        ("inverse_square_root", inverse_square_root(peak=1e-3, warmup=200), GREEN),
        ("slanted_triangular", slanted_triangular(peak=1e-3, steps=2000), GREY),
    )
    for name, rate, color in drawn:
        ax.plot(steps, [rate(step) for step in steps], color=color, label=name)
    ax.set(xlabel="step", ylabel="learning rate", ylim=(0, None))
    ax.legend(frameon=False)
    ax.grid(alpha=0.25)
    return made


PICTURES = (sinusoids, activations, gelu_difference, masks, tiles, layers, schedules)


def drawn(pictures=PICTURES):
    """(name, SVG) of every picture; the same bytes each time."""
    import matplotlib

    with matplotlib.rc_context({"svg.hashsalt": "minitransformer", "svg.fonttype": "path", "font.size": 9}):
        for picture in pictures:
            svg = io.BytesIO()
            picture().savefig(svg, format="svg", metadata={"Date": None})
            yield picture.__name__, svg.getvalue()
