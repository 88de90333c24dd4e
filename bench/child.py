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
    benchmark = import_module(f"bench.{module}").BENCHMARK
    contender = benchmark.contenders[name](benchmark.sizes[size])
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    print(json.dumps({"ready": contender.about}), file=replies, flush=True)
    for line in sys.stdin:
        order = json.loads(line)
        if order["do"] == "answer":
            found = {name: array.tolist() for name, array in contender.answer().items()}
            print(json.dumps({"answer": found}), file=replies, flush=True)
        else:
            seconds = [timed(contender.run) for _ in range(order["n"])]
            peak = 1024 * (resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before)
            print(json.dumps({"seconds": seconds, "peak": peak}), file=replies, flush=True)


def timed(run):
    begin = time.perf_counter()
    run()
    return time.perf_counter() - begin


if __name__ == "__main__":
    main()
