"""python -m bench.gpu_report: all that a machine with a GPU can tell, in one command and under eight minutes.

First whether it is right: fragments of matrices in a warp, and every rung of attention on fresh inputs against float64.
Then the timings. Every row is on disk as soon as it is known; at the end there are one table, a JSON and a picture.
What is wrong is not timed.
"""

import argparse
import sys

from .__main__ import RESULTS


def fragments(rows):
    from .cuda.fragments import check_fragments

    for what, problem in check_fragments().items():
        rows.add(kind="layout", what=what, wrong=[problem] if problem else [])


def rungs(rows):
    from .cuda.correct import check_rungs

    for found in check_rungs():
        what = f"{found['rung']}: {found['cases']} cases, at most {found['worst']:.2f} of what it may be off by"
        rows.add(kind="correct", what=what, rung=found["rung"], wrong=found["wrong"])


def main(argv=None):
    parser = argparse.ArgumentParser(prog="python -m bench.gpu_report", description=__doc__.split("\n\n", 1)[1])
    parser.add_argument("--out", metavar="FOLDER", default=RESULTS, help="where results go (default: bench/results)")
    parser.add_argument("--minutes", type=float, default=7.5, metavar="X", help="default: %(default)s")
    args = parser.parse_args(argv)
    from .cuda.run import run

    try:
        rows = run(("step", "attention"), args.out, checks=(fragments, rungs), minutes=args.minutes)
    except (ValueError, OSError, ImportError) as error:
        print(f"python -m bench.gpu_report: {error}", file=sys.stderr)
        return 1
    return 1 if any(row.get("wrong") for row in rows) else 0


if __name__ == "__main__":
    sys.exit(main())
