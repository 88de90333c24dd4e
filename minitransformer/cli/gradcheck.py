"""Check backward passes against finite differences: everything registered, or your own pair of functions.

    minitransformer gradcheck                     everything
    minitransformer gradcheck layer_norm GPT2     these
    minitransformer gradcheck mine.py:gelu        gelu and gelu_backward in your file

The exit status says the same as the table: 0 where all passed, 1 where one did not.
"""

HELP = "check every backward pass against finite differences"
BACKEND = "reference"


def arguments(parser):
    parser.add_argument("names", nargs="*", metavar="NAME", help="a registered name, or file.py:function")
    parser.add_argument("--seed", type=int, default=0, help="what inputs and directions are drawn from")
    parser.add_argument("--json", action="store_true", help="print JSON instead of a table")


def run(args):
    import json

    from ..gradcheck.report import report

    if args.seed < 0:
        raise ValueError(f"--seed must be at least 0, not {args.seed}")
    rows = report(args.names, args.seed)
    if args.json:
        rows = list(rows)
        print(json.dumps([row.as_dict() for row in rows], indent=2))
    else:
        rows = show(rows, max([24, *(len(name) + 2 for name in args.names)]))
    return 0 if all(row.passed for row in rows) else 1


def show(rows, width):
    """Print each row as it comes, its name in so many columns, then what failed and where."""
    print(f"{'name':<{width}}{'kind':<12}{'gradients':>9}{'float64':>10}{'extended':>10}{'seconds':>9}")
    seen = []
    for row in rows:
        seen.append(row)
        errors = f"{figure(row.float64):>10}{figure(row.extended):>10}"
        verdict = "pass" if row.passed else "FAIL"
        print(f"{row.name:<{width}}{row.kind:<12}{row.gradients:>9}{errors}{row.seconds:>9.2f}  {verdict}", flush=True)
    for row in seen:
        for problem in row.problems:
            print(f"\n{row.name}: {problem}")
        if row.note:
            print(f"\n{row.name}: {row.note}")
    failed = sum(not row.passed for row in seen)
    print(f"\n{sum(row.gradients for row in seen)} gradients of {len(seen)} things: {failed or 'none'} failed")
    return seen


def figure(error):
    return "-" if error is None else f"{error:.1e}"
