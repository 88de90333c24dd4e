"""Special tokens in a text: each is itself, and what lies between them is a text of its own.

>>> list(Special({"<mask>": "before", "</s>": ""}).cut("a </s>b <mask>!"))
[(0, 2, None), (2, 6, '</s>'), (6, 7, None), (7, 14, '<mask>'), (14, 15, None)]

Here <mask> takes the spaces before it, so that what is put in its place may begin with one.
"""

import re

import numpy as np

from .pretokens import WHITE

SPACES = re.compile(f"[{WHITE}]*")
SIDES = ("", "before", "behind", "both")  # where spaces are that a special token takes


class Special:
    """takes: {text of a special token: which spaces it takes, of SIDES}, or the texts alone, where none takes any.

    ValueError for anything else.
    """

    def __init__(self, takes):
        if not all(isinstance(text, str) and text for text in takes):
            raise ValueError("its 'special' are not all strings with a character in them")
        self.takes = dict(takes) if isinstance(takes, dict) else dict.fromkeys(takes, "")
        if wrong := [text for text, sides in self.takes.items() if sides not in SIDES]:
            raise ValueError(f"the spaces that {wrong[0]} takes are none of {', '.join(map(repr, SIDES))}")
        longest_first = sorted(self.takes, key=len, reverse=True)
        self.rule = re.compile("|".join(map(re.escape, longest_first)) or "(?!)")

    def cut(self, text):
        """text   ->   (begin, end, special token, or None), ... from its beginning to its end, none of them empty"""
        begin = 0
        for match in self.rule.finditer(text):
            place, end = match.span()
            if self.takes[match[0]] in ("before", "both"):
                place -= SPACES.match(text[begin:place][::-1]).end()
            if self.takes[match[0]] in ("behind", "both"):
                end = SPACES.match(text, end).end()
            if begin < place:
                yield begin, place, None
            yield place, end, match[0]
            begin = end
        if begin < len(text):
            yield begin, len(text), None

    def encode(self, text, ids, encode_part):
        """text   ->   ids (T) int64, offsets (T, 2)

        ids: {special token: id}   encode_part: what lies between, and whether nothing is before it   ->   ids, offsets
        """
        found, places = [np.zeros(0, np.int64)], [np.zeros((0, 2), np.int64)]
        for begin, end, special in self.cut(text):
            whole = [0, end - begin]
            part = encode_part(text[begin:end], not begin) if special is None else ([ids[special]], [whole])
            found.append(part[0])
            places.append(np.add(begin, part[1]))
        return np.concatenate(found), np.concatenate(places)


def arrays(tokens):
    """(id, begin, end), ...   ->   ids (T) int64, offsets (T, 2)"""
    rows = np.array(tokens, np.int64).reshape(-1, 3)
    return rows[:, 0].copy(), rows[:, 1:].copy()
