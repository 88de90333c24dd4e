"""What BERT does to a text before it is cut into pieces (as in its code): cleaned, lowered, cut into words.

    clean       control characters go away; every kind of space is a space
    ideographs  each CJK character is a word of its own
    accents     characters are decomposed (NFD), and marks that take no room (Mn) go away         (uncased models)
    lower       each character by itself                                                           (uncased models)
    words       up to the next space; and each mark of punctuation is a word

Every character that is left knows which one of the text it came from, so that a token can say where it stands:

>>> [(word, places) for word, places in words("Été, 中!", lowercase=True)]
[('ete', [0, 1, 2]), (',', [3]), ('中', [5]), ('!', [6])]
"""

import functools
import re
import unicodedata

SPACE = re.compile("[ \t\n\r\xa0\u1680\u2000-\u200a\u2028\u2029\u202f\u205f\u3000]+")
IDEOGRAPHS = (  # the blocks that published tokenizers know (the last but two began at 0x2B820 in the first code)
    (0x4E00, 0x9FFF),
    (0x3400, 0x4DBF),
    (0x20000, 0x2A6DF),
    (0x2A700, 0x2B81F),
    (0x2B740, 0x2B81F),
    (0x2B920, 0x2CEAF),
    (0xF900, 0xFAFF),
    (0x2F800, 0x2FA1F),
)


def words(text, *, lowercase, strip_accents=None):
    """[(word, where each of its characters stood in the text), ...]

    strip_accents: None, where lowering says it
    """
    return [word for begin, run in runs(text) for word in words_in(run, begin, lowercase, strip_accents)]


def runs(text):
    """text   ->   (place of its first character, what stands between spaces), ..."""
    begin = 0
    for space in SPACE.finditer(text):
        if begin < space.start():
            yield begin, text[begin : space.start()]
        begin = space.end()
    if begin < len(text):
        yield begin, text[begin:]


def words_in(text, begin, lowercase, strip_accents):
    """The words of a text without spaces, whose first character stood at place `begin`."""
    characters = [(c, begin + i) for i, c in enumerate(text) if not is_control(c)]
    if lowercase if strip_accents is None else strip_accents:
        characters = [(c, place) for c, place in decomposed(characters) if unicodedata.category(c) != "Mn"]
    found, word, places = [], [], []
    for character, place in characters:
        alone = is_punctuation(character) or is_ideograph(character)
        if alone and word:
            found.append(("".join(word), places))
            word, places = [], []
        for c in character.lower() if lowercase else character:
            word.append(c)
            places.append(place)
        if alone:
            found.append(("".join(word), places))
            word, places = [], []
    return [*found, ("".join(word), places)] if word else found


def decomposed(characters, form="NFD"):
    """Decomposition (Unicode, section 3.11): the parts of each, and marks in the order of their class."""
    parts = [(c, place) for character, place in characters for c in unicodedata.normalize(form, character)]
    ordered, marks = [], []
    for part in parts:
        if unicodedata.combining(part[0]):
            marks.append(part)
        else:
            ordered += [*sorted(marks, key=lambda mark: unicodedata.combining(mark[0])), part]
            marks = []
    return ordered + sorted(marks, key=lambda mark: unicodedata.combining(mark[0]))


@functools.cache
def is_control(c):
    """Controls, formats and private use; what Unicode has not assigned yet stays."""
    return c == "\N{REPLACEMENT CHARACTER}" or unicodedata.category(c) in ("Cc", "Cf", "Co", "Cs")


@functools.cache
def is_punctuation(c):
    """All of ASCII that is neither letter, digit nor control, such as $ and ^; elsewhere what Unicode says."""
    return c.isascii() and c.isprintable() and not c.isalnum() and c != " " or unicodedata.category(c)[0] == "P"


@functools.cache
def is_ideograph(c):
    return any(first <= ord(c) <= last for first, last in IDEOGRAPHS)
