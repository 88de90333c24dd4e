"""Special tokens in a text: each is itself, and what lies between them is a text of its own.

>>> list(Special({"<mask>": True, "</s>": False}).cut("a </s>b <mask>!"))
[(0, 2, None), (2, 6, '</s>'), (6, 7, None), (7, 14, '<mask>'), (14, 15, None)]

Here <mask> takes the spaces before it, so that what is put in its place may begin with one.
"""

import re

import numpy as np

from .pretokens import WHITE

SPACES = re.compile(f"[{WHITE}]*")


class Special:
    """takes: {text of a special token: whether it takes the spaces before it}"""

    def __init__(self, takes):
        self.takes = dict(takes)
        longest_first = sorted(self.takes, key=len, reverse=True)
        self.rule = re.compile("|".join(map(re.escape, longest_first)) or "(?!)")

    def cut(self, text):
        """text   ->   (begin, end, special token, or None), ... from its beginning to its end, none of them empty"""
        begin = 0
        for match in self.rule.finditer(text):
            place = match.start()
            if self.takes[match[0]]:
                place -= SPACES.match(text[begin:place][::-1]).end()
            if begin < place:
                yield begin, place, None
            begin = match.end()
            yield place, begin, match[0]
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
