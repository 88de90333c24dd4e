"""The picture of a result: bars against the floor, and how time and memory grow where a size has a T."""

import io

from .machine import least_time

COLORS = {
    "NumPy": "#9aa5b1",
    "ours": "#1f6feb",
    "kernels": "#1f6feb",
    "as it is": "#1f6feb",
    "kernels, fused loss": "#5aa2f5",
    "kernels, fused loss, recomputing": "#a5cdfb",
    "PyTorch": "#e36209",
    "transformers": "#e36209",
    "tokenizers": "#e36209",
}


def color(name):
    return COLORS.get(name, "#f0b37e")


def draw(result):
    """A PNG of a result of `python -m bench`. ImportError without matplotlib."""
    from matplotlib.figure import Figure

    sizes = result["sizes"]
    others = {tuple(value for name, value in size["what"].items() if name != "T") for size in sizes.values()}
    grows = len(sizes) > 1 and len(others) == 1 and all("T" in size["what"] for size in sizes.values())
    columns = min(len(sizes), 2)
    lines = -(-len(sizes) // columns)
    figure = Figure(figsize=(4.2 * columns, 2.3 * lines + 3.4 * grows + 0.6), dpi=130, layout="constrained")
    figure.suptitle(
        f"{result['about']}\n{result['machine']['processor']}, {result['machine']['cores']} cores", fontsize=11
    )
    parts = figure.subfigures(2, 1, height_ratios=[2.3 * lines, 3.4]) if grows else [figure]
    for axes, (name, size) in zip(parts[0].subplots(lines, columns, squeeze=False).flat, sizes.items(), strict=False):
        bars(axes, name, size)
    for axes in parts[0].axes[len(sizes) :]:
        axes.set_visible(False)
    if grows:
        time, memory = parts[1].subplots(1, 2)
        growth(time, sizes, lambda row: row["median"] * 1e3, "ms")
        growth(memory, sizes, lambda row: max(row["peak"] / 2**20, 0.1), "MB beyond the inputs")
        time.plot(
            *zip(*((s["what"]["T"], least_time(s["work"], s["floor"]) * 1e3) for s in sizes.values())),
            "k:",
            label="floor",
        )
        time.legend(frameon=False, fontsize=8)
    png = io.BytesIO()
    figure.savefig(png, format="png")
    return png.getvalue()


def shown(milliseconds):
    """With three digits, in seconds from one on."""
    return f"{milliseconds / 1e3:.3g} s" if milliseconds >= 999.5 else f"{milliseconds:.3g} ms"


def bars(axes, name, size):
    rows = size["rows"][::-1]
    milliseconds = [row["median"] * 1e3 for row in rows]
    spread = [
        [(row["median"] - row["least"]) * 1e3 for row in rows],
        [(row["most"] - row["median"]) * 1e3 for row in rows],
    ]
    labels = [row["contender"] for row in rows]
    axes.barh(labels, milliseconds, xerr=spread, color=[color(label) for label in labels], error_kw={"lw": 0.8})
    paper = {"facecolor": "white", "edgecolor": "none", "pad": 0.5}  # over the line of the floor
    for row, value, i in zip(rows, milliseconds, range(len(rows))):
        right = axes.annotate(shown(value), (row["most"] * 1e3, i), (5, 0), textcoords="offset points", fontsize=8)
        right.set(va="center", bbox=paper)
    axes.set_xlim(0, 1.25 * max(row["most"] for row in rows) * 1e3)
    floor = least_time(size["work"], size["floor"]) * 1e3
    if floor:
        axes.axvline(floor, color="black", ls=":", lw=1)
    axes.set_title(f"{name}: at best {shown(floor)}" if floor else name, fontsize=9)
    axes.set_xlabel("ms", fontsize=8)
    axes.tick_params(labelsize=8)
    axes.spines[["top", "right"]].set_visible(False)


def growth(axes, sizes, value, unit):
    names = [row["contender"] for row in next(iter(sizes.values()))["rows"]]
    for name in names:
        points = [
            (size["what"]["T"], value(row))
            for size in sizes.values()
            for row in size["rows"]
            if row["contender"] == name
        ]
        axes.plot(*zip(*points), marker="o", markersize=4, color=color(name), label=name)
    axes.set(xscale="log", yscale="log", xlabel="T", ylabel=unit)
    axes.set_xticks([size["what"]["T"] for size in sizes.values()], [str(size["what"]["T"]) for size in sizes.values()])
    axes.minorticks_off()
    axes.grid(alpha=0.25)
    axes.spines[["top", "right"]].set_visible(False)
