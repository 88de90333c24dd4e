"""Timings on a GPU, on one that is made up: its clock, its work and its mistakes are known, so what is told must be."""

import io
import json
import subprocess
import sys
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
from PIL import Image

from bench import gpu_report, picture
from bench.cuda import attention, bars, clock, correct, rows, run, step
from bench.cuda.clock import Mismeasured, Peaks, check_possible, measure, measure_on_host, peaks_of
from minitransformer.kernels.cuda import device
from minitransformer.kernels.cuda.attention.bfloat16 import from_bfloat16
from minitransformer.ops.attention import attention as operation

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


def test_a_first_call_that_was_timed_before_is_what_compiles():
    gpu = FakeGpu()
    first = clock.wall(gpu, gpu.work)
    times = measure(gpu, gpu.work, repeats=3, first=first)
    assert first == 7 + 0.5 + 3 and times.compile == 7 + 3 - 2


def named(name):
    return SimpleNamespace(py_func=SimpleNamespace(__name__=name))


def test_kernel_by_kernel_each_is_timed_alone_and_cold(monkeypatch):
    gpu, seen = FakeGpu(cold=3.0, warm=2.0), []

    def start(kernel, *how):
        seen.append(how)
        gpu.work()

    monkeypatch.setattr(device, "start", start)

    def work():
        for name in ("parts", "forward", "parts"):
            device.launch(named(name), 1, 32, "x")

    assert clock.by_kernel(gpu, work, repeats=2) == {"parts": 3 + 3, "forward": 3}
    assert device.start is start and seen == [(1, 32, ("x",))] * 6 and gpu.flushes == 6
    with pytest.raises(RuntimeError):
        clock.by_kernel(gpu, lambda: exec("raise RuntimeError"))
    assert device.start is start


def test_what_takes_long_is_repeated_less():
    for seconds, repeats in ((1e-3, clock.REPEATS), (clock.LONG / 5, 5), (1.0, clock.FEWEST)):
        gpu = FakeGpu(seconds, seconds, launch=0, compile=0)
        measure(gpu, gpu.work)
        assert gpu.flushes == 2 * repeats


def test_on_the_host_there_is_one_time():
    moments = iter([5.0, 7.0])
    times = measure_on_host(lambda: None, 5.0, lambda: next(moments))
    assert times.compile == 3 and times.cold == times.warm == 2 and times.launch is None


@pytest.mark.parametrize(
    "peaks, said",
    [
        (Peaks(float32=0.9e12), "1 TFLOP/s in float32, but the peak is 0.9"),
        (Peaks(0.9e12, 6.6e12), "1 TFLOP/s in float32, but the peak is 0.9"),
        (Peaks(bytes=0.6e12), "0.6667 TB/s from memory, but the peak is 0.6"),
    ],
)
def test_what_no_device_can_do_is_refused(peaks, said):
    gpu = FakeGpu()
    times = measure(gpu, gpu.work)
    check_possible(times, Peaks(1.1e12, None, 0.7e12), "float32", 2e12, 2e12)
    check_possible(times, Peaks(0.9e12, 6.6e12), "parts", 2e12, 2e12)  # on tensor cores
    check_possible(times, Peaks(0.9e12), "parts", 2e12, 2e12)
    with pytest.raises(Mismeasured, match="1 TFLOP/s in parts, but the peak is 0.9"):
        check_possible(times, Peaks(1.1e12, 5.4e12), "parts", 2e12, 2e12)
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


def test_the_drivers_own_version_is_told_where_there_is_one(tmp_path):
    text = "NVRM version: NVIDIA UNIX Open Kernel Module for x86_64  580.159.04  Release Build\nGCC version: 12\n"
    (tmp_path / "version").write_text(text, encoding="utf-8")
    assert clock.driver_module(tmp_path / "version") == "580.159.04"
    assert clock.driver_module(tmp_path / "nothing") is None


# --------------------------------------------------------------------------------------------------------- attention

TINY = attention.Size(8, 4, True, 16, 8)  # B 2, H 2, T 8, K 4


def toy(gpu, name="toy", wrong=0.0, precision="float32", backward=True, fails=None):
    """A contender that has the right answer, or nearly"""

    def make(inputs, size, precision):
        if fails:
            raise RuntimeError(fails)
        reference = attention.by_backend("reference")(inputs, size, precision)
        reference.forward()
        reference.backward()

        def answer(heads):
            found = reference.answer(heads)
            return {
                head: {part: array * np.float32(1 + wrong * (part == "dv")) for part, array in parts.items()}
                for head, parts in found.items()
            }

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
    assert (forward["K"], forward["way"]) == (4, "forward")
    assert forward["compile"] == pytest.approx(7 + 1e-6)  # of the call before it was found right
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
    assert told(gpu, toy(gpu), tmp_path=tmp_path, late=lambda seconds=0: True) == []


def test_the_work_is_counted_by_hand():
    size = attention.Size(4, 2, False, 8, 6)  # B 2, H 3
    assert size.shape == (2, 3, 4, 2) and size.flops("forward") == 2 * 3 * (2 * 2 * 4 * 4 * 2)
    assert size.flops("backward") == 2.5 * size.flops("forward")
    assert size._replace(causal=True).flops("forward") == size.flops("forward") / 2
    assert size.bytes("forward", "float32") == 4 * 4 * 48 and size.bytes("backward", "bfloat16") == 2 * 8 * 48


def test_where_a_check_compiled_it_that_is_what_it_took(tmp_path):
    gpu, kept = FakeGpu(1e-3, 1e-3), rows.Rows(tmp_path / "rows.jsonl", lambda line: None)
    compiled = [[4, True, False, "forward", 2.5], [4, True, True, "backward", 9.0], [4, False, False, "backward", 8.0]]
    kept.add(kind="correct", what="toy", rung="toy", wrong=[], compiled=compiled)
    attention.run(gpu, kept, [TINY], [toy(gpu)])
    forward, backward = kept.named("attention")
    assert forward["compile"] == 2.5 and backward["compile"] < 8  # that one had no mask, or was not causal


def test_who_is_compared_comes_first_and_what_it_launches_is_told_before_the_others_come(tmp_path):
    gpu = FakeGpu(1e-3, 1e-3)
    sizes = [TINY, TINY._replace(T=16)]
    among = [toy(gpu, name, precision=p) for name, p in (("PyTorch MATH", "float32"), *attention.COMPARED[2:4])]
    found = told(gpu, *among, tmp_path=tmp_path, sizes=sizes)
    order = [(row["contender"].split(",")[0], row["kind"], row.get("T")) for row in found][::2]
    first = [(name, "attention", T) for T in (8, 16) for name in ("tensor_cores", "PyTorch FLASH_ATTENTION")]
    first += [("tensor_cores", "launches", 8), ("PyTorch FLASH_ATTENTION", "kernels", None)]
    assert order == [*first, *(("PyTorch MATH", "attention", T) for T in (8, 16))]
    launched = [row for row in found if row["kind"] == "kernels"]
    assert [(row["way"], row["kernels"], row["K"], row["causal"]) for row in launched] == [
        (way, ["a kernel"], 4, True) for way in ("forward", "backward")
    ]
    assert rows.line(launched[0]).endswith(" a kernel")


def test_kernels_of_a_rung_are_told_at_the_shortest_length(tmp_path, monkeypatch):
    gpu = FakeGpu(3e-6, 2e-6, launch=0, compile=0, peaks=Peaks())
    right, ask = toy(gpu, *attention.COMPARED[0]), named("forward_of_it")
    monkeypatch.setattr(device, "start", lambda *launched: gpu.work())

    def make(*given):
        return right.make(*given)._replace(forward=lambda: device.launch(ask, 1, 32), backward=gpu.work)

    sizes = [TINY, TINY._replace(causal=False), TINY._replace(T=16)]
    found = [row for row in told(gpu, right._replace(make=make), tmp_path=tmp_path, sizes=sizes) if "launches" in row]
    assert [(row["T"], row["causal"], row["way"]) for row in found] == [
        (8, causal, way) for causal in (True, False) for way in ("forward", "backward")
    ]
    assert found[0]["launches"] == {"forward_of_it": pytest.approx(3e-6)} and found[1]["launches"] == {}
    assert rows.line(found[0]).split()[-4:] == ["forward", "forward_of_it", "3", "µs"]


def test_a_device_that_gives_up_between_kernels_is_told(tmp_path, monkeypatch):
    def fail(*launched):
        raise RuntimeError("gone")

    monkeypatch.setattr(attention, "by_kernel", fail)
    gpu = FakeGpu(3e-6, 2e-6, launch=0, compile=0, peaks=Peaks())
    last = told(gpu, toy(gpu, *attention.COMPARED[0]), tmp_path=tmp_path)[-1]
    assert last["kind"] == "launches" and last["refused"] == "RuntimeError: gone"
    assert rows.line(last).endswith("not told: RuntimeError: gone")


def test_a_profiler_that_may_not_look_is_told(tmp_path):
    def refuse(work):
        raise RuntimeError("no permission")

    gpu = FakeGpu(1e-3, 1e-3)
    right = toy(gpu, "PyTorch FLASH_ATTENTION", precision="bfloat16")
    contender = right._replace(make=lambda *given: right.make(*given)._replace(kernels=refuse))
    told_at_last = told(gpu, contender, tmp_path=tmp_path)[-1]
    assert told_at_last["refused"] == "RuntimeError: no permission"
    assert rows.line(told_at_last).endswith("not told: RuntimeError: no permission")


def test_whoever_there_is_comes_at_sizes_of_its_own():
    at = {contender[:2]: attention.sizes_of(contender) for contender in attention.contenders()}
    assert list(at)[-2:] == [("CPU kernels", "float32"), ("NumPy", "float32")]
    for name in at.keys() & set(attention.COMPARED):
        assert at[name] == attention.SIZES
    assert at["NumPy", "float32"] == at["CPU kernels", "float32"] == [attention.Size(512)]
    for name in ("naive", "tiled", "flash", "flash_registers"):
        assert {(size.T, size.K) for size in at[name, "float32"]} == {
            (T, K) for T in (512, 1024, 2048) for K in (64, 128)
        }
        assert not any(size.causal for size in at[name, "float32"])


def test_the_processor_is_not_asked_without_half_a_minute():
    kept = SimpleNamespace(add=lambda **row: asked.append(row), named=lambda kind: [])
    asked, size = [], attention.Size(8, 64, True, 16, 64)
    host = attention.Contender("NumPy", "float32", attention.by_backend("reference"))
    attention.run(FakeGpu(), kept, [size], [host], late=lambda seconds=0: seconds > 10)
    assert asked == []
    attention.run(FakeGpu(), kept, [size], [host], late=lambda seconds=0: seconds > 60)
    assert [row["launch"] for row in asked] == [None, None]


@pytest.mark.parametrize("causal", [True, False])
def test_the_exact_answer_is_the_references(causal):
    q, k, v, dy = np.random.default_rng(0).normal(size=(4, 1, 1, 23, 5))
    y, saved = operation.__wrapped__(q, k, v, causal=causal)
    theirs = y, *operation.implementations["reference"][1](dy, saved)[:3]
    mine = attention.exact(*(part[0, 0] for part in (q, k, v, dy)), causal, rows=7)
    for one, other in zip(mine, theirs, strict=True):
        assert np.abs(one - other[0, 0]).max() < 1e-13


def test_the_exact_answer_is_that_of_every_head_it_is_known_of():
    inputs = attention.inputs_of(TINY)
    exact = attention.expected(inputs, TINY)
    work = attention.by_backend("reference")(inputs, TINY, "float32")
    work.forward(), work.backward()
    answer = work.answer(list(exact))
    assert set(exact) == {(0, 0), (1, 1)} and attention.off_by(answer, exact) < 1e-6
    for name in ("y", "dq", "dk", "dv"):
        damaged = {head: {part: array.copy() for part, array in parts.items()} for head, parts in answer.items()}
        damaged[1, 1][name][-1, -1] = np.nan
        assert not attention.off_by(damaged, exact) <= 1
    assert attention.known_heads(attention.Size(4096)) == [(1, 31)]


def test_all_sizes_have_the_same_numbers_in_both_precisions():
    one, other = attention.inputs_of(TINY), attention.inputs_of(TINY._replace(T=16, K=2))
    for precision in ("float32", "bfloat16"):
        assert all(np.array_equal(a.ravel(), b.ravel()) for a, b in zip(one[precision], other[precision], strict=True))
    assert np.array_equal(one["float32"], from_bfloat16(np.array(one["bfloat16"])))
    assert np.std(one["float32"]) == pytest.approx(1, abs=0.2)


def test_of_what_a_profiler_saw_the_kernels_of_attention_are_kept():
    seen = [
        "Activity Buffer Request",
        "Memset (Device)",
        "cudaLaunchKernel",
        "cuLaunchKernelEx",
        "void at::native::vectorized_elementwise_kernel<4, at::native::FillFunctor<unsigned char> >(int)",
        "void at::native::reduce_kernel<512, 1, at::native::ReduceOp<float> >(at::native::ReduceOp<float>)",
        "cudnn_generated_fort_native_sdpa_sm90_flash_bprop_wgmma_f16_knob_26_64x64x128_1x4x1_cga1x1x1_kernel0_0",
        "void cudnn::fusion::compute_dot_do_o_specialized<true, 128>(void const*, void const*)",
        "fmha_cutlassF_f32_aligned_64x64_rf_sm80(PyTorchMemEffAttention::AttentionKernel<float, 64>::Params)",
        f"void pytorch_flash::flash_fwd_kernel<Flash_fwd_kernel_traits<{'128, ' * 20}> >(pytorch_flash::Params)",
        "void (anonymous namespace)::softmax_warp_forward<float, float, float, 8, false, false>(float*, float const*)",
    ]
    assert attention.of_attention(seen) == [
        "cudnn::fusion::compute_dot_do_o_specialized<true, 128>",
        "cudnn_generated_fort_native_sdpa_sm90_flash_bprop_wgmma_f16_",
        "fmha_cutlassF_f32_aligned_64x64_rf_sm80",
        "pytorch_flash::flash_fwd_kernel",
        "softmax_warp_forward<float, float, float, 8, false, false>",
    ]


# ------------------------------------------------------------------------------------------------- the step, the report


def test_a_step_is_held_to_the_first_that_answers(tmp_path):
    gpu = FakeGpu(cold=3.0, warm=2.0)

    def contender(factor):
        def make(size):
            gpu.compiled = False
            return step.Work(gpu.work, lambda: {"loss": np.array([factor])}, gpu.work)

        return make

    kept = rows.Rows(tmp_path / "rows.jsonl", lambda line: None)
    among = {"CPU kernels": contender(1.0), "backend cuda": contender(1 + 1e-5), "PyTorch eager": contender(1.1)}
    step.run(gpu, kept, {"small": step.SIZES["small"]}, among)
    first, second, third = kept.rows
    assert second["compile"] == 7  # by the gradient, before it was found right
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


def test_what_pytorch_launched_is_told_once():
    row = {"contender": "PyTorch X, float32", "way": "forward", "causal": False, "kernels": ["a", "b"]}
    kept = [row | {"K": 64}, row | {"K": 128, "causal": True}, row | {"K": 64, "kernels": []}]
    assert rows.kernels(kept) == ["PyTorch X, float32, forward: a, b (K 64, K 128 causal)"]


# ------------------------------------------------------------------------------------------------------- many at once


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


def test_where_no_process_can_tell_anything_it_is_asked_here(tmp_path, monkeypatch):
    kept = rows.Rows(tmp_path / "rows.jsonl", lambda line: None)
    monkeypatch.setattr(correct, "check_rungs", lambda: [FINE])
    gpu_report.rungs(kept, ask=asked((("flash", "64"), [], "ended with status 1: exclusive")))
    assert [row["wrong"] for row in kept.rows] == [[]]


# --------------------------------------------------------------------------------------------------------- the bars


def timed(contender, way, T, warm, memory=1e6):
    place = {"K": 64, "causal": True, "T": T, "way": way, "group": way}
    return place | {"kind": "attention", "contender": contender, "warm": warm, "memory": memory}


def verdicts(kept):
    return {bar.what.split(":")[0]: bar.verdict for bar in bars.bars(kept)}


def test_bars_are_met_missed_or_not_measured():
    assert set(verdicts([]).values()) == {"not measured"}
    kept = [timed(bars.FLOAT32, "forward", T, 1e-3) for T in (512, 1024)]
    kept += [timed("flash, float32", "forward", T, 2e-3) for T in (512, 1024)]
    assert verdicts(kept)["float32 forward"] == "missed"
    kept += [timed("flash_registers, float32", "forward", 512, 1e-3), timed("flash, float32", "forward", 1024, 0.9e-3)]
    assert verdicts(kept)["float32 forward"] == "met" and verdicts(kept)["float32 backward"] == "not measured"
    kept += [timed(bars.FLASH, way, 512, 1e-3) for way in bars.SHARES]
    kept += [timed("tensor_cores, bfloat16", way, 512, 2.2e-3) for way in bars.SHARES]
    assert (verdicts(kept)["bfloat16 forward"], verdicts(kept)["bfloat16 backward"]) == ("missed", "met")


def test_bars_of_a_step_and_of_growth():
    names = list(bars.STEPS)
    steps = [{"kind": "step", "group": name, "contender": "PyTorch eager", "warm": 0.02} for name in names]
    for warm, verdict in ((0.029, "met"), (0.031, "missed")):
        for one, other in (names, names[::-1]):
            mine = {"kind": "step", "group": one, "contender": "backend cuda", "warm": warm}
            found = [bar for bar in bars.bars([*steps, mine]) if "training step" in bar.what]
            here, there = (found[names.index(name)] for name in (one, other))
            assert here.verdict == verdict and here.found == f"{warm / 0.02:.2f} ×"
            assert there.verdict == "not measured"
    for factor, memory, expected in ((2, 1e6, ("met", "met")), (4, 2e6, ("missed", "missed"))):
        kept = [timed("naive, float32", "forward", 512, 1e-3)]
        kept += [timed("naive, float32", "forward", 1024, factor * 1e-3, memory)]
        kept += [timed("PyTorch MATH, float32", "forward", T, T**3, T**3) for T in (512, 1024)]  # is not ours
        *_, time, memory = bars.bars(kept)
        assert (time.verdict, memory.verdict) == expected, (time, memory)


def test_lengths_become_lines():
    kept = [{"group": "g", "contender": "c", "T": T, "warm": T / 1e3} for T in (16, 8)] + [{"group": "g", "T": 4}]
    assert rows.growth(kept) == {("g", "c"): [(8, 0.008), (16, 0.016)]}
    assert rows.exponents(kept) == ["g: c grows as T^1.00 from T 8 to 16"]
    assert rows.shown(2.5e-3) == "2.5 ms" and rows.shown(4e-6) == "4 µs" and rows.shown(None) == "-"
    assert rows.shown(0.9996) == "1 s" and rows.shown(0.9996e-3) == "1 ms" and rows.shown(0.999) == "999 ms"
    assert picture.shown(999.6) == "1 s" and picture.shown(999.4) == "999 ms"


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
