"""Text to learn from."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from minitransformer.data.text import hold_out, python_reference, read_text


def test_files_are_read_one_after_another(tmp_path):
    for name, content in (("b", "zwölf\r\n"), ("a", "🙂\n")):
        (tmp_path / name).write_bytes(content.encode())
    assert read_text([tmp_path / "b", str(tmp_path / "a")]) == "zwölf\n🙂\n"


def test_what_a_system_adds_to_a_text_is_no_part_of_it(tmp_path):
    """But for what stands there otherwise: a carriage return alone, and U+FEFF within."""
    (tmp_path / "a").write_bytes("\ufeffone\r\n\r\n two\ufeff\r!\r\n".encode())
    (tmp_path / "b").write_bytes("one\n\n two\ufeff\r!\n".encode())
    assert read_text([tmp_path / "a"]) == read_text([tmp_path / "b"]) == "one\n\n two\ufeff\r!\n"
    assert read_text([tmp_path / "a"] * 2) == read_text([tmp_path / "b"] * 2)


def test_an_empty_file_is_named(tmp_path):
    (tmp_path / "full").write_bytes(b"x")
    for nothing in ("", "\ufeff"):
        (tmp_path / "hollow").write_bytes(nothing.encode())
        with pytest.raises(ValueError, match="hollow is empty"):
            read_text([tmp_path / "full", tmp_path / "hollow"])


def test_what_is_not_utf8_is_named_with_its_byte(tmp_path):
    for begin in ("", "\ufeff"):
        (tmp_path / "latin").write_bytes(begin.encode() + "zwölf".encode("latin-1"))
        with pytest.raises(ValueError, match=f"latin is not UTF-8: byte {2 + len(begin.encode())} is 0xf6"):
            read_text([tmp_path / "latin"])


def test_a_missing_file_is_named(tmp_path):
    with pytest.raises(FileNotFoundError, match="nowhere"):
        read_text([tmp_path / "nowhere"])


def test_the_python_reference_is_there_and_the_same_each_time():
    from pydoc_data.topics import topics

    text = python_reference()
    assert text == python_reference()
    assert len(text) > 100_000
    assert text.startswith(topics[min(topics)]) and text.endswith(topics[max(topics)])
    assert len(text) == sum(map(len, topics.values()))


@given(st.text(max_size=300))
def test_the_last_tenth_is_held_out(text):
    learn, held_out = hold_out(text)
    assert learn + held_out == text
    assert len(held_out) == len(text) // 10


@pytest.mark.parametrize(("length", "share", "held_out"), [(0, 0.1, 0), (9, 0.1, 0), (10, 0.1, 1), (101, 0.25, 25)])
def test_shares(length, share, held_out):
    text = "".join(map(chr, range(100, 100 + length)))
    assert hold_out(text, share) == (text[: length - held_out], text[length - held_out :])
