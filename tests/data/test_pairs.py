"""Pairs from files, and their batches."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from minitransformer.data.pairs import END, START, collate, collate_sources, read_pairs

START_ID, END_ID = 90, 91
ids = st.lists(st.integers(0, 89), max_size=7)


@pytest.fixture
def file(tmp_path):
    def write(content):
        path = tmp_path / "pairs.tsv"
        path.write_bytes(content)
        return path

    return write


# ----------------------------------------------------------------------------------------------------------- files


@pytest.mark.parametrize(
    "content",
    [
        "hallo\thello\nder  Tag\tthe day \n é\t🙂\n",
        "hallo\thello\nder  Tag\tthe day \n é\t🙂",
        "hallo\thello\r\nder  Tag\tthe day \r\n é\t🙂\r\n",
        "\N{BYTE ORDER MARK}hallo\thello\nder  Tag\tthe day \n é\t🙂\n",
    ],
    ids=["plain", "no last newline", "Windows", "byte order mark"],
)
def test_pairs_are_read_as_they_stand(file, content):
    assert read_pairs(file(content.encode())) == [("hallo", "hello"), ("der  Tag", "the day "), (" é", "🙂")]


def test_only_line_ends_end_lines(file):
    separators = "a\N{LINE SEPARATOR}b\x0bc\x1cd\x85e"
    assert read_pairs(file(f"{separators}\tx\n".encode())) == [(separators, "x")]


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"", "is empty"),
        (b"\xef\xbb\xbf", "is empty"),
        (b"a\tb\nno tab\nc\td\n", "line 2 has no tabs, where one"),
        (b"a\tb\n\nc\td\n", "line 2 has no tabs, where one"),
        (b"a\tb\nc\td\ne\tf\tg\n", "line 3 has 2 tabs, where one"),
        (b"a\tb\r\n\tb\r\n", "line 2: the source is empty"),
        (b"a\tb\r\na\t\r\n", "line 2: the target is empty"),
        (b"a\t  \n", "line 1: the target is empty"),
        (b"a\tb\n\xc3\xa9\tc\xe9d\n", "line 2 is not UTF-8: byte 5 of the line is 0xe9"),
        (b"a\tb\na\x02\tb\n", r"line 2: the source holds '\\x02', which marks the start of a text, at character 2"),
        (b"\x03a\tb\n", r"line 1: the source holds '\\x03', which marks the end of a text, at character 1"),
        (b"a\tbc\x02\n", r"line 1: the target holds '\\x02', which marks the start of a text, at character 3"),
        (b"a\tb\x03\n", r"line 1: the target holds '\\x03', which marks the end of a text, at character 2"),
    ],
)
def test_bad_files_are_refused_and_the_line_named(file, content, message):
    with pytest.raises(ValueError, match=rf"pairs\.tsv,? {message}"):
        read_pairs(file(content))


def test_a_missing_file_is_named(tmp_path):
    with pytest.raises(FileNotFoundError, match="nowhere"):
        read_pairs(tmp_path / "nowhere")


def test_the_marks_are_two_characters():
    assert (START, END) == ("\x02", "\x03")


# --------------------------------------------------------------------------------------------------------- batches


def test_collate_by_hand():
    source, source_mask, target, targets = collate([([5, 6, 7], [8]), ([], [1, 2]), ([0], [])], START_ID, END_ID)
    assert source.tolist() == [[5, 6, 7], [0, 0, 0], [0, 0, 0]]
    assert source_mask.shape == (3, 1, 1, 3)
    assert source_mask[:, 0, 0].tolist() == [[True, True, True], [False, False, False], [True, False, False]]
    assert target.tolist() == [[90, 8, 0], [90, 1, 2], [90, 0, 0]]
    assert targets.tolist() == [[8, 91, -100], [1, 2, 91], [91, -100, -100]]


@given(st.lists(st.tuples(ids, ids.map(np.array)), max_size=6))
def test_everything_comes_back_from_a_batch(pairs):
    source, source_mask, target, targets = collate(pairs, START_ID, END_ID)
    B, S = len(pairs), max([1, *(len(s) for s, _ in pairs)])
    T = 1 + max([0, *(len(t) for _, t in pairs)])
    assert source.shape == (B, S) and source_mask.shape == (B, 1, 1, S) and source_mask.dtype == bool
    assert target.shape == targets.shape == (B, T)
    assert source.dtype == target.dtype == targets.dtype == np.int64
    for i, (source_ids, text) in enumerate(pairs):
        there = source_mask[i, 0, 0]
        assert source[i][there].tolist() == list(source_ids)
        assert not source[i][~there].any() and (np.diff(there.astype(int)) <= 0).all()
        counted = targets[i] != -100
        assert targets[i][counted].tolist() == [*text, END_ID]
        assert target[i][counted].tolist() == [START_ID, *text]
        assert not target[i][~counted].any() and (np.diff(counted.astype(int)) <= 0).all()
    for part, again in zip((source, source_mask), collate_sources([s for s, _ in pairs], START_ID, END_ID)):
        np.testing.assert_array_equal(part, again)


@pytest.mark.parametrize(("mark", "name"), [(START_ID, "START"), (END_ID, "END")])
def test_marks_within_a_text_are_refused(mark, name):
    with pytest.raises(ValueError, match=f"source 1 of the batch holds {mark}, the id of {name}"):
        collate([([1, 2, 3], [1]), ([4, mark], [1])], START_ID, END_ID)
    with pytest.raises(ValueError, match=f"target 0 of the batch holds {mark}, the id of {name}"):
        collate([([1, 2, 3], [mark, 1]), ([4], [1, 2])], START_ID, END_ID)
    with pytest.raises(ValueError, match=f"source 0 of the batch holds {mark}, the id of {name}"):
        collate_sources([[mark]], START_ID, END_ID)


def test_padding_is_no_mark():
    """0, the id of padding, may itself be START or END."""
    source, source_mask, target, targets = collate([([5, 6], [7]), ([5], [7, 8])], start_id=0, end_id=1)
    assert source.tolist() == [[5, 6], [5, 0]]
    assert target.tolist() == [[0, 7, 0], [0, 7, 8]]
    assert targets.tolist() == [[7, 1, -100], [7, 8, 1]]
