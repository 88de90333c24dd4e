"""Which page belongs to which registered thing, and whether it is there.

The pages mirror the folders of the package: `attention` of minitransformer/ops/attention.py is on
docs/ops/attention.md, `GPT2` of minitransformer/models/gpt2.py on docs/models/gpt2.md. A page shows the code of its
thing, forward and backward, by including it from the source by name.
"""

import importlib
import pkgutil
import re
from pathlib import Path
from typing import NamedTuple

import minitransformer

DOCS = Path(__file__).parent
INCLUDE = re.compile(r"^```\{literalinclude\} (?P<path>\S+)\n(?P<options>(?:^:.*\n)*)", re.MULTILINE)
PYOBJECT = re.compile(r"^:pyobject: (\S+)$", re.MULTILINE)


class Include(NamedTuple):
    """What a page shows: the object of this name in the file `source`; None: the whole file."""

    source: Path
    name: str | None


def things():
    """{name: thing} of everything there is; a thing is registered when its module is imported, so import them all."""
    for module in pkgutil.walk_packages(minitransformer.__path__, "minitransformer."):
        if not module.name.endswith("__main__"):
            importlib.import_module(module.name)
    return minitransformer.THINGS


def source_of(thing):
    """minitransformer/ops/attention.py, from the root of the repository."""
    return Path(*thing.__module__.split(".")).with_suffix(".py")


def page_of(thing):
    """ops/attention.md, from docs/."""
    _, *floors, _ = source_of(thing).parts
    return Path(*floors, f"{thing.__name__.lower()}.md")


def includes(page):
    """[Include, ...] of one page."""
    found = []
    for match in INCLUDE.finditer(page.read_text(encoding="utf-8")):
        names = PYOBJECT.findall(match["options"])
        found.append(Include((page.parent / match["path"]).resolve(), names[0] if names else None))
    return found


def due(thing):
    """The code that the page of a thing must show: each entry is the names of which one will do."""
    name = thing.__name__
    if isinstance(thing, type):
        forward = "forward" if hasattr(thing, "forward") else "__call__"
        return [{name, f"{name}.{forward}"}, {name, f"{name}.backward"}]
    return [{name}] + [{f"{name}_backward"}] * getattr(thing, "gradient", True)


def problems(things, docs=DOCS):
    """[line, ...]: every thing without a page, and every page that does not show its thing."""
    found = []
    for name, thing in things.items():
        page, source = page_of(thing), source_of(thing)
        path = (docs.parent / source).resolve()
        if not (docs / page).is_file():
            found.append(f"{name} ({source}) has no page: docs/{page} is missing")
            continue
        shown = {include.name for include in includes(docs / page) if include.source == path}
        missing = [" or ".join(sorted(names)) for names in due(thing) if not names & shown]
        found += [f"docs/{page} does not include {name} from {source}" for name in missing]
    return found
