"""How long work takes on a device, taken apart.

    compile     the first call, less what a call takes afterwards: a kernel is compiled when it is first called. Where
                another process compiled it before, many beside each other on as many cores, what it took there
    transfer    the inputs from the host's memory to the device's
    launch      until the host may go on; the device is still at work, or has not begun
    cold        the device's own time, between two events, with nothing of the inputs in its L2 cache
    warm        the same straight after the same work

Before each timed window the device is given something else to do, so that everything is in its queue when the window
begins: without that, the time in which the host prepares a launch would count as the kernel's.
"""

import re
import statistics
import sys
import time
from pathlib import Path
from typing import NamedTuple

REPEATS, FEWEST, LONG = 10, 3, 0.3  # how often each is repeated: less where all that would take so many seconds
BUSY = 3e-3  # seconds of other work before a window: longer than the host needs to queue what is timed

# TFLOP/s in float32 (without tensor cores) and in bfloat16 (dense, with them), TB/s of memory: the makers' data sheets
KNOWN = {
    "H200": (67.0, 989.0, 4.8),
    "H100 PCIe": (51.0, 756.0, 2.0),
    "H100 NVL": (60.0, 835.0, 3.9),
    "H100": (67.0, 989.0, 3.35),
    "A100": (19.5, 312.0, 2.04),
    "L40S": (91.6, 362.0, 0.864),
    "L4": (30.3, 121.0, 0.3),
    "A10": (31.2, 125.0, 0.6),
    "T4": (8.1, 65.0, 0.32),
    "4090": (82.6, 165.2, 1.008),
    "3090": (35.6, 71.0, 0.936),
}


class Peaks(NamedTuple):
    """What a device can do at best, a second; None where that is not known."""

    float32: float | None = None
    bfloat16: float | None = None
    bytes: float | None = None

    @property
    def parts(self):
        """Of float32 on tensor cores, in parts: six products of bfloat16, or three of TF32"""
        return self.bfloat16 and self.bfloat16 / 6


class Mismeasured(ValueError):
    """A time in which no device of this kind could have done the work: the measurement is wrong, not the device."""


class Times(NamedTuple):
    """Seconds; of `cold` and `warm` the median of all repeats, and the least and the most."""

    compile: float
    transfer: float | None
    launch: float | None
    cold: float
    cold_range: tuple
    warm: float
    warm_range: tuple


def peaks_of(name):
    """Peaks of the device of this name, as its driver gives it."""
    for known, (float32, bfloat16, memory) in KNOWN.items():
        if known in name:
            return Peaks(float32 * 1e12, bfloat16 * 1e12, memory * 1e12)
    return Peaks()


def measure(gpu, work, bring=None, repeats=None, first=None):
    """Times of work() on this device, whose inputs bring() brings there; first: what its first call took, if it was."""
    transfer = wall(gpu, bring) if bring else None
    first = wall(gpu, work) if first is None else first
    again = wall(gpu, work)
    repeats = repeats or max(min(int(LONG / again), REPEATS), FEWEST)
    begin = gpu.now()
    work()
    launch = gpu.now() - begin
    gpu.synchronize()
    cold, warm = [], []
    for _ in range(repeats):
        gpu.flush()
        cold.append(gpu.timed(work))
    for _ in range(repeats):
        gpu.flush()  # the same other work, and then what brings the inputs back
        work()
        warm.append(gpu.timed(work))
    spread = [(min(times), max(times)) for times in (cold, warm)]
    middle = statistics.median(cold), statistics.median(warm)
    return Times(max(first - again, 0.0), transfer, launch, middle[0], spread[0], middle[1], spread[1])


def measure_on_host(work, first, now=time.perf_counter):
    """The same of work on the processor, whose first call took so long: what a second takes, which is all there is."""
    begin = now()
    work()
    again = now() - begin
    return Times(max(first - again, 0.0), None, None, again, (again, again), again, (again, again))


def wall(gpu, work):
    gpu.synchronize()
    begin = gpu.now()
    work()
    gpu.synchronize()
    return gpu.now() - begin


def by_kernel(gpu, work, repeats=FEWEST):
    """{name of a kernel: seconds on the device} of all that work() launches, each alone, with a cold cache"""
    runs = [launches(gpu, work) for _ in range(repeats)]
    found = {}
    for same in zip(*runs, strict=True):
        (name, _), seconds = same[0], statistics.median(seconds for _, seconds in same)
        found[name] = found.get(name, 0.0) + seconds
    return found


def launches(gpu, work):
    """[(name of a kernel, seconds)] of all that work() launches, in that order"""
    from minitransformer.kernels.cuda.device import launches_go_to

    found = []

    def timed(kernel, *how):
        gpu.flush()
        found.append((kernel.py_func.__name__, gpu.timed(lambda: start(kernel, *how))))

    with launches_go_to(timed) as start:
        work()
    return found


def check_possible(times, peaks, precision, flops, n_bytes):
    """Mismeasured where more was done in a second than the device can: operations, or, cold, bytes of memory."""
    least = min(times.cold_range[0], times.warm_range[0])
    if not least > 0:
        raise Mismeasured(f"a window of {least:.2e} s: the events saw nothing")
    peak = getattr(peaks, precision)
    if peak is not None and flops / least > peak:
        raise Mismeasured(f"{flops / least / 1e12:.4g} TFLOP/s in {precision}, but the peak is {peak / 1e12:.4g}")
    if peaks.bytes is not None and n_bytes / times.cold_range[0] > peaks.bytes:
        rate = n_bytes / times.cold_range[0] / 1e12
        raise Mismeasured(f"{rate:.4g} TB/s from memory, but the peak is {peaks.bytes / 1e12:.4g}")


def driver_module(path="/proc/driver/nvidia/version"):
    """The version of the driver's kernel module, where the system tells: 580.159.04"""
    try:
        found = re.search(r"Module.*?(\d+\.[\d.]+)", Path(path).read_text(encoding="utf-8"))
    except OSError:
        return None
    return found and found[1]


class Gpu:
    """The device that CuPy uses, and its clock. ValueError for the simulator, in which there is nothing to time."""

    def __init__(self):
        from minitransformer.kernels.cuda.device import SIMULATED, check_device

        if SIMULATED:
            raise ValueError("NUMBA_ENABLE_CUDASIM is set: the simulator's times say nothing, and are not taken")
        check_device()
        import cupy

        self.cupy, properties = cupy, cupy.cuda.runtime.getDeviceProperties(0)
        self.name = properties["name"].decode()
        self.peaks = peaks_of(self.name)
        self.room = cupy.empty(max(4 * properties["l2CacheSize"], 1 << 26), cupy.uint8)
        self.fills = 1
        self.fills = self.fills_for(BUSY)
        self.about = {
            "device": self.name,
            "capability": f"sm_{properties['major']}{properties['minor']}",
            "memory": properties["totalGlobalMem"],
            "driver": cupy.cuda.runtime.driverGetVersion(),
            "toolkit": cupy.cuda.runtime.runtimeGetVersion(),
            "module": driver_module(),
        }

    now = staticmethod(time.perf_counter)

    def synchronize(self):
        self.cupy.cuda.get_current_stream().synchronize()
        self.cupy.cuda.runtime.deviceSynchronize()

    def fills_for(self, seconds):
        self.flush()
        return max(int(seconds / self.timed(self.flush)) + 1, 1)

    def flush(self):
        """Other work on memory of four times the L2 cache, so that nothing else is left in it."""
        for i in range(self.fills):
            self.room.fill(i)

    def timed(self, work):
        """Seconds between two events around the work, on the stream that Numba's kernels and PyTorch's use too."""
        begin, end = self.cupy.cuda.Event(), self.cupy.cuda.Event()
        begin.record()
        work()
        end.record()
        end.synchronize()
        return self.cupy.cuda.get_elapsed_time(begin, end) / 1e3

    def used(self):
        """Bytes of its memory that arrays take, CuPy's and PyTorch's."""
        torch = sys.modules.get("torch")
        theirs = torch.cuda.memory_allocated() if torch and torch.cuda.is_available() else 0
        return self.cupy.get_default_memory_pool().used_bytes() + theirs
