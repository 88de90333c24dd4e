"""Checks by many processes at once, and what becomes of one that dies."""

import sys

from bench import gpu_report
from bench.cuda import correct, rows, step

TELLS = """
import json, os, sys, time
what, which = sys.argv[1:]
if what == "dies":
    sys.exit("no device here")
if what == "sleeps":
    time.sleep(60)
print("a library says hello")
print(json.dumps({"what": what, "threads": os.environ["OMP_NUM_THREADS"]}))
if what == "stumbles":
    os.abort()
"""


def test_processes_tell_their_rows_and_how_they_end():
    jobs = [("sleeps", "1"), ("tells", "1"), ("dies", "1"), ("stumbles", "1")]
    found = {job[0]: rest for job, *rest in correct.side_by_side(jobs, 4, (sys.executable, "-c", TELLS), cores=4)}
    assert found["tells"] == [[{"what": "tells", "threads": "1"}], None]
    assert found["dies"] == [[], "ended with status 1: no device here"]
    assert found["sleeps"] == [[], correct.LATE.format(4)]
    assert found["stumbles"][0] and found["stumbles"][1].startswith("ended with status -6")
    assert list(correct.side_by_side([("tells", "1")], 0)) == [(("tells", "1"), [], correct.LATE.format(0))]


def test_there_is_a_job_to_every_rung_width_and_mask():
    jobs = correct.jobs()
    assert len(set(jobs)) == len(jobs) and jobs[:2] == [("step", "backend cuda"), ("step", "CPU kernels")]
    rungs = {name: [which for what, *which in jobs if what == name] for name in correct.RUNGS}
    each = [[str(K), *more] for K in (128, 64, 32) for more in (["causal"], [])]
    assert all(asked == each for asked in rungs.values())
    assert all(size in step.SIZES for sizes in correct.STEPS.values() for size in sizes)
    given = {K: [case for case in correct.cases() if case.K == K] for K in correct.WIDTHS}
    unmasked = {(case.K, case.causal) for cases in given.values() for case in cases if case.mask is None}
    assert unmasked == {(K, causal) for K in correct.WIDTHS for causal in (True, False)}  # all that is timed


def asked(*answers):
    return lambda jobs, seconds: iter(answers)


FINE = {"rung": "flash", "cases": 8, "worst": 0.5, "wrong": [], "compiled": []}


def test_a_process_that_dies_is_a_row_that_says_so(tmp_path):
    kept = rows.Rows(tmp_path / "rows.jsonl", lambda line: None)
    compiled = {"contender": "backend cuda", "size": "small", "compile": 61.0}
    answers = (("flash", "64", "causal"), [FINE], None), (("naive", "32"), [], "ended with status -9: and said nothing")
    steps = (("step", "backend cuda"), [compiled], None), (("step", "CPU kernels"), [], "ended with status 1: no")
    late = ("tiled", "64", "causal"), [], correct.LATE.format(180)
    gpu_report.rungs(kept, ask=asked(*answers, *steps, late))
    right, small, late, died, failed = kept.rows
    assert right["what"].startswith("flash 64 causal: 8 cases") and right["wrong"] == []
    assert small["what"] == "step small, backend cuda" and "compile 61 s" in rows.line(small)
    assert (late["kind"], late["what"]) == ("correct", "tiled 64 causal") and "rung" not in late
    assert rows.line(late).endswith("not checked: 180 seconds were over")
    assert died["rung"] == "naive" and died["wrong"] == ["ended with status -9: and said nothing"]
    assert failed["kind"] == "compile" and failed["refused"] == "ended with status 1: no"


def test_where_no_process_can_tell_anything_it_is_asked_here_while_there_is_time(tmp_path, monkeypatch):
    died = ("flash", "64"), [], "ended with status 1: exclusive"
    monkeypatch.setattr(correct, "check_rungs", lambda: (FINE | {"rung": name} for name in correct.RUNGS))
    kept = [rows.Rows(tmp_path / name, lambda line: None) for name in ("all", "one")]
    gpu_report.rungs(kept[0], ask=asked(died))
    assert [row["rung"] for row in kept[0].rows] == list(correct.RUNGS)
    gpu_report.rungs(kept[1], -1, ask=asked(died))  # whose time is over after the first
    first, *others = kept[1].rows
    assert first["wrong"] == [] and [row["what"] for row in others] == list(correct.RUNGS)[1:]
    assert {row["refused"] for row in others} == {correct.LATE.format(-1)}
