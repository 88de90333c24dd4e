"""What `python -m bench attention --cuda` and `bench.gpu_report` have in common: rows, a table, a JSON, a picture."""

import time
from datetime import date
from pathlib import Path

from minitransformer.files import to_json, write_atomically

from ..machine import machine
from . import attention, step
from .clock import Gpu
from .rows import Rows, exponents, in_a_line, picture, table

TIMINGS = {"attention": attention.run, "step": step.run}


def run(names, out, *, checks=(), minutes=8.0, gpu=None, say=print):
    """Checks first, then timings, each a row; returns all rows. ValueError where there is only a simulator.

    checks: functions of the rows   minutes: after which nothing new is begun, so that what is there is told
    """
    gpu = gpu or Gpu()
    end, out = time.monotonic() + 60 * minutes, Path(out)
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
    cut = False
    for benchmark in names:
        TIMINGS[benchmark](gpu, rows, late=lambda: time.monotonic() > end, without=wrong)
        cut = cut or time.monotonic() > end
    say("\n".join(["", table(rows.rows), *exponents(rows.rows)]))
    if cut:
        say(f"after {minutes:g} minutes, nothing new was begun: what is missing was not reached")
    write_atomically(out / f"{name}.json", to_json(about | {"complete": not cut, "rows": rows.rows}))
    try:
        png = picture(rows.rows, f"attention on {gpu.name}, {about['date']}") if "attention" in names else None
    except ImportError:
        say("no picture: it takes matplotlib")
        png = None
    if png:
        write_atomically(out / f"{name}.png", png)
    return rows.rows
