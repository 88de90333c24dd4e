"""Special tokens in a text: each is itself, and what lies between them is a text of its own.

>>> list(Special({"<mask>": True, "</s>": False}).cut("a </s>b <mask>!"))
[(0, 2, None), (2, 6, '</s>'), (6, 7, None), (7, 14, '<mask>'), (14, 15, None)]

Here <mask> takes the spaces before it, so that what is put in its place may begin with one.
"""

import re

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
