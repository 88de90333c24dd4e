"""What `python -m bench attention --cuda` and `bench.gpu_report` have in common: rows, a table, a JSON, a picture."""

import time
from datetime import date
from pathlib import Path

from minitransformer.files import to_json, write_atomically
from minitransformer.installing import install

from ..machine import machine
from . import attention, step
from .bars import bars
from .clock import Gpu
from .rows import Rows, exponents, in_a_line, kernels, picture, table

TIMINGS = {"attention": attention.run, "step": step.run}
TO_THE_END = 20  # seconds that one row, the table and the picture may still take


class Late:
    """Whether fewer than so many seconds are left; `was`: whether that has ever been so"""

    def __init__(self, end):
        self.end, self.was = end, False

    def __call__(self, seconds=0):
        late = time.monotonic() + seconds > self.end
        self.was = self.was or late
        return late


def run(names, out, *, checks=(), minutes=7.5, gpu=None, say=print):
    """Checks first, then timings, each a row; returns all rows. ValueError where there is only a simulator.

    checks: functions of the rows   minutes: after which nothing new is begun, so that what is there is told
    """
    begin, out = time.monotonic(), Path(out)
    gpu, end = gpu or Gpu(), begin + 60 * minutes - TO_THE_END
    about = {"date": str(date.today()), "gpu": gpu.about, "machine": machine()}
    name = "gpu_report" if checks else f"{names[0]}_cuda"
    rows = Rows(out / f"{name}.jsonl", say)
    say(f"{gpu.name}: {about['machine']['versions']}")
    for check in checks:
        try:
            check(rows)
        except Exception as error:
            rows.add(kind="correct", what=check.__name__, wrong=[in_a_line(error)])
    wrong = {row["rung"] for row in rows.rows if row.get("wrong") and "rung" in row}
    late = Late(end)
    for benchmark in names:
        try:
            TIMINGS[benchmark](gpu, rows, late=late, without=wrong)
        except Exception as error:  # the others go on, and what is there already is told
            rows.add(kind=benchmark, what="all that was left", wrong=[in_a_line(error)])
    cut = late.was
    complete = not cut and not any(row.get("wrong") for kind in names for row in rows.named(kind))
    write_atomically(out / f"{name}.json", to_json(about | {"complete": complete, "rows": rows.rows}))
    held = [f"{bar.verdict:<14}{bar.what}: {bar.found}" for bar in bars(rows.rows)]
    notes = [*exponents(rows.rows), *kernels(rows.rows), *held, f"in {time.monotonic() - begin:.0f} seconds"]
    say("\n".join(["", table(rows.rows), *notes]))
    if cut:
        say(f"after {minutes:g} minutes, nothing new was begun: what is missing was not reached")
    try:
        png = picture(rows.rows, f"attention on {gpu.name}, {about['date']}") if "attention" in names else None
    except ImportError:
        say(f"no picture: it takes matplotlib, which `{install('plot')}` brings")
        png = None
    if png:
        write_atomically(out / f"{name}.png", png)
    return rows.rows
