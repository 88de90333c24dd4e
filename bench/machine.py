"""What a timing depends on, and what this machine could do at best: its floor, measured in the same run.

Run as a module, it measures in a process of its own and prints JSON.
"""

import json
import platform
import subprocess
import sys
import time

import numpy as np

from minitransformer.threads import available_cores as cores


def processor():
    try:
        with open("/proc/cpuinfo", encoding="utf-8") as file:
            names = [line.split(":", 1)[1].strip() for line in file if line.startswith("model name")]
        return names[0]
    except (OSError, IndexError):
        return platform.processor() or platform.machine()


def versions():
    from importlib.metadata import PackageNotFoundError, version

    found = {"python": platform.python_version()}
    cuda = ("numba-cuda", "cupy-cuda12x", "cupy-cuda13x")
    for name in ("numpy", "numba", "scipy", "torch", "transformers", "tokenizers", *cuda):
        try:
            found[name] = version(name)
        except PackageNotFoundError:
            continue
    return found


def all_cores():
    """The `map` of as many workers as there are cores, who stay until the process ends."""
    from minitransformer.threads import workers

    context = workers(cores())
    held.append(context)  # a context that nobody holds is over
    return context.__enter__()


held = []


def best(work, repeats):
    times = []
    for _ in range(repeats):
        begin = time.perf_counter()
        work()
        times.append(time.perf_counter() - begin)
    return min(times)


def floor():
    """Operations and bytes a second: a large float32 product on every core, and arrays too large for any cache."""
    from minitransformer.threads import spread, workers

    n, pieces = 1536, range(cores())
    a, b = np.ones((n, n), np.float32), np.ones((n, n), np.float32)
    parts = [np.ones(2**28 // len(pieces), np.float32) for _ in pieces]  # 1 GB together
    with workers(cores()):
        flops = len(pieces) * 2 * n**3 / best(lambda: spread(lambda _: a @ b, pieces), 12)
        read = sum(part.nbytes for part in parts) / best(lambda: spread(lambda part: part.sum(), parts), 5)
    return {"flops": flops, "bytes": read}


def measured_floor():
    command = [sys.executable, "-m", "bench.machine"]
    return json.loads(subprocess.run(command, check=True, capture_output=True, text=True).stdout)


def machine():
    return {"processor": processor(), "cores": cores(), "system": platform.system(), "versions": versions()}


if __name__ == "__main__":
    print(json.dumps(floor()))


def least_time(work, floor):
    """Seconds that the work would take if the machine did nothing else, and that at its best."""
    return max(work.get("flops", 0) / floor["flops"], work.get("bytes", 0) / floor["bytes"])
