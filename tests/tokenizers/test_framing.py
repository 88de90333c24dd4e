import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from minitransformer.tokenizers import WordPieceTokenizer, batch_of, framed
from minitransformer.tokenizers.framing import windows_of
from minitransformer.tokenizers.wordpiece import SPECIAL

TOKENIZER = WordPieceTokenizer([*SPECIAL, *"abcdefghij"])
FIRST, SEPARATOR = TOKENIZER.first, TOKENIZER.separator


def spelled(one):
    return "".join({FIRST: "^", SEPARATOR: "|"}.get(id) or TOKENIZER.text(id) for id in one.ids)


def of(n):
    return " ".join("abcdefghij"[:n])


def test_one_text_and_two():
    (one,) = framed(TOKENIZER, "a b c")
    assert spelled(one) == "^abc|" and one.types.tolist() == [0] * 5 and one.texts.tolist() == [-1, 0, 0, 0, -1]
    assert one.offsets.tolist() == [[0, 0], [0, 1], [2, 3], [4, 5], [0, 0]]
    (two,) = framed(TOKENIZER, "a b", "c")
    assert spelled(two) == "^ab|c|" and two.types.tolist() == [0, 0, 0, 0, 1, 1]
    assert two.texts.tolist() == [-1, 0, 0, -1, 1, -1]
    assert spelled(framed(TOKENIZER, "")[0]) == "^|"


@pytest.mark.parametrize(
    "a, b, length, expected",
    [
        (5, None, 7, "^abcde|"),
        (5, None, 5, "^abc|"),
        (4, 4, 9, "^abc|abc|"),
        (4, 4, 8, "^ab|abc|"),
        (1, 6, 8, "^a|abcd|"),
        (6, 1, 8, "^abcd|a|"),
        (6, 2, 8, "^abc|ab|"),
    ],
)
def test_the_longer_is_cut_first(a, b, length, expected):
    (found,) = framed(TOKENIZER, of(a), None if b is None else of(b), length=length)
    assert spelled(found) == expected


def test_the_second_alone_is_cut():
    (found,) = framed(TOKENIZER, of(4), of(6), length=9, cut="second")
    assert spelled(found) == "^abcd|ab|"
    found = framed(TOKENIZER, of(3), of(6), length=9, cut="second", stride=1)
    assert [spelled(each) for each in found] == ["^abc|abc|", "^abc|cde|", "^abc|ef|"]


def test_windows_of_one_text():
    found = framed(TOKENIZER, of(8), length=6, stride=2)
    assert [spelled(each) for each in found] == ["^abcd|", "^cdef|", "^efgh|"]


@given(st.integers(0, 40), st.integers(1, 12), st.integers(0, 11))
def test_windows_cover_everything_with_so_much_in_common(size, length, stride):
    stride = min(stride, length - 1)
    windows = windows_of(size, length, stride)
    covered = [i for window in windows for i in range(window.start, window.stop)]
    assert sorted(set(covered)) == list(range(size))
    assert all(window.stop - window.start <= length for window in windows)
    for before, after in zip(windows, windows[1:]):
        assert before.stop - after.start == stride and before.stop - before.start == length
        assert after.stop > before.stop  # each brings something new


@pytest.mark.parametrize(
    "a, b, settings, message",
    [
        (5, None, {"length": 6, "cut": None}, "there are 5 tokens, but there is room for 4"),
        (5, 5, {"length": 6, "cut": "second"}, "too little"),
        (5, None, {"length": 2}, "too little"),
        (5, None, {"length": 4, "cut": "first"}, "cut is one of 'longer', 'second', None, not 'first'"),
        (9, 9, {"length": 9, "stride": 0}, "windows are of one text"),
        (5, None, {"stride": -1}, "a stride is at least 0"),
        (5, None, {"length": 1}, "too little"),
        (5, None, {"length": 5, "stride": 3}, "a stride of 3"),
    ],
)
def test_what_cannot_be_cut(a, b, settings, message):
    with pytest.raises(ValueError, match=message):
        framed(TOKENIZER, of(a), None if b is None else of(b), **settings)


def test_a_batch():
    frames = framed(TOKENIZER, "a b c") + framed(TOKENIZER, "a", "b c d")
    ids, types, mask = batch_of(frames, TOKENIZER.pad)
    assert ids.shape == types.shape == (2, 7) and mask.shape == (2, 1, 1, 7) and mask.dtype == bool
    assert mask[:, 0, 0].sum(1).tolist() == [5, 7] and (ids[0, 5:] == TOKENIZER.pad).all()
    assert np.array_equal(ids[1], frames[1].ids) and types[1].tolist() == [0, 0, 0, 1, 1, 1, 1]
