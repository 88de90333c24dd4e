"""python -m bench WHAT [SIZE ...]: reference NumPy, Numba kernels and PyTorch, side by side.

Every contender runs in a process of its own, is held to the reference before it is timed, and takes its turn, round
after round. Printed are medians over the rounds with their spread, the share of what this machine can do at best
(measured in the same run), and how much memory was needed beyond the inputs. Let nothing else run meanwhile.
"""

import argparse
import sys
from datetime import date
from importlib import import_module
from importlib.util import find_spec
from pathlib import Path

from minitransformer.files import to_json, write_atomically
from minitransformer.installing import install

from .compare import compare
from .machine import least_time, machine, measured_floor

BENCHMARKS = ("step", "products", "why", "attention", "decoding", "operation", "recurrent", "block", "start")
BENCHMARKS += ("reading", "tokenizers")
RESULTS = Path(__file__).parent / "results"


def main():
    parser = argparse.ArgumentParser(prog="python -m bench", description=__doc__.split("\n\n", 1)[1])
    parser.add_argument("what", choices=BENCHMARKS)
    parser.add_argument("sizes", nargs="*", metavar="SIZE", help="default: all of them")
    parser.add_argument("--rounds", type=int, default=7, metavar="N", help="default: %(default)s, at least 5")
    parser.add_argument(
        "--seconds", type=float, default=1.0, metavar="X", help="of timing a round (default: %(default)s)"
    )
    parser.add_argument("--without", nargs="+", default=(), metavar="NAME", help="leave these contenders out")
    parser.add_argument("--cuda", action="store_true", help="on a GPU (attention, step): CPU, every rung, PyTorch")
    parser.add_argument("--out", metavar="FOLDER", default=RESULTS, help="where results go (default: bench/results)")
    args = parser.parse_args()
    try:
        if args.cuda:
            return on_gpu(args)
        run(args, import_module(f"bench.{args.what}").BENCHMARK)
    except (ValueError, OSError, RuntimeError, ImportError) as error:
        print(f"python -m bench: {error}", file=sys.stderr)
        return 1
    return 0


def on_gpu(args):
    """The status with which it ends: 1 where something was wrong."""
    from .cuda.run import TIMINGS
    from .cuda.run import run as timings

    if args.what not in TIMINGS:
        raise ValueError(f"--cuda is for {' and '.join(TIMINGS)}, not for {args.what}")
    if args.sizes or args.without:
        raise ValueError("--cuda times every size and contender that there is time for")
    return 1 if any(row.get("wrong") for row in timings((args.what,), args.out)) else 0


def run(args, benchmark):
    sizes = args.sizes or list(benchmark.sizes)
    if unknown := [size for size in sizes if size not in benchmark.sizes]:
        raise ValueError(f"unknown size {unknown[0]!r}; there are: {', '.join(benchmark.sizes)}")
    if unknown := [name for name in args.without if name not in benchmark.contenders]:
        raise ValueError(f"unknown contender {unknown[0]!r}; there are: {', '.join(benchmark.contenders)}")
    if args.rounds < 5:
        raise ValueError(f"--rounds must be at least 5, not {args.rounds}")
    names = [name for name in benchmark.contenders if name not in args.without and possible(name)]
    if names[:1] != (first := list(benchmark.contenders)[:1]):
        raise ValueError(f"without {first[0]} there is nothing to hold the others to")
    here = machine()
    print(f"{benchmark.about}: {here['processor']}, {here['cores']} cores, {here['versions']}")
    result = {"benchmark": args.what, "about": benchmark.about, "date": str(date.today()), "machine": here, "sizes": {}}
    for size in sizes:
        floor = measured_floor()
        able = [name for name in names if name != benchmark.apart.get(size)]
        rows = compare(
            f"bench.{args.what}", benchmark, size, able, rounds=args.rounds, seconds=args.seconds, say=progress
        )
        work = benchmark.work(benchmark.sizes[size])
        result["sizes"][size] = {"what": benchmark.sizes[size]._asdict(), "floor": floor, "work": work, "rows": rows}
        table(size, rows, work, floor)
        Path(args.out).mkdir(parents=True, exist_ok=True)
        write_atomically(Path(args.out) / f"{args.what}.json", to_json(result))  # every size as it comes
    try:
        from .picture import draw
    except ImportError:
        print(f"no picture: it takes matplotlib, which `{install('plot')}` brings")
        return
    path = Path(args.out) / f"{args.what}.png"
    write_atomically(path, draw(result))
    print(f"{path.with_suffix('.json')}, {path}")


def possible(name):
    """Whether this machine has the library that a contender is made of."""
    needs = {"PyTorch": "torch", "transformers": "transformers", "tokenizers": "tokenizers"}
    return all(find_spec(module) for library, module in needs.items() if name.startswith(library))


def progress(line):
    print(f"\r\033[K{line}", end="", file=sys.stderr, flush=True)


def table(size, rows, work, floor):
    print(f"\r\033[K{size}: at best {rate(work, floor)}")
    base, first = least_time(work, floor), rows[0]["median"]
    width = max(len(row["contender"]) for row in rows)
    for row in rows:
        print(
            f"  {row['contender']:{width}}  {row['median'] * 1e3:10.3f} ms  ({row['least'] * 1e3:.3f} to "
            f"{row['most'] * 1e3:.3f})  {first / row['median']:6.2f} x {rows[0]['contender']}  "
            f"{base / row['median']:5.0%} of the floor"
            f"  off {row['off']:.0e}  {row['peak'] / 2**20:8.1f} MB  {row['about']}"
        )


def rate(work, floor):
    return (
        f"{least_time(work, floor) * 1e3:.3f} ms ({floor['flops'] / 1e9:.0f} GFLOP/s in products, "
        f"{floor['bytes'] / 1e9:.1f} GB/s from memory)"
    )


if __name__ == "__main__":
    sys.exit(main())
