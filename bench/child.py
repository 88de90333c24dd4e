"""A contender in a process of its own, which does as it is told on its standard input, a line of JSON at a time.

{"do": "answer"}            {"answer": {name: [...]}}
{"do": "time", "n": 3}      {"seconds": [...], "peak": bytes that its memory grew by at most}
"""

import json
import resource
import sys
import time
from importlib import import_module


def main():
    module, size, name = sys.argv[1:4]
    replies, sys.stdout = sys.stdout, sys.stderr  # nothing that a library prints comes between
    benchmark = import_module(module).BENCHMARK
    make = benchmark.contenders[name]
    if benchmark.tiny is not None:
        make(benchmark.tiny).run()  # so that what is loaded and compiled does not count as memory of the work
    contender = make(benchmark.sizes[size])
    before = begin_peak()
    print(json.dumps({"ready": contender.about}), file=replies, flush=True)
    for line in sys.stdin:
        order = json.loads(line)
        if order["do"] == "answer":
            found = {name: array.tolist() for name, array in contender.answer().items()}
            print(json.dumps({"answer": found}), file=replies, flush=True)
        else:
            seconds = [timed(contender.run) for _ in range(order["n"])]
            print(json.dumps({"seconds": seconds, "peak": max(peak() - before, 0)}), file=replies, flush=True)


def timed(run):
    begin = time.perf_counter()
    run()
    return time.perf_counter() - begin


def begin_peak():
    """Forget what memory was needed so far, where the system can (Linux), and how much it is now, in bytes."""
    try:
        with open("/proc/self/clear_refs", "w", encoding="ascii") as file:
            file.write("5")
    except OSError:
        pass
    return peak()


def peak():
    """The most memory that this process has had, in bytes."""
    try:
        with open("/proc/self/status", encoding="ascii") as file:
            return 1024 * next(int(line.split()[1]) for line in file if line.startswith("VmHWM"))
    except (OSError, StopIteration):
        unit = 1 if sys.platform == "darwin" else 1024
        return unit * resource.getrusage(resource.RUSAGE_SELF).ru_maxrss


if __name__ == "__main__":
    main()
