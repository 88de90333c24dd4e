"""What the clock tells of work that takes a known time, and what it refuses to believe."""

import pytest

from bench.cuda import clock
from bench.cuda.clock import Mismeasured, Peaks, check_possible, measure, measure_on_host, peaks_of
from minitransformer.kernels.cuda import device

from .made_up import FakeGpu, named


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
