"""A device that is made up: its clock, its work and its mistakes are known, so what is told of it must be."""

import json
from types import SimpleNamespace

import numpy as np

from bench.cuda import attention, rows
from bench.cuda.clock import Peaks
from bench.cuda.contenders import Contender, Work, by_backend

PLENTY = Peaks(1e15, 1e15, 1e15)
TINY = attention.Size(8, 4, True, 16, 8)  # B 2, H 2, T 8, K 4


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


def toy(gpu, name="toy", wrong=0.0, precision="float32", backward=True, fails=None):
    """A contender that has the right answer, or nearly"""

    def make(inputs, size, precision):
        if fails:
            raise RuntimeError(fails)
        reference = by_backend("reference")(inputs, size, precision)
        reference.forward()
        reference.backward()

        def answer(heads):
            found = reference.answer(heads)
            return {
                head: {part: array * np.float32(1 + wrong * (part == "dv")) for part, array in parts.items()}
                for head, parts in found.items()
            }

        return Work(gpu.bring, gpu.work, gpu.work if backward else None, answer, lambda work: ["a kernel"])

    return Contender(name, precision, make)


def told(gpu, *contenders, tmp_path, sizes=(TINY,), **more):
    kept = rows.Rows(tmp_path / "rows.jsonl", lambda line: None)
    attention.run(gpu, kept, sizes, contenders, **more)
    assert [json.loads(line) for line in kept.path.read_text().splitlines()] == json.loads(json.dumps(kept.rows))
    return kept.rows


def named(name):
    return SimpleNamespace(py_func=SimpleNamespace(__name__=name))
