"""Text cut into words before anything is merged: the rule of GPT-2 (Radford et al. 2019, section 2.2; its code).

The first of these that fits is the next word:

    's  't  're  've  'm  'll  'd       an English contraction, small letters only
    letters                             as many as follow each other, with the one space before them
    numbers                             the same
    others                              the same: punctuation, symbols, marks, control characters
    whitespace                          up to the end of the text; elsewhere all but the last of it,
                                        which is left for the word that follows, or stands alone

>>> split("It's 3 o'clock,  isn't it?")
['It', "'s", ' 3', ' o', "'", 'clock', ',', ' ', ' isn', "'t", ' it', '?']

No merge crosses a border between words, so that " dog" does not become a token once more with each of . , ; ! behind
it; and a word that comes a thousand times is counted a thousandfold, but merged once.

Every character is a letter, a number, white or something else, and just one of them: the words joined are the text.
"""

import collections
import functools
import itertools
import re
import sys
import unicodedata

# The property White_Space of the Unicode standard (PropList.txt). What Python's \s means has U+001C ... U+001F too.
WHITE = "\\t-\\r \\x85\\xa0\\u1680\\u2000-\\u200a\\u2028\\u2029\\u202f\\u205f\\u3000"


def split(text):
    """text   ->   [words], which joined are the text again"""
    return rule().findall(text)


@functools.cache
def rule():
    """The rule as a regular expression, made when it is first needed: it looks at every code point there is."""
    ranges = ranges_by_category()
    letters, numbers = ranges["L"], ranges["N"]
    return re.compile(
        "'(?:[stmd]|re|ve|ll)"
        f"| ?[{letters}]+"
        f"| ?[{numbers}]+"
        f"| ?[^{WHITE}{letters}{numbers}]+"
        f"|[{WHITE}]+(?![^{WHITE}])"
        f"|[{WHITE}]+"
    )


def ranges_by_category():
    r"""{initial of a general category: its characters, as the inside of a regular expression's brackets}

    "L" is what other engines call \p{L}, "N" is \p{N}. Python's `re` has neither, and [^\W\d_] is not the letters: it
    has ² and Ⅷ as well. Which characters there are is what this Python knows (`unicodedata.unidata_version`).
    """
    ranges = collections.defaultdict(str)
    code_points = range(sys.maxunicode + 1)
    for initial, run in itertools.groupby(code_points, lambda code: unicodedata.category(chr(code))[0]):
        first, *rest = run
        ranges[initial] += rf"\U{first:08x}-\U{(rest or [first])[-1]:08x}"
    return ranges
