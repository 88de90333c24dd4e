"""The rule that cuts text into words, held to expectations written by hand."""

import doctest
import re
import sys
import unicodedata

import pytest
from hypothesis import given

from minitransformer.tokenizers import pretokens
from minitransformer.tokenizers.pretokens import split

from .texts import texts


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("", []),
        ("Hello world", ["Hello", " world"]),
        (" a", [" a"]),
        ("a  b", ["a", " ", " b"]),  # the last space goes with the word, the one before it stands alone
        ("a   b", ["a", "  ", " b"]),
        ("a \n b", ["a", " \n", " b"]),
        ("a\nb", ["a", "\n", "b"]),  # only a space goes with a word
        ("a\n\nb", ["a", "\n", "\n", "b"]),
        ("a\tb", ["a", "\t", "b"]),
        ("a\r\nb", ["a", "\r", "\n", "b"]),
        ("a\rb", ["a", "\r", "b"]),
        ("a  ", ["a", "  "]),  # at the end of the text, white stays together
        (" \n\t ", [" \n\t "]),
        ("I'm you're he's it'll", ["I", "'m", " you", "'re", " he", "'s", " it", "'ll"]),
        ("we've I'd don't", ["we", "'ve", " I", "'d", " don", "'t"]),
        ("'tis", ["'t", "is"]),  # what looks like a contraction is one, wherever it stands
        ("DON'T", ["DON", "'", "T"]),  # but in small letters only
        ("o'clock", ["o", "'", "clock"]),
        ("he 'll", ["he", " '", "ll"]),  # the space goes with the apostrophe
        ("'''s", ["'''", "s"]),
        ("x2 = 10.5", ["x", "2", " =", " 10", ".", "5"]),
        ("a_b", ["a", "_", "b"]),  # an underscore is no letter, though it is a \w
        ("f(x): ...", ["f", "(", "x", "):", " ..."]),
        ("x²Ⅷ½", ["x", "²Ⅷ½"]),  # numbers of the categories No and Nl
        ("٣ ३", ["٣", " ३"]),
        ("naïve Straße ёж", ["naïve", " Straße", " ёж"]),
        ("cafe\N{COMBINING ACUTE ACCENT}s", ["cafe", "\N{COMBINING ACUTE ACCENT}", "s"]),  # a mark is no letter
        ("中文 字", ["中文", " 字"]),
        ("hi🙂🙂 🙂", ["hi", "🙂🙂", " 🙂"]),
        ("𝐱𝟏", ["𝐱", "𝟏"]),  # beyond the first 65,536
        ("a\N{NO-BREAK SPACE}b", ["a", "\N{NO-BREAK SPACE}", "b"]),
        ("a\N{IDEOGRAPHIC SPACE} b", ["a", "\N{IDEOGRAPHIC SPACE}", " b"]),
        ("a\N{ZERO WIDTH SPACE}b", ["a", "\N{ZERO WIDTH SPACE}", "b"]),  # not white, in spite of its name
        ("a \x1c\x1f b", ["a", " \x1c\x1f", " b"]),  # white for Python's \s, control characters for Unicode
        ("a \0", ["a", " \0"]),
        ("a\x85\x85b", ["a", "\x85", "\x85", "b"]),
    ],
)
def test_known_words(text, words):
    assert split(text) == words


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("", []),
        ("I'm DON'T we'Ll o'Clock 'tis", ["I", "'m", " DON", "'T", " we", "'Ll", " o", "'Clock", " '", "tis"]),
        ("DON'Tx I'LLy it'sz", ["DON", "'T", "x", " I", "'LL", "y", " it", "'s", "z"]),
        ("it'\u017fx", ["it", "'\u017f", "x"]),  # a long s is a small s
        ("1234567 12", ["123", "456", "7", " ", "12"]),
        ("x²Ⅷ½٣", ["x", "²Ⅷ½", "٣"]),
        ("(word [x] \u00a0y \ty", ["(word", " [", "x", "]", " ", "\u00a0y", " ", "\ty"]),
        ("a\n\nb\r\n  c \n\n  d", ["a", "\n\n", "b", "\r\n", " ", " c", " \n\n", " ", " d"]),
        ("a ...\n\n b!\r\n", ["a", " ...\n\n", " b", "!\r\n"]),
        ("a  \n  ", ["a", "  \n", "  "]),
        ("\nword", ["\n", "word"]),
        ("cafe\N{COMBINING ACUTE ACCENT}s", ["cafe", "\N{COMBINING ACUTE ACCENT}s"]),
        ("a\u2028b\x85\x85c", ["a", "\u2028b", "\x85", "\x85c"]),
        ("!!中文", ["!!", "中文"]),
        ("🙂中文", ["🙂中文"]),
    ],
)
def test_known_words_of_llama_3(text, words):
    assert split(text, "llama3") == words


@pytest.mark.parametrize("rule", pretokens.RULES)
@given(text=texts)
def test_the_words_joined_are_the_text(rule, text):
    words = split(text, rule)
    assert "".join(words) == text
    assert all(words)


@pytest.mark.parametrize("initial", ["L", "N"])
def test_classes_are_exactly_the_general_categories(initial):
    """Every code point there is, surrogates too."""
    inside = re.compile(f"[{pretokens.ranges_by_category()[initial]}]").fullmatch
    wrong = [
        f"{code:x}"
        for code in range(sys.maxunicode + 1)
        if bool(inside(chr(code))) != (unicodedata.category(chr(code))[0] == initial)
    ]
    assert not wrong


def test_white_is_the_unicode_property():
    """The 25 code points of White_Space in Unicode's PropList.txt, which has not changed since version 6.3."""
    inside = re.compile(f"[{pretokens.WHITE}]").fullmatch
    found = [code for code in range(sys.maxunicode + 1) if inside(chr(code))]
    named = [0x20, 0x85, 0xA0, 0x1680, 0x2028, 0x2029, 0x202F, 0x205F, 0x3000]
    assert found == sorted([*range(0x09, 0x0E), *range(0x2000, 0x200B), *named])


def test_documented_example():
    assert doctest.testmod(pretokens) == (0, 2)
