"""The report as a whole, and what is not timed."""

import io
import json
import subprocess
import sys
from pathlib import Path

import pytest
from PIL import Image

from bench.cuda import attention, run

from .made_up import TINY, FakeGpu, toy

ROOT = Path(__file__).parents[3]


def test_the_report_checks_first_and_keeps_everything(tmp_path, monkeypatch):
    gpu, seen = FakeGpu(cold=3e-3, warm=2e-3), []
    sizes = [TINY, TINY._replace(T=16)]

    def timings(gpu, kept, late, without):
        seen.append(set(without))
        attention.run(gpu, kept, sizes, [toy(gpu), toy(gpu, "broken")], late, without)

    def check(kept):
        kept.add(kind="correct", what="broken: 3 cases", rung="broken", wrong=["T1"])
        kept.add(kind="correct", what="toy: 3 cases", rung="toy", wrong=[])

    def gave_up(kept):
        raise RuntimeError("illegal address\nand more")

    monkeypatch.setitem(run.TIMINGS, "attention", timings)
    said = []
    found = run.run(("attention",), tmp_path, checks=[check, gave_up], gpu=gpu, say=said.append)
    assert seen == [{"broken"}] and [row["kind"] for row in found] == ["correct"] * 3 + ["attention"] * 4
    result = json.loads((tmp_path / "gpu_report.json").read_text())
    assert result["complete"] and result["gpu"]["device"] == "NVIDIA H200" and len(result["rows"]) == 7
    assert (
        "broken: 3 cases" in said[-1]
        and "WRONG: T1" in said[-1]
        and "WRONG: RuntimeError: illegal address" in said[-1]
        and "toy float32 T16" in said[-1]
    )
    with Image.open(io.BytesIO((tmp_path / "gpu_report.png").read_bytes())) as image:
        assert image.size[0] > 500
    run.run(("attention",), tmp_path, gpu=gpu, say=said.append, minutes=-1)
    assert not json.loads((tmp_path / "attention_cuda.json").read_text())["complete"]


def test_what_a_benchmark_leaves_that_fails_is_told_and_the_next_one_comes(tmp_path, monkeypatch):
    def fails(gpu, kept, late, without):
        kept.add(kind="step", what="before", refused="too large")
        raise RuntimeError("gone\nand more")

    monkeypatch.setitem(run.TIMINGS, "step", fails)
    monkeypatch.setitem(run.TIMINGS, "attention", lambda gpu, kept, **how: kept.add(kind="layout", what="a", wrong=[]))
    said = []
    found = run.run(("step", "attention"), tmp_path, gpu=FakeGpu(), say=said.append)
    assert [row.get("wrong") for row in found] == [None, ["RuntimeError: gone"], []] and "gone" in said[-1]
    result = json.loads((tmp_path / "step_cuda.json").read_text())
    assert len(result["rows"]) == 3 and not result["complete"]


def test_rows_are_kept_where_there_is_no_telling_of_them(tmp_path, monkeypatch):
    monkeypatch.setitem(run.TIMINGS, "step", lambda gpu, kept, **how: kept.add(kind="layout", what="a", wrong=[]))
    monkeypatch.setattr(run, "bars", lambda rows: 1 / 0)
    with pytest.raises(ZeroDivisionError):
        run.run(("step",), tmp_path, gpu=FakeGpu(), say=lambda line: None)
    assert json.loads((tmp_path / "step_cuda.json").read_text())["rows"][0]["what"] == "a"


@pytest.mark.parametrize(
    "command", [["bench", "attention", "--cuda"], ["bench", "step", "--cuda"], ["bench.gpu_report"]]
)
def test_the_simulator_is_not_timed(command, tmp_path):
    """It would answer to everything that a device answers to, and its times would mean nothing."""
    done = subprocess.run(
        [sys.executable, "-m", *command, "--out", str(tmp_path)],
        cwd=ROOT,
        env={"NUMBA_ENABLE_CUDASIM": "1", "PATH": "/usr/bin:/bin", "PYTHONPATH": str(ROOT), "PYTHONUTF8": "1"},
        capture_output=True,
        text=True,
    )
    assert (
        done.returncode == 1 and "the simulator's times say nothing" in done.stderr and "Traceback" not in done.stderr
    )
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("wrong, status", [(["gone"], 1), ([], 0)])
def test_a_benchmark_that_fails_on_a_device_ends_with_1(wrong, status, monkeypatch):
    from bench import __main__ as command

    monkeypatch.setattr(run, "run", lambda names, out: [{"warm": 1.0}, {"wrong": wrong}])
    monkeypatch.setattr(sys, "argv", ["bench", "step", "--cuda"])
    assert command.main() == status


def test_other_benchmarks_have_no_device(monkeypatch, capsys):
    from bench import __main__ as command

    monkeypatch.setattr(sys, "argv", ["bench", "decoding", "--cuda"])
    assert command.main() == 1 and "--cuda is for attention and step" in capsys.readouterr().err
