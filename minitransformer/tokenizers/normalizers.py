"""What is done to a text before it is cut into pieces, step by step, as published files name it.

Every character that is left knows which one of the text it came from, so that a token can say where it stands:

>>> normalized("ÉTÉ   là", [("lowercase",), ("collapse",)])
('été là', [0, 1, 2, 5, 6, 7])
"""

import functools
import re
import unicodedata

from .bert_normalizer import decomposed
from .charsmap import CharsMap
from .pretokens import WHITE


def normalized(text, steps):
    """text   ->   text, the place that each of its characters had; steps: [(name, what it takes, ...)], of STEPS"""
    places = range(len(text))
    for name, *arguments in steps:
        text, places = STEPS[name](text, places, *arguments)
    return text, places


def check_steps(steps):
    """ValueError unless these are steps with what they take."""
    for step in steps:
        name, *arguments = step if isinstance(step, list | tuple) and step else (None,)
        if not isinstance(name, str) or name not in STEPS:
            raise ValueError(f"there is no step {name!r} of normalisation; there are: {', '.join(STEPS)}")
        try:
            STEPS[name]("a", range(1), *arguments)
        except (TypeError, AttributeError) as error:
            raise ValueError(f"the step {name!r} of normalisation takes something else: {error}") from None


def mapped(text, places, table):
    """By a published table of characters, in base64 (`charsmap`)."""
    table, pieces, found, begin = table_of(table), [], [], 0
    while begin < len(text):
        end, new = table.longest(text, begin)
        pieces.append(new)
        # the i-th new character has the place of the i-th old one, or of the last one where there are not so many
        found += [places[min(begin + i, end - 1)] for i in range(len(new))]
        begin = end
    return "".join(pieces), found


@functools.lru_cache(maxsize=4)
def table_of(text):
    return CharsMap.from_base64(text)


def replaced(text, places, old, new):
    """Each of the one by the other, which has the place of what was last in the old one."""
    return substituted(text, places, re.escape(old), new)


def collapsed(text, places, new=" "):
    """Spaces that follow each other are one."""
    return substituted(text, places, " {2,}", new)


def substituted(text, places, pattern, new):
    pieces, found, begin = [], [], 0
    for match in re.finditer(pattern, text):
        pieces += [text[begin : match.start()], new]
        found += [*places[begin : match.start()], *[places[match.end() - 1]] * len(new)]
        begin = match.end()
    return "".join([*pieces, text[begin:]]), [*found, *places[begin:]]


def stripped(text, places, left=True, right=True, what=WHITE):
    """White characters at the beginning go, and at the end."""
    begin = re.match(f"[{what}]*" if left else "", text).end()
    end = len(text) - re.match(f"[{what}]*" if right else "", text[begin:][::-1]).end()
    return text[begin:end], places[begin:end]


def trimmed(text, places):
    """Spaces at the beginning go, and at the end; other white characters stay."""
    return stripped(text, places, what=" ")


def lowered(text, places):
    return joined([(c, place) for character, place in zip(text, places) for c in character.lower()])


def compatible(text, places):
    """Compatibility decomposition (Unicode, section 3.11): NFKD."""
    return joined(decomposed(zip(text, places), "NFKD"))


def without_accents(text, places):
    """Marks go, with room of their own or without."""
    return joined([(c, place) for c, place in zip(text, places) if unicodedata.category(c)[0] != "M"])


def joined(characters):
    """[(character, place), ...]   ->   text, places"""
    return "".join(c for c, _ in characters), [place for _, place in characters]


STEPS = {
    "charsmap": mapped,
    "replace": replaced,
    "collapse": collapsed,
    "strip": stripped,
    "trim": trimmed,
    "lowercase": lowered,
    "nfkd": compatible,
    "strip_accents": without_accents,
}
