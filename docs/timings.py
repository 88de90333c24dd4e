"""The tables of timings on the pages and in the README, from what `python -m bench` left in bench/results/."""

import json
from pathlib import Path

RESULTS = Path(__file__).parent.parent / "bench" / "results"


def results():
    """{name: result} of every benchmark that was kept."""
    return {path.stem: json.loads(path.read_text(encoding="utf-8")) for path in sorted(RESULTS.glob("*.json"))}


def machine_line(result):
    """On what and with what it was measured, in a sentence."""
    machine = result["machine"]
    versions = ", ".join(f"{name} {version}" for name, version in machine["versions"].items())
    return f"{machine['processor']}, {machine['cores']} cores; {versions}; {result['date']}."


def table(result):
    """A line for each size and contender: time with its spread, against PyTorch or NumPy, and of the floor."""
    rows = [
        "| size | contender | median | from … to | times as fast as PyTorch | of the floor | memory |",
        "| --- | --- | ---: | ---: | ---: | ---: | ---: |",
    ]
    for name, size in result["sizes"].items():
        best = least_time(size)
        theirs = [row["median"] for row in size["rows"] if row["contender"] in ("PyTorch", "transformers")]
        for row in size["rows"]:
            against = f"{theirs[0] / row['median']:.2f}" if theirs else ""
            rows.append(
                f"| {name} | {row['contender']} | {time(row['median'])} | {time(row['least'])} … {time(row['most'])} "
                f"| {against} | {best / row['median']:.0%} | {row['peak'] / 2**20:,.0f} MB |"
            )
    return "\n".join([*rows, "", machine_line(result), ""])


def least_time(size):
    work, floor = size["work"], size["floor"]
    return max(work.get("flops", 0) / floor["flops"], work.get("bytes", 0) / floor["bytes"])


def time(seconds):
    """With three digits, in a unit that suits."""
    for unit, factor in (("s", 1), ("ms", 1e3), ("µs", 1e6)):
        if seconds * factor >= 1 or unit == "µs":
            return f"{seconds * factor:.3g} {unit}"
