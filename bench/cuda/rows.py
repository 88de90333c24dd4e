"""What was measured, row by row: a file that grows by a line at each, then one table, a JSON and a picture."""

import io
import itertools
import json
import math
import time
from pathlib import Path

REFUSED = {"correct": "checked", "compile": "compiled", "kernels": "told", "launches": "told"}
COLUMNS = ("compile", "transfer", "launch", "cold", "warm")


class Rows:
    """Rows that are on disk as soon as they are known: whatever ends the run early, they stay.

    Each says `at` how many seconds from the beginning it was known.
    """

    def __init__(self, path, say=print):
        self.path, self.say, self.rows, self.begin = Path(path), say, [], time.monotonic()
        self.path.parent.mkdir(parents=True, exist_ok=True)
        self.path.write_text("", encoding="utf-8")

    def add(self, **row):
        row["at"] = round(time.monotonic() - self.begin, 1)
        self.rows.append(row)
        with open(self.path, "a", encoding="utf-8") as file:
            file.write(json.dumps(row) + "\n")
        self.say(line(row))
        return row

    def named(self, kind):
        return [row for row in self.rows if row["kind"] == kind]


def line(row):
    """A row in one line."""
    if "wrong" in row:
        verdict = f"WRONG: {', '.join(row['wrong'])}" if row["wrong"] else "right"
        return f"{row['kind']:<12}{row['what']:<60} {verdict}"
    if "refused" in row:
        return f"{row['kind']:<12}{row['what']:<60} not {REFUSED.get(row['kind'], 'timed')}: {row['refused']}"
    if "kernels" in row and "warm" not in row:
        return f"{row['kind']:<12}{row['what']:<60} {', '.join(row['kernels'])}"
    if "launches" in row:
        parts = (f"{name} {shown(seconds)}" for name, seconds in row["launches"].items())
        return f"{row['kind']:<12}{row['what']:<60} {', '.join(parts)}"
    times = "".join(f"{column} {shown(row.get(column)):<12}" for column in COLUMNS)
    rate = f"{row['rate'] / 1e12:7.2f} TFLOP/s" if row.get("rate") else ""
    share = f" {row['share']:5.1%} of the peak" if row.get("share") else ""
    memory = f"  {row['memory'] / 2**20:8.1f} MB" if row.get("memory") else ""
    return f"{row['kind']:<12}{row['what']:<60} {times}{rate}{share}{memory}"


def shown(seconds):
    """With three digits, in the unit that fits."""
    if seconds is None:
        return "-"
    for unit, size in (("s", 1), ("ms", 1e-3)):
        if seconds >= 0.9995 * size:  # from there on it is rounded to 1
            return f"{seconds / size:.3g} {unit}"
    return f"{seconds / 1e-6:.3g} µs"


def in_a_line(error):
    """What an error says in its first line, with its kind before."""
    return f"{type(error).__name__}: {(str(error).splitlines() or [''])[0][:200]}"


def table(rows):
    """All rows, timings after checks, in the order in which they came."""
    return "\n".join(
        line(row) for kind in dict.fromkeys(row["kind"] for row in rows) for row in rows if row["kind"] == kind
    )


def growth(rows):
    """{(what but for T): [(T, seconds), ...]} of the rows that have a T and were timed"""
    found = {}
    for row in rows:
        if "T" in row and "warm" in row:
            found.setdefault((row["group"], row["contender"]), []).append((row["T"], row["warm"]))
    return {key: sorted(points) for key, points in found.items()}


def exponents(rows):
    """[line, ...]: by which power of T the time of each grows, from one length to twice that, at its longest two"""
    found = []
    for (group, contender), points in growth(rows).items():
        if len(points) > 1:
            (before, fast), (T, slow) = points[-2:]
            power = math.log(slow / fast) / math.log(T / before)
            found.append(f"{group}: {contender} grows as T^{power:.2f} from T {before} to {T}")
    return found


def kernels(rows):
    """[line, ...]: what PyTorch launched, where it was asked"""
    found = {}
    for row in rows:
        if row.get("kernels"):
            said = f"{row['contender']}, {row['way']}: {', '.join(row['kernels'])}"
            found.setdefault(said, []).append(f"K {row['K']}{' causal' * row['causal']}")
    return [f"{said} ({', '.join(where)})" for said, where in found.items()]


def picture(rows, title):
    """A PNG: time against T, a panel to each group of rows. ImportError without matplotlib."""
    from matplotlib import colormaps
    from matplotlib.figure import Figure
    from matplotlib.ticker import LogLocator, NullFormatter

    lines = growth(rows)
    groups = sorted({group for group, _ in lines})
    columns = next(n for n in (4, 2, 1) if len(groups) > n or n == 1)
    height = -(-max(len(groups), 1) // columns)
    figure = Figure(figsize=(4.6 * columns, 3.6 * height + 1.2), dpi=110, layout="constrained")
    figure.suptitle(title, fontsize=11)
    names = list(dict.fromkeys(contender.split(",")[0] for _, contender in lines))
    colours = [colormaps["tab20"](i) for i in (*range(0, 20, 2), *range(1, 20, 2))]  # the strong ones first
    colour, drawn = dict(zip(names, itertools.cycle(colours))), {}
    panels = figure.subplots(height, columns, squeeze=False).flat
    for axes, group in zip(panels, groups, strict=False):
        for (its_group, contender), points in lines.items():
            if its_group == group:
                ours = "PyTorch" not in contender
                name = contender.split(",")[0]
                style = {
                    "color": colour[name],
                    "linestyle": "-" if ours else "--",
                    "linewidth": 1.8 if ours else 1.2,
                }
                shape = zip(*[(T, 1e3 * t) for T, t in points])
                (drawn[name],) = axes.plot(*shape, marker="o", markersize=3.5, label=name, **style)
        axes.set(yscale="log", xlabel="T", ylabel="ms")
        axes.set_title(group, fontsize=10)
        axes.set_xscale("log", base=2)
        lengths = sorted({T for (its_group, _), points in lines.items() if its_group == group for T, _ in points})
        axes.set_xticks(lengths, [f"{T:,}" for T in lengths])
        axes.yaxis.set_major_locator(LogLocator(subs=(1, 2, 5)))
        axes.yaxis.set_major_formatter(lambda ms, _: f"{ms:g}")
        for axis in (axes.xaxis, axes.yaxis):
            axis.set_minor_formatter(NullFormatter())
        axes.grid(alpha=0.25)
        axes.spines[["top", "right"]].set_visible(False)
    for axes in list(figure.axes)[len(groups) :]:
        axes.set_visible(False)
    where = {"loc": "outside lower center", "ncols": 2 * columns, "fontsize": 8, "frameon": False}
    figure.legend(handles=[drawn[name] for name in names], **where)
    png = io.BytesIO()
    figure.savefig(png, format="png")
    return png.getvalue()
