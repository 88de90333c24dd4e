"""The page of the museum, in Markdown: the stories and the code as they stand in the rooms, the numbers as they come.

Nothing of it is kept: every check is run on the wrong and on the right code when the page is made.
"""

import inspect
import itertools
import math
import textwrap

import numpy as np

from .rooms import ROOMS

SEED = 0
BAR = "\\|"  # within a cell

OPENING = """# The museum of bugs

A gradient check proves that a backward belongs to its forward. It does not prove that the forward is right, and not
even that the backward is, where the loss, the shapes or the inputs were chosen so that the error is zero. Here are
{exhibits} pieces of wrong code, each after a bug that somebody trusted and somebody reported. It stands beside the
right code, with the checks that it passes and the check that catches it.

Every number on this page was measured when the page was made, on small arrays in float64, and the tests of the project
run the same checks on other draws. ✗ marks a check that fails. What was reported is told in our words: the threads have
theirs.
"""

CLOSING = """## Where bugs hide

They hide where a test is easiest to write: γ = 1 and β = 0, a dropout rate of 0, one head, one text in the batch, as
many queries as keys, texts of one length, ids that are all different, matrices, logits around zero, a loss that sums
the output. So the cases of the project's own checks (`minitransformer/gradcheck/cases/`) are drawn from elsewhere:
random γ, dropout on, sizes that differ from each other, ids that repeat, rows with nothing to attend to.
"""


def museum_markdown() -> str:
    """The whole page. It takes a few seconds: everything is run."""
    found = {exhibit.name: results(exhibit) for room in ROOMS for exhibit in room.exhibits}
    parts = [OPENING.format(exhibits=len(found)), summary()]
    for room in ROOMS:
        parts += room_parts(room, found)
    return "\n".join([*parts, CLOSING, index()])


def results(exhibit):
    """{check: (what it measured of the wrong code, and of the right)}"""
    subjects = exhibit.wrong, exhibit.right
    return {check: [check(subject, np.random.default_rng(SEED)) for subject in subjects] for check in exhibit.checks}


# ------------------------------------------------------------------------------------------------ the overview


def summary():
    """How often each kind of check was asked, and how often it knew."""
    rows = []
    for kind, what in (
        ("gradient check", "gradient checks"),
        ("parity", "parity: the outputs of code that is known to be right"),
        ("property", "properties: what must hold, move or stay, whatever the numbers are"),
    ):
        asked = [exhibit for room in ROOMS for exhibit in room.exhibits if kind in kinds(exhibit.checks)]
        caught = [exhibit for exhibit in asked if kind in kinds(exhibit.caught)]
        rows.append([what, len(asked), len(asked) - len(caught), len(caught)])
    return table(["of these bugs", "were tried on", "saw nothing of", "caught"], rows)


def kinds(checks):
    return {check.kind for check in checks}


def index():
    rows = []
    for room in ROOMS:
        rows.append([f"**{room.title}**", "", ""])
        for exhibit in room.exhibits:
            rows.append([f"[{exhibit.name}](#{label(exhibit)})", listed(exhibit.blind), listed(exhibit.caught)])
    return "## All exhibits\n\n" + table(["exhibit", "these pass it", "these catch it"], rows)


def label(exhibit):
    return "bug-" + "".join(c if c.isalnum() else "-" for c in exhibit.name.lower())


def listed(checks):
    return "; ".join(check.name for check in checks)


# --------------------------------------------------------------------------------------------------- the rooms


def room_parts(room, found):
    yield f"## {room.title}\n\n{paragraph(room.story)}\n"
    if room.table:
        yield room_table(room, found)
    shown = []
    if room.code:
        yield f"This is what the exhibits are made of: {listing(room.code, shown)}"
    for exhibit in room.exhibits:
        yield f"({label(exhibit)})=\n### {exhibit.name}\n\n{paragraph(exhibit.story)}\n"
        yield f"Reported in {', '.join(map(link, exhibit.reported))}.\n"
        yield f"**Wrong:** {listing(exhibit.wrong_code, shown)}"
        yield f"**Right:** {listing(exhibit.right_code, shown)}"
        if not room.table:
            yield exhibit_table(found[exhibit.name])


def room_table(room, found):
    """A row for every exhibit, a column for every check of the room."""
    right = found[room.exhibits[0].name]
    rows = [["asked for", *map(bounds, room.table)], ["the right one", *(verdict(c, right[c][1]) for c in room.table)]]
    for exhibit in room.exhibits:
        measured = found[exhibit.name]
        rows.append([f"[{exhibit.name}](#{label(exhibit)})", *(verdict(c, measured[c][0]) for c in room.table)])
    return table(["", *(check.name for check in room.table)], rows)


def exhibit_table(measured):
    rows = [[c.name, bounds(c), verdict(c, wrong), verdict(c, right)] for c, (wrong, right) in measured.items()]
    return table(["check", "asked for", "wrong", "right"], rows)


def paragraph(text):
    return "\n".join(textwrap.wrap(" ".join(text.split()), 116, break_on_hyphens=False))


def link(thread):
    repository, number = thread.split()
    return f"[{repository} {number}](https://github.com/{repository}/issues/{number})"


def listing(functions, shown):
    """The names of these and where they are from, and the code of those that this room has not shown yet."""
    new = [function for function in functions if function not in shown]
    shown += new
    text = names_and_places(functions) + ("" if new else ", as above") + "\n"
    if new:
        code = "\n\n\n".join(textwrap.dedent(inspect.getsource(function)).rstrip() for function in new)
        text += f"\n```python\n{code}\n```\n"
    return text


def names_and_places(functions):
    """Code that is not of the museum itself says where it is from."""
    parts = []
    for module, group in itertools.groupby(functions, lambda function: function.__module__):
        names = ", ".join(f"`{function.__qualname__}`" for function in group)
        path = f"{module.replace('.', '/')}.py"
        parts.append(f"{names} of `{path}`" if path.startswith("minitransformer") else names)
    return ", ".join(parts)


# ----------------------------------------------------------------------------------------- numbers and tables


def verdict(check, value):
    return number(value) if check.passes(value) else f"**{number(value)}** ✗"


def bounds(check):
    low, high = number(check.at_least, 3), number(check.at_most, 3)
    if low == high or high == "0":
        return high
    if math.isinf(check.at_least):
        return f"≤ {high}"
    return f"≥ {low}" if math.isinf(check.at_most) else f"{low} to {high}"


def number(value, digits=2):
    if not math.isfinite(value):
        return "NaN" if math.isnan(value) else "∞"
    if value == 0 or 1e-3 <= abs(value) < 1e4:
        return f"{value:.{digits}g}" if abs(value) < 100 else f"{value:.0f}"
    mantissa, exponent = f"{value:.0e}".split("e")
    return f"{mantissa}e{int(exponent)}"


def table(head, rows):
    lines = [map(str, line) for line in (head, ["---"] * len(head), *rows)]
    return "".join(f"| {' | '.join(cell.replace('|', BAR) for cell in line)} |\n" for line in lines)
