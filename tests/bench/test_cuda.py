"""Timings on a GPU, on one that is made up: its clock, its work and its mistakes are known, so what is told must be."""

import io
import json
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from bench.cuda import attention, clock, rows, run, step
from bench.cuda.clock import Mismeasured, Peaks, check_possible, measure, measure_on_host, peaks_of

ROOT = Path(__file__).parents[2]


PLENTY = Peaks(1e15, 1e15, 1e15)


class FakeGpu:
    """A device whose work takes a known time: longer with a cold cache, and the host needs some for a launch."""

    name, about = "NVIDIA H200", {"device": "NVIDIA H200"}

    def __init__(self, cold=3.0, warm=2.0, launch=0.5, compile=7.0, peaks=PLENTY):
        self.times = {True: cold, False: warm}
        self.launch, self.compile, self.peaks = launch, compile, peaks
        self.host = self.device = 0.0  # when each is done with what it has
        self.is_cold, self.compiled, self.flushes = True, False, 0

    def now(self):
        return self.host

    def synchronize(self):
        self.host = self.device = max(self.host, self.device)

    def flush(self):
        self.device = max(self.host, self.device) + 10
        self.is_cold, self.flushes = True, self.flushes + 1

    def work(self):
        self.host += self.launch + (0 if self.compiled else self.compile)
        self.device = max(self.host, self.device) + self.times[self.is_cold]
        self.compiled, self.is_cold = True, False

    def bring(self):
        self.host = self.device = self.device + 4

    def timed(self, work):
        begin = max(self.host, self.device)
        work()
        return self.device - begin

    def used(self):
        return 0


def test_each_column_is_what_it_says():
    gpu = FakeGpu()
    times = measure(gpu, gpu.work, gpu.bring, repeats=3)
    assert times.transfer == 4 and times.launch == 0.5 and times.compile == 7 + 3 - 2  # the first call was cold too
    assert (times.cold, times.warm) == (3, 2)  # with the device busy before, no launch is in them
    assert times.cold_range == (3, 3) and times.warm_range == (2, 2) and gpu.flushes == 6


def test_on_the_host_there_is_one_time():
    moments = iter([0.0, 5.0, 7.0])
    times = measure_on_host(lambda: None, lambda: next(moments))
    assert times.compile == 3 and times.cold == times.warm == 2 and times.launch is None


@pytest.mark.parametrize(
    "peaks, said",
    [
        (Peaks(float32=0.9e12), "1 TFLOP/s in float32, but the peak is 0.9"),
        (Peaks(bytes=0.6e12), "0.6667 TB/s from memory, but the peak is 0.6"),
    ],
)
def test_what_no_device_can_do_is_refused(peaks, said):
    gpu = FakeGpu()
    times = measure(gpu, gpu.work)
    check_possible(times, Peaks(1.1e12, None, 0.7e12), "float32", 2e12, 2e12)
    check_possible(times, Peaks(), "float32", 1e30, 1e30)  # of an unknown device nothing is known
    with pytest.raises(Mismeasured, match=said):
        check_possible(times, peaks, "float32", 2e12, 2e12)
    with pytest.raises(Mismeasured, match="saw nothing"):
        check_possible(times._replace(warm_range=(0.0, 1.0)), Peaks(), "float32", 1, 1)


def test_devices_are_known_by_their_names():
    assert peaks_of("NVIDIA H100 80GB HBM3") == peaks_of("NVIDIA H100") != peaks_of("NVIDIA H100 PCIe")
    assert peaks_of("NVIDIA H200").bytes == 4.8e12 and peaks_of("Voodoo 2") == Peaks()
    for name in clock.KNOWN:
        assert peaks_of(f"NVIDIA {name}").float32 == clock.KNOWN[name][0] * 1e12


# --------------------------------------------------------------------------------------------------------- attention

TINY = attention.Size(8, 4, True, 16, 8)  # B 2, H 2, T 8, K 4


def toy(gpu, name="toy", wrong=0.0, precision="float32", backward=True, fails=None):
    """A contender that has the right answer, or nearly"""

    def make(inputs, size, precision):
        if fails:
            raise RuntimeError(fails)
        reference = attention.by_backend("reference")(inputs, size, precision)

        def answer():
            return {part: array * np.float32(1 + wrong * (part == "dv")) for part, array in reference.answer().items()}

        return attention.Work(gpu.bring, gpu.work, gpu.work if backward else None, answer, lambda work: ["a kernel"])

    return attention.Contender(name, precision, make)


def told(gpu, *contenders, tmp_path, sizes=(TINY,), **more):
    kept = rows.Rows(tmp_path / "rows.jsonl", lambda line: None)
    attention.run(gpu, kept, sizes, contenders, **more)
    assert [json.loads(line) for line in kept.path.read_text().splitlines()] == json.loads(json.dumps(kept.rows))
    return kept.rows


def test_what_is_right_is_timed_both_ways(tmp_path):
    gpu = FakeGpu(cold=3e-6, warm=2e-6, launch=0, peaks=Peaks(4e9, 4e9, 1e15))
    forward, backward = told(gpu, toy(gpu), tmp_path=tmp_path)
    assert forward["what"] == "toy float32 T8 K4 causal forward" and backward["what"].endswith("backward")
    assert forward["rate"] == pytest.approx(4 * 2 * 2 * 64 * 4 / 2 / 2e-6) and forward["off"] < 1e-6
    assert forward["kernels"] == ["a kernel"]
    assert forward["share"] == pytest.approx(forward["rate"] / 4e9) and backward["transfer"] is None
    (only,) = told(gpu, toy(gpu, backward=False), tmp_path=tmp_path)
    assert only["what"].endswith("forward")


def test_what_is_wrong_or_fails_is_told_and_not_timed(tmp_path):
    gpu = FakeGpu()
    found = told(gpu, toy(gpu, wrong=1e-3), toy(gpu, "other", fails="no kernel image\nmore"), tmp_path=tmp_path)
    assert [row["refused"] for row in found] == ["off by 1.0e-03, more than 0.0001", "RuntimeError: no kernel image"]
    assert gpu.flushes == 0 and "warm" not in found[0]
    assert len(told(gpu, toy(gpu, wrong=1e-3, precision="bfloat16"), tmp_path=tmp_path)) == 2


def test_a_time_that_cannot_be_is_refused_in_the_row(tmp_path):
    gpu = FakeGpu(cold=3e-9, warm=2e-9, peaks=Peaks(1e9, 1e9, 1e15))
    found = told(gpu, toy(gpu), tmp_path=tmp_path)
    assert all(
        "Mismeasured" in row["refused"] and "but the peak is 0.001" in row["refused"] and "warm" not in row
        for row in found
    )


def test_who_is_slow_is_not_asked_for_more(tmp_path):
    gpu = FakeGpu()
    sizes = TINY, TINY._replace(T=16)
    found = told(gpu, toy(gpu), toy(FakeGpu(1e-3, 1e-3), "fast"), tmp_path=tmp_path, sizes=sizes)
    assert [row["contender"].split(",")[0] for row in found] == ["toy"] * 2 + ["fast"] * 4


def test_who_was_wrong_before_is_left_out_and_time_ends(tmp_path):
    gpu = FakeGpu()
    assert told(gpu, toy(gpu), tmp_path=tmp_path, without={"toy"}) == []
    assert told(gpu, toy(gpu), tmp_path=tmp_path, late=lambda: True) == []


def test_the_work_is_counted_by_hand():
    size = attention.Size(4, 2, False, 8, 6)  # B 2, H 3
    assert size.shape == (2, 3, 4, 2) and size.flops("forward") == 2 * 3 * (2 * 2 * 4 * 4 * 2)
    assert size.flops("backward") == 2.5 * size.flops("forward")
    assert size._replace(causal=True).flops("forward") == size.flops("forward") / 2
    assert size.bytes("forward", "float32") == 4 * 4 * 48 and size.bytes("backward", "bfloat16") == 2 * 8 * 48


def test_the_exact_answer_is_that_of_every_head_it_is_known_of():
    inputs = attention.inputs_of(TINY)
    exact = attention.expected(inputs, TINY)
    answer = attention.by_backend("reference")(inputs, TINY, "float32").answer()
    assert set(exact) == {(0, 0), (1, 1)} and attention.off_by(answer, exact) < 1e-6
    for name in answer:
        damaged = {part: array.copy() for part, array in answer.items()}
        damaged[name][1, 1, -1, -1] = np.nan
        assert not attention.off_by(damaged, exact) <= 1


# ------------------------------------------------------------------------------------------------- the step, the report


def test_a_step_is_held_to_the_first_that_answers(tmp_path):
    gpu = FakeGpu(cold=3.0, warm=2.0)

    def contender(factor):
        return lambda size: ((lambda: {"loss": np.array([factor])}), gpu.work)

    kept = rows.Rows(tmp_path / "rows.jsonl", lambda line: None)
    among = {"CPU kernels": contender(1.0), "backend cuda": contender(1 + 1e-5), "PyTorch eager": contender(1.1)}
    step.run(gpu, kept, {"small": step.SIZES["small"]}, among)
    first, second, third = kept.rows
    assert first["launch"] is None and second["cold"] == 3 and second["off"] == pytest.approx(1e-5)
    assert third["refused"] == "off by 1.0e-01, more than 0.001"


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


def test_lengths_become_lines():
    kept = [{"group": "g", "contender": "c", "T": T, "warm": T / 1e3} for T in (16, 8)] + [{"group": "g", "T": 4}]
    assert rows.growth(kept) == {("g", "c"): [(8, 0.008), (16, 0.016)]}
    assert rows.exponents(kept) == ["g: c grows as T^1.00 from T 8 to 16"]
    assert rows.shown(2.5e-3) == "2.5 ms" and rows.shown(4e-6) == "4 µs" and rows.shown(None) == "-"


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


def test_other_benchmarks_have_no_device(monkeypatch, capsys):
    from bench import __main__ as command

    monkeypatch.setattr(sys, "argv", ["bench", "decoding", "--cuda"])
    assert command.main() == 1 and "--cuda is for attention and step" in capsys.readouterr().err
