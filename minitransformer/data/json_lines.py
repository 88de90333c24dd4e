"""Files of a JSON object a line, and what a reader of lines has in common with them: where each of them stands."""

import json
from pathlib import Path

from .pairs import decoded, lines_of


def numbered_lines(path):
    """[("FILE, line 1", text), ...]. ValueError for an empty file, and naming the line for bytes that are not UTF-8."""
    lines = lines_of(Path(path).read_bytes())
    if not lines:
        raise ValueError(f"{path} is empty")
    return [(where, decoded(line, where)) for where, line in ((f"{path}, line {n}", x) for n, x in enumerate(lines, 1))]


def read_objects(path, needed, optional=()):
    """[("FILE, line 1", {name: value}), ...] of the lines that are not blank

    needed, optional: {name: type}, dicts. ValueError, naming the line, for what is no object, lacks a name, has one
    that is not known, or a value of another type.
    """
    return [
        (where, checked(parsed(line, where), needed, dict(optional), where))
        for where, line in numbered_lines(path)
        if line.strip()
    ]


def parsed(line, where):
    try:
        return json.loads(line)
    except (ValueError, RecursionError) as error:
        raise ValueError(f"{where} is no JSON: {error}") from None


def checked(found, needed, optional, where):
    """The object. ValueError where it is none, or not as it must be."""
    if not isinstance(found, dict):
        raise ValueError(f"{where} is no JSON object")
    known = needed | optional
    if missing := sorted(needed.keys() - found.keys()):
        raise ValueError(f"{where} has no {', '.join(map(repr, missing))}")
    if foreign := sorted(found.keys() - known.keys()):
        raise ValueError(f"{where} has {', '.join(map(repr, foreign))}; known are {', '.join(map(repr, known))}")
    for name, value in found.items():
        if type(value) is str and any("\ud800" <= c <= "\udfff" for c in value):
            raise ValueError(f"{where}: {name!r} has half a surrogate pair, which is no text")
        if type(value) is not known[name]:
            raise ValueError(f"{where}: {name!r} is of type {type(value).__name__}, expected {known[name].__name__}")
    return found
