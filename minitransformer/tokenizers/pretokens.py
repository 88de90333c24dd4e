"""Text cut into words before anything is merged, by the rule of GPT-2 or that of Llama 3.

GPT-2 (Radford et al. 2019, section 2.2; its code): the first of these that fits is the next word.

    's  't  're  've  'm  'll  'd       an English contraction, small letters only
    letters                             as many as follow each other, with the one space before them
    numbers                             the same
    others                              the same: punctuation, symbols, marks, control characters
    whitespace                          up to the end of the text; elsewhere all but the last of it,
                                        which is left for the word that follows, or stands alone

>>> split("It's 3 o'clock,  isn't it?")
['It', "'s", ' 3', ' o', "'", 'clock', ',', ' ', ' isn', "'t", ' it', '?']

Llama 3 (as published in its tokenizer.json) has another list. What is called a break is \\r or \\n.

    's 't 're 've 'm 'll 'd             an English contraction, large letters or small
    letters                             as many as follow each other, with the one character before them that is neither
                                        letter, number nor break: a space, a bracket, a quotation mark
    numbers                             up to three
    others                              as many as follow each other, with the one space before and all breaks behind
    whitespace                          up to the last break in it; else as above

>>> split("It's (IT'S) 12345 o'clock\\n\\n", "llama3")
['It', "'s", ' (', 'IT', "'S", ')', ' ', '123', '45', ' o', "'clock", '\\n\\n']

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


def split(text, rule="gpt2"):
    """text   ->   [words], which joined are the text again; rule: one of RULES"""
    return compiled(rule).findall(text)


RULES = {  # with \p{L} for the letters and \p{N} for the numbers, as they are published; \s is what Unicode calls white
    "gpt2": (
        r"'(?:[stmd]|re|ve|ll)",
        r" ?[\p{L}]+",
        r" ?[\p{N}]+",
        r" ?[^\s\p{L}\p{N}]+",
        r"[\s]+(?![^\s])",
        r"[\s]+",
    ),
    "llama3": (
        r"(?i:'(?:[stmd]|re|ve|ll))",
        r"[^\r\n\p{L}\p{N}]?[\p{L}]+",
        r"[\p{N}]{1,3}",
        r" ?[^\s\p{L}\p{N}]+[\r\n]*",
        r"[\s]*[\r\n]+",
        r"[\s]+(?![^\s])",
        r"[\s]+",
    ),
}


@functools.cache
def compiled(rule):
    """A rule as a regular expression, made when it is first needed: it looks at every code point there is."""
    pattern = "|".join(RULES[rule]).replace(r"\s", WHITE)
    for name, ranges in ranges_by_category().items():
        pattern = pattern.replace(rf"\p{{{name}}}", ranges)
    return re.compile(pattern)


@functools.cache
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
