"""Contenders in processes of their own, each held to the reference first, then timed in turn, round after round.

One after another would give one of them the quiet minute and another the noisy one; in one process, the waiting threads
of one library slow down the other.
"""

import json
import statistics
import subprocess
import sys
from contextlib import ExitStack

import numpy as np


class Wrong(ValueError):
    """A contender's answer is not the reference's: its time would mean nothing."""


class Child:
    """One contender's process."""

    def __init__(self, module, size, name):
        command = [sys.executable, "-m", "bench.child", module, size, name]
        self.name = name
        self.process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.process.stdin.close()
        self.process.wait()

    def read(self):
        line = self.process.stdout.readline()
        if not line:
            raise RuntimeError(f"{self.name} ended with status {self.process.wait()}")
        return json.loads(line)

    def ask(self, **order):
        self.process.stdin.write(json.dumps(order) + "\n")
        self.process.stdin.flush()
        return self.read()


def error(answer, expected):
    """The largest difference, each relative to the largest number of what it is a difference of.

    What is a thousand times smaller than the largest of all is held to that: the gradient of a key's bias is zero but
    for rounding, and no two roundings agree.
    """
    if answer.keys() != expected.keys():
        raise Wrong(f"answers {sorted(answer)}, expected {sorted(expected)}")
    worst, most = 0.0, max(float(np.abs(values).max(initial=0)) for values in expected.values())
    for name, values in expected.items():
        mine, theirs = np.asarray(answer[name], np.float64), np.asarray(values, np.float64)
        if mine.shape != theirs.shape or not np.isfinite(mine).all():
            return np.inf
        worst = max(
            worst, float(np.abs(mine - theirs).max(initial=0) / max(np.abs(theirs).max(initial=0), 1e-3 * most, 1e-30))
        )
    return worst


def compare(module, benchmark, size, names, *, rounds, seconds, say=print):
    """Rows of one size of `module.BENCHMARK`: what each contender is off by, its times, its memory.

    seconds: about how long a contender is timed in a round, at least one run   `Wrong` where one is off by too much
    """
    with ExitStack() as stack:
        children = []
        for name in names:  # one at a time: compiling disturbs
            child = stack.enter_context(Child(module, size, name))
            children.append((child, child.read()["ready"]))
        rows, expected = [], None
        for child, about in children:
            answer = child.ask(do="answer")["answer"]
            expected = answer if expected is None else expected
            off = error(answer, expected)
            if not off <= benchmark.tolerance:
                raise Wrong(
                    f"{child.name} at {size} is off by {off:.1e}, more than {benchmark.tolerance:.0e}: not timed"
                )
            warm = child.ask(do="time", n=2)["seconds"][-1]
            runs = max(1, min(int(seconds / max(warm, 1e-9)), 1000))
            rows.append({"contender": child.name, "off": off, "runs": runs, "rounds": [], "about": about})
        for turn in range(rounds):
            for (child, _), row in zip(children, rows, strict=True):
                reply = child.ask(do="time", n=row["runs"])
                row["rounds"].append(statistics.median(reply["seconds"]))
                row["peak"] = reply["peak"]
            say(
                f"round {turn + 1} of {rounds}: " + ", ".join(f"{r['contender']} {r['rounds'][-1]:.3g} s" for r in rows)
            )
    for row in rows:
        row["median"] = statistics.median(row["rounds"])
        row["least"], row["most"] = min(row["rounds"]), max(row["rounds"])
    return rows
