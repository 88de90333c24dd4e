"""The claims of the story: of each, the table and the picture."""

from experiments.results import read
from minitransformer.story import CLAIMS
from minitransformer.story.pictures import svg as svg_of

from .shared import machine_of


def pages():
    for name, claim in CLAIMS.items():
        found = read(f"story_{name}")
        yield f"story_{name}.md", table_of_claim(claim, found)
        yield f"story_{name}.svg", svg_of(claim.draw(found))


def table_of_claim(claim, found):
    """The claim's own table, and below it what it was measured on."""
    rows = ["| " + " | ".join(row) + " |" for row in claim.table(found)]
    return "\n".join([*rows, "", f"{machine_of(found)}.", ""])
