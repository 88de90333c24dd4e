"""Steps of normalisation, and the published table of characters, held to what they say."""

import doctest
import struct
import unicodedata

import pytest
from hypothesis import given
from hypothesis import strategies as st

from minitransformer.tokenizers import normalizers
from minitransformer.tokenizers.charsmap import CharsMap
from minitransformer.tokenizers.normalizers import normalized

from .double_array import charsmap, in_base64
from .texts import texts

TABLE = {
    "ﬁ": "fi",
    "A\u030a": "\u00c5",
    "\u212b": "\u00c5",
    "\t": " ",
    "\u200b": "",
    "ｶ": "カ",
    "ｶﾞ": "ガ",
    "abc": "xy",
    "abcde": "y",
    "½": "1⁄2",
}


def test_documented_example():
    assert doctest.testmod(normalizers).failed == 0 and doctest.testmod(normalizers).attempted


@pytest.mark.parametrize(
    "text, steps, expected, places",
    [
        ("ﬁx½", [("charsmap", in_base64(TABLE))], "fix1⁄2", [0, 0, 1, 2, 2, 2]),
        ("A\u030ab\u212b", [("charsmap", in_base64(TABLE))], "\u00c5b\u00c5", [0, 2, 3]),  # the longest that is there
        ("ｶﾞｶ", [("charsmap", in_base64(TABLE))], "ガカ", [0, 2]),
        ("abcdabcde", [("charsmap", in_base64(TABLE))], "xydy", [0, 1, 3, 4]),  # what ends nowhere goes back
        ("a\u200bb", [("charsmap", in_base64(TABLE))], "ab", [0, 2]),
        ("a``b", [("replace", "``", '"')], 'a"b', [0, 2, 3]),
        ("a   b  ", [("collapse",)], "a b ", [0, 3, 4, 6]),
        (" \u3000a b\n", [("strip", True, True)], "a b", [2, 3, 4]),
        ("  a ", [("strip", False, True)], "  a", [0, 1, 2]),
        ("  a ", [("strip", True, False)], "a ", [2, 3]),
        (" \ta\t ", [("trim",)], "\ta\t", [1, 2, 3]),
        ("   ", [("trim",)], "", []),
        ("İÉ", [("lowercase",)], "i\u0307é", [0, 0, 1]),
        ("é²", [("nfkd",)], "e\u03012", [0, 0, 1]),
        ("e\u0301x\u20dd", [("strip_accents",)], "ex", [0, 2]),
        ("É  ﬁ", [("nfkd",), ("strip_accents",), ("lowercase",), ("collapse", "_")], "e_fi", [0, 2, 3, 3]),
    ],
)
def test_steps(text, steps, expected, places):
    found, where = normalized(text, steps)
    assert (found, list(where)) == (expected, places)


@given(st.lists(st.sampled_from([*TABLE, "e", "ab", "d", " ", "ﾞ", "\u030a", "🙂"]), max_size=12).map("".join))
def test_a_table_replaces_the_longest_at_every_place(text):
    expected, begin = "", 0
    while begin < len(text):
        there = [old for old in TABLE if text.startswith(old, begin)]
        old = max(there, key=len, default=text[begin])
        expected += TABLE.get(old, old)
        begin += len(old)
    found, places = normalized(text, [("charsmap", in_base64(TABLE))])
    assert found == expected and len(places) == len(found) and list(places) == sorted(places)


@given(texts)
def test_decomposition_is_that_of_unicode(text):
    assert normalized(text, [("nfkd",)])[0] == unicodedata.normalize("NFKD", text)


KEYS = st.text(st.characters(exclude_characters="\0", codec="utf-8"), min_size=1, max_size=4)


@given(st.dictionaries(KEYS, st.text("ab", max_size=3), max_size=20))
def test_any_table(table):
    found = CharsMap(charsmap(table)) if table else None
    for old, new in table.items():
        assert found.longest(old, 0) == (len(old), new)


def test_tables_that_are_none():
    data = charsmap(TABLE)
    for broken in (b"", b"\0\0", data[:3], struct.pack("<I", 2**31) + data[4:], struct.pack("<I", 6) + data[4:]):
        with pytest.raises(ValueError, match="its table of characters is damaged"):
            CharsMap(broken)
    (size,) = struct.unpack_from("<I", data)
    with pytest.raises(ValueError, match="its table of characters is damaged: a text at byte"):
        CharsMap(data[: 4 + size]).longest("ﬁ", 0)
    with pytest.raises(ValueError, match="its table of characters is damaged: the text at byte"):
        CharsMap(data[: 4 + size] + b"\xff\0" * 40).longest("ﬁ", 0)
    far = struct.pack("<3I", 8, 1 << 30, 0) + data[4 + size :]
    with pytest.raises(ValueError, match="its table of characters is damaged: unit"):
        CharsMap(far).longest("ﬁ", 0)
