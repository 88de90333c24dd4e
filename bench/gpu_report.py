"""python -m bench.gpu_report: all that a machine with a GPU can tell, in one command and under eight minutes.

First whether it is right: fragments of matrices in a warp, and every rung of attention on fresh inputs against float64.
Then the timings: training steps first. Every row is on disk as soon as it is known; at the end there are one table, a
JSON and a picture. What is wrong is not timed.
"""

import argparse
import sys
import time

from .__main__ import RESULTS


def fragments(rows):
    from .cuda.fragments import check_fragments

    for what, problem in check_fragments().items():
        rows.add(kind="layout", what=what, wrong=[problem] if problem else [])


def rungs(rows, seconds=180, ask=None):
    """Many processes at once; where not one of them could tell anything, all is asked here while there is time."""
    from .cuda.correct import LATE, RUNGS, check_rungs, jobs, side_by_side

    failed, told, end = [], False, time.monotonic() + seconds
    for (what, *which), found, problem in (ask or side_by_side)(jobs(), seconds):
        told = told or bool(found)
        for row in found:
            add = compiled if what == "step" else checked
            add(rows, row, *which)
        if problem == LATE.format(seconds):  # of a rung it is not known whether it is right
            rows.add(kind="compile" if what == "step" else "correct", what=" ".join((what, *which)), refused=problem)
        elif problem:
            failed.append((what, which, problem))
    if failed and not told:  # processes of their own cannot use this device
        left = list(RUNGS)
        for row in check_rungs():
            checked(rows, row, "of every width")
            left.remove(row["rung"])
            if time.monotonic() > end:  # one by one they take minutes
                break
        for what in left:
            rows.add(kind="correct", what=what, refused=LATE.format(seconds))
        return
    for what, which, problem in failed:
        if what == "step":
            rows.add(kind="compile", what=" ".join((what, *which)), refused=problem)
        else:
            rows.add(kind="correct", what=" ".join((what, *which)), rung=what, wrong=[problem])


def checked(rows, found, *which):
    what = f"{found['rung']} {' '.join(which)}: {found['cases']} cases, at most {found['worst']:.2f} of its bound"
    rows.add(kind="correct", what=what, **found)


def compiled(rows, found, contender):
    rows.add(kind="compile", what=f"step {found['size']}, {contender}", **found)


def main(argv=None):
    parser = argparse.ArgumentParser(prog="python -m bench.gpu_report", description=__doc__.split("\n\n", 1)[1])
    parser.add_argument("--out", metavar="FOLDER", default=RESULTS, help="where results go (default: bench/results)")
    parser.add_argument(
        "--minutes", type=float, default=7.5, metavar="X", help="that all of it may take (default: %(default)s)"
    )
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
