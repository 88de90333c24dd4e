"""What the pages show that no hand wrote: tables from the code, the gradient checks, the pictures, the museum."""

import json
import sys
from datetime import date
from pathlib import Path

import gpu
import ladder
import numpy as np
import pictures
import registry
import results
import timings

from minitransformer.data import dates
from minitransformer.gradcheck.report import report
from tests.museum.page import museum_markdown

DOCS = Path(__file__).parent
GENERATED = DOCS / "_generated"


def everything(things):
    write(GENERATED / "things.md", table_of_things(things))
    write(GENERATED / "kernels.md", table_of_kernels(things))
    write(GENERATED / "dates.md", table_of_dates())
    write(GENERATED / "date_schedules.md", table_of_schedules())
    for name, svg in pictures.drawn():
        write(GENERATED / f"{name}.svg", svg)
    for name, content in (*results.everything(), *timings.everything(), *ladder.everything(), *gpu.everything()):
        write(GENERATED / name, content)
    gradients = GENERATED / "gradients.md"
    if not newer_than_the_code(gradients):  # ten seconds
        write(gradients, table_of_gradients())
        gradients.touch()
    write(DOCS / "museum.md", museum_markdown())


def write(path, content):
    """Text or bytes to a file, untouched where it holds just that: Sphinx reads again only what is new."""
    content = content if isinstance(content, bytes) else content.encode("utf-8")
    if not path.exists() or path.read_bytes() != content:
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content)


def newer_than_the_code(path):
    code = (DOCS.parent / "minitransformer").rglob("*.py")
    return path.exists() and path.stat().st_mtime > max(file.stat().st_mtime for file in code)


def table_of_things(things):
    """Name with a link to its page, kind, and what its file says it is; for a page that lies in docs/."""
    rows = ["| name | kind | what it is |", "| --- | --- | --- |"]
    for name, thing in sorted(things.items(), key=order):
        rows.append(f"| [`{name}`]({registry.page_of(thing).as_posix()}) | {thing.kind} | {summary(thing)} |")
    return "\n".join(["```{table}", ":class: things", "", *rows, "```", ""])


def table_of_kernels(things):
    """For every operation that has kernels: its page, the page that shows them, and what their file says they are.

    For a page that lies in docs/kernels/. RuntimeError where no page shows a kernel.
    """
    rows = ["| operation | kernel | what it is |", "| --- | --- | --- |"]
    shown = {include.source: page for page in (DOCS / "kernels").rglob("*.md") for include in registry.includes(page)}
    for name, thing in sorted(things.items(), key=order):
        for backend, (forward, _) in getattr(thing, "implementations", {}).items():
            source = Path(sys.modules[forward.__module__].__file__).resolve()
            if backend == "reference":
                continue
            if source not in shown:
                raise RuntimeError(f"no page in docs/kernels shows {source}")
            page = f"[{backend}]({shown[source].relative_to(DOCS / 'kernels').as_posix()})"
            rows.append(f"| [`{name}`](../{registry.page_of(thing).as_posix()}) | {page} | {summary(forward)} |")
    return "\n".join(["```{table}", ":class: things", "", *rows, "```", ""])


def order(item):
    """Floor by floor, and by name."""
    name, thing = item
    floors = ["ops", "blocks", "models", "training"]
    floor = thing.__module__.split(".")[1]
    return floors.index(floor) if floor in floors else len(floors), name.lower()


def summary(thing):
    """How the file begins in which a thing or a function is; a loss, whose file has several, begins itself."""
    text = thing.__doc__ if getattr(thing, "kind", None) == "loss" else sys.modules[thing.__module__].__doc__
    said = " ".join(text.strip().split("\n\n")[0].split()).replace("|", "\\|")
    said = said.removeprefix(f"{thing.__name__}(model): ")
    return said[0].upper() + said[1:]


def table_of_dates():
    """Every format of the dates with what it makes of two days, and of the first with noise, spaces shown as ␣."""
    shown, rng = [date(1994, 3, 1), date(2001, 8, 21)], np.random.default_rng(0)
    rows = [f"| format | {' | '.join(map(dates.iso, shown))} | with noise |", "| --- | --- | --- | --- |"]
    for name in dates.FORMATS:
        written = [dates.write(name, day) for day in shown] + [dates.write(name, shown[0], rng).replace(" ", "␣")]
        rows.append(f"| {name} | {' | '.join(f'`{text}`' for text in written)} |")
    return "\n".join(rows) + "\n"


def table_of_gradients():
    """What `minitransformer gradcheck` finds. RuntimeError where a gradient is wrong: such pages must not be built."""
    rows = ["| name | gradients | error in float64 | in extended precision |", "| --- | ---: | ---: | ---: |"]
    for row in report([], seed=0):
        if not row.passed:
            raise RuntimeError(f"{row.name}: {'; '.join(row.problems)}")
        rows.append(f"| `{row.name}` | {row.gradients} | {figure(row.float64)} | {figure(row.extended)} |")
    return "\n".join(rows) + "\n"


def figure(error):
    return "" if error is None else f"{error:.0e}"


def table_of_schedules():
    """How many dates are right, step by step, in one run of each schedule: from the metrics.jsonl of both."""
    rows = ["| step | cosine: unseen pairs, days | inverse square root |", "| ---: | --- | --- |"]
    runs = [metrics_of(f"dates_{name}") for name in ("cosine", "inverse_square_root")]
    for records in zip(*runs, strict=True):
        shares = [[100 * value for name, value in record.items() if "unseen" in name] for record in records]
        said = " | ".join(", ".join(f"{share:.2f}" for share in each) + " %" for each in shares)
        rows.append(f"| {records[0]['step']:,} | {said} |")
    return "\n".join([*rows, ""])


def metrics_of(name):
    path = DOCS.parent / "experiments" / "results" / f"{name}.jsonl"
    return [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()]
