"""Why recurrence was given up: four claims, each measured on this machine and drawn. In under ten minutes on two cores.

minitransformer story                           all of them
minitransformer story bottleneck --seeds 5      one of them, with more runs
"""

HELP = "measure and draw why recurrence gave way to attention"
OUT = "runs/story"


def arguments(parser):
    from ..story import CLAIMS, bottleneck

    add = parser.add_argument
    add("claims", nargs="*", metavar="CLAIM", help=f"{', '.join(CLAIMS)} (default: all)")
    add("--seeds", type=int, metavar="N", help=f"runs of each model (default: {bottleneck.SEEDS})")
    add(
        "--seconds", type=float, metavar="X", help="processor time of each run, or of each timing (default: a few each)"
    )
    add("--out", metavar="FOLDER", default=OUT, help="where numbers and pictures go (default: %(default)s)")
    add("--overwrite", action="store_true", help="replace what is there")


def run(args):
    import time
    from pathlib import Path

    from ..files import write_atomically
    from ..story import CLAIMS
    from ..training.run import machine

    if unknown := [name for name in args.claims if name not in CLAIMS]:
        raise ValueError(f"unknown claim {unknown[0]!r}; there are: {', '.join(CLAIMS)}")
    if not args.out:
        raise ValueError("--out names no folder")
    if args.seeds is not None and args.seeds < 1:
        raise ValueError(f"--seeds must be at least 1, not {args.seeds}")
    if args.seconds is not None and not 0 < args.seconds < float("inf"):
        raise ValueError(f"--seconds must be a number above 0, not {args.seconds}")
    folder, claims = Path(args.out), args.claims or list(CLAIMS)
    given = {key: value for key in ("seeds", "seconds") if (value := getattr(args, key)) is not None}
    for key in given:
        if not set(claims) & set(that_take(key)):
            raise ValueError(f"--{key} is of {', '.join(that_take(key))}, not of {', '.join(claims)}")
    there = [path for name in claims for path in (folder / f"{name}.json", folder / f"{name}.svg") if path.exists()]
    if there and not args.overwrite:
        raise ValueError(f"{there[0]} is there already: --overwrite replaces it, --out FOLDER writes elsewhere")
    folder.mkdir(parents=True, exist_ok=True)
    for name in claims:
        claim, begin = CLAIMS[name], time.perf_counter()
        print(f"\n{name}: {claim.__doc__.strip().split(chr(10))[0]}\n", flush=True)
        found = claim.measure(**{key: value for key, value in given.items() if name in that_take(key)})
        found |= {"took": round(time.perf_counter() - begin, 1), "machine": machine()}
        write_atomically(folder / f"{name}.json", as_json(found))
        for rows in claim.tables(found):
            print("\n" + aligned(rows))
        draw(claim, found, folder / f"{name}.svg")
    print(f"\nnumbers and pictures are in {folder}; docs/story says what they show")


def that_take(key):
    """Those of the claims that this option is of."""
    from inspect import signature

    from ..story import CLAIMS

    return [name for name, claim in CLAIMS.items() if key in signature(claim.measure).parameters]


def as_json(found):
    """JSON (bytes) with a line for each part, and for each run: so one sees in a difference which of them changed."""
    import json

    def lines(part):
        if isinstance(part, list) and part and isinstance(part[0], dict):
            return "[\n    " + ",\n    ".join(map(json.dumps, part)) + "\n  ]"
        return json.dumps(part)

    return ("{\n" + ",\n".join(f'  "{name}": {lines(part)}' for name, part in found.items()) + "\n}\n").encode()


def draw(claim, found, path):
    from ..files import write_atomically
    from ..installing import install
    from ..story.pictures import svg

    try:
        write_atomically(path, svg(claim.draw(found)))
    except ImportError:
        print(f"no picture: it takes matplotlib, which `{install('plot')}` brings")


def aligned(rows):
    """The rows of a table of Markdown as text in columns, without the line of dashes."""
    rows = [row for row in rows if not set("".join(row)) <= set("-:")]
    widths = [max(map(len, column)) for column in zip(*rows)]
    return "\n".join("   ".join(cell.ljust(width) for cell, width in zip(row, widths)).rstrip() for row in rows)
