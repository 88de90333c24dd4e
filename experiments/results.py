"""What the experiments have in common: one run a seed, a line for each, and results/NAME.json for all of them.

These files are committed, and every figure and curve of an experiment's page in the docs is made from them.
"""

import json
import time
from pathlib import Path

from minitransformer.files import read_json, write_atomically
from minitransformer.training.run import machine

FOLDER = Path(__file__).parent / "results"
SEEDS = (0, 1, 2)
THREADS = 2  # how fast, never what: a batch is cut by the settings


def measure(name, learn, settings, seeds=SEEDS):
    """learn(seed, threads) -> a run, a dict, for each seed: all into results/NAME.json, with what they depend on."""
    runs = []
    for seed in seeds:
        begin, begin_cpu = time.perf_counter(), time.process_time()
        run = {"seed": seed} | learn(seed, THREADS)
        run["seconds"] = round(time.perf_counter() - begin, 1)
        run["cpu_seconds"] = round(time.process_time() - begin_cpu, 1)  # of all threads; other work does not count
        runs.append(run)
        print(line(run), flush=True)
    write(FOLDER / f"{name}.json", {"settings": settings, "threads": THREADS, "machine": machine(), "runs": runs})


def line(run):
    """A run in short."""
    right = f"{run['right']:,} of {run['held_out']:,} held out are right"
    return f"seed {run['seed']}: {right}; {run['steps']:,} steps, {run['seconds']} s"


def write(path, found):
    """JSON with a line for every run, so that one sees in a difference which of them changed."""
    parts = {name: json.dumps(part, ensure_ascii=False) for name, part in found.items()}
    parts["runs"] = "[\n    " + ",\n    ".join(json.dumps(run) for run in found["runs"]) + "\n  ]"
    text = ",\n".join(f'  "{name}": {part}' for name, part in parts.items())
    path.parent.mkdir(exist_ok=True)
    write_atomically(path, f"{{\n{text}\n}}\n".encode())


def read(name):
    """What results/NAME.json holds. OSError, ValueError where it is missing or damaged."""
    return read_json(FOLDER / f"{name}.json")
