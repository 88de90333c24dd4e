"""Rows of attention: who is asked when, and what is told of whom."""

from types import SimpleNamespace

import numpy as np
import pytest

from bench.cuda import attention, rows
from bench.cuda.clock import Peaks
from bench.cuda.contenders import Contender, by_backend, contenders
from minitransformer.kernels.cuda import device
from minitransformer.kernels.cuda.attention.bfloat16 import from_bfloat16

from .made_up import TINY, FakeGpu, named, told, toy


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


def test_who_is_compared_comes_first_then_the_others_and_a_profiler_last(tmp_path):
    gpu = FakeGpu(1e-3, 1e-3)
    sizes = [TINY, TINY._replace(T=16)]
    among = [toy(gpu, name, precision=p) for name, p in (("PyTorch MATH", "float32"), *attention.COMPARED[2:4])]
    found = told(gpu, *among, tmp_path=tmp_path, sizes=sizes)
    order = [(row["contender"].split(",")[0], row["kind"], row.get("T")) for row in found][::2]
    first = [(name, "attention", T) for T in (8, 16) for name in ("tensor_cores", "PyTorch FLASH_ATTENTION")]
    others = [("tensor_cores", "launches", 8), *(("PyTorch MATH", "attention", T) for T in (8, 16))]
    assert order == [*first, *others, ("PyTorch FLASH_ATTENTION", "kernels", None)]
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
    at = {contender[:2]: attention.sizes_of(contender) for contender in contenders()}
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
    host = Contender("NumPy", "float32", by_backend("reference"))
    attention.run(FakeGpu(), kept, [size], [host], late=lambda seconds=0: seconds > 10)
    assert asked == []
    attention.run(FakeGpu(), kept, [size], [host], late=lambda seconds=0: seconds > 60)
    assert [row["launch"] for row in asked] == [None, None]


def test_less_than_half_a_minute_is_left_to_the_others(tmp_path):
    gpu, host = FakeGpu(), Contender("NumPy", "float32", by_backend("reference"))
    found = told(gpu, host, toy(gpu), tmp_path=tmp_path, late=lambda seconds=0: seconds > 10)
    assert {row["contender"] for row in found} == {"toy, float32"}


def test_all_sizes_have_the_same_numbers_in_both_precisions():
    one, other = attention.inputs_of(TINY), attention.inputs_of(TINY._replace(T=16, K=2))
    for precision in ("float32", "bfloat16"):
        assert all(np.array_equal(a.ravel(), b.ravel()) for a, b in zip(one[precision], other[precision], strict=True))
    assert np.array_equal(one["float32"], from_bfloat16(np.array(one["bfloat16"])))
    assert np.std(one["float32"]) == pytest.approx(1, abs=0.2)
