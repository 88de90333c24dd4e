"""The claims of the story: of each, tables and the picture."""

from experiments.results import read
from minitransformer.story import CLAIMS
from minitransformer.story.pictures import svg as svg_of

from .shared import machine_of


def pages():
    for name, claim in CLAIMS.items():
        found = read(f"story_{name}")
        yield f"story_{name}.md", tables_of_claim(claim, found)
        yield f"story_{name}.svg", svg_of(claim.draw(found))


def tables_of_claim(claim, found):
    """The claim's own tables, and below them what they were measured on."""
    tables = ["\n".join("| " + " | ".join(row) + " |" for row in rows) for rows in claim.tables(found)]
    return "\n\n".join([*tables, f"{machine_of(found)}.\n"])
