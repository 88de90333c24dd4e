"""Say what this machine can do: Python, NumPy, Numba, CUDA, other libraries, and what installs what is missing.

The exit status is 1 where something is there, or has to be, and does not work; a machine without a GPU is in order.
"""

import textwrap

HELP = "say what this machine can do, and what is missing"
MARKS = {"good": "✓", "note": "·", "absent": "-", "wrong": "✗"}


def arguments(parser):
    parser.add_argument("--json", action="store_true", help="print JSON instead of a table")


def run(args):
    import json

    from ..doctor import examine

    findings = examine()
    if args.json:
        findings = list(findings)
        print(json.dumps([finding._asdict() for finding in findings], indent=2))
    else:
        findings = show(findings)
    return 1 if any(finding.verdict == "wrong" for finding in findings) else 0


def show(findings):
    """Print each finding as it comes, then how many there are of each kind."""
    seen = []
    for finding in findings:
        seen.append(finding)
        print("\n".join(lines(finding)), flush=True)
    wrong = [finding.what for finding in seen if finding.verdict == "wrong"]
    print(f"\nnot in order: {', '.join(wrong)}" if wrong else "\nwhat is there is in order")
    return seen


def lines(finding, width=120):
    """A finding, and below it what to do; a command is never broken, for it is to be copied."""
    indent = " " * 24
    text = textwrap.wrap(finding.found, width - len(indent), break_long_words=False, break_on_hyphens=False) or [""]
    found = [f"{MARKS[finding.verdict]} {finding.what:<22}{text[0]}", *(indent + line for line in text[1:])]
    return found + [f"{indent}→ {finding.advice}"] * bool(finding.advice)
