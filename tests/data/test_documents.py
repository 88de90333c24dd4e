"""Documents and sentences of a text, and which of them are held out."""

import textwrap
from pathlib import Path

import numpy as np
import pytest

from minitransformer.data.documents import documents_of, hold_out, read_documents, sentences_of
from minitransformer.data.python_documents import docstrings_of, python_documents


def test_sentences():
    text = "One. Two!  Three? 3.5 is\na number \n\n  Dr. No"
    assert sentences_of(text) == ["One.", "Two!", "Three?", "3.5 is", "a number", "Dr.", "No"]
    assert sentences_of(" \n\t\n") == []


@pytest.mark.parametrize(
    "boundary, expected", [("blank", [["a", "b."], ["c"], ["d"]]), ("file", [["a", "b.", "c"], ["d"]])]
)
def test_documents_of_files(boundary, expected, tmp_path):
    """An empty line, whatever white space is in it and whatever ends the lines; or the end of a file."""
    (tmp_path / "1").write_bytes(b"\r\na\r\nb.\r\n \t\r\n\r\nc")
    (tmp_path / "2").write_text("d\n\n\n", encoding="utf-8")
    assert read_documents([tmp_path / "1", str(tmp_path / "2")], boundary) == expected
    (tmp_path / "3").write_text("\n \n", encoding="utf-8")
    with pytest.raises(ValueError, match="3: there is no text in it"):
        read_documents([tmp_path / "3"], boundary)


def test_what_is_held_out():
    """Whole documents, at most a tenth of the text but at least two; the others are to be learnt; in their order."""
    documents = [[f"sentence {i}"] * (1 + i % 7) for i in range(60)]
    learnt, held_out = hold_out(documents)
    assert sorted(learnt + held_out) == sorted(documents) and not any(each in learnt for each in held_out)
    characters = [sum(len(sentence) for each in part for sentence in each) for part in (learnt, held_out)]
    assert 0.07 * sum(characters) < characters[1] <= 0.1 * sum(characters)
    assert [documents.index(each) for each in held_out] == sorted(documents.index(each) for each in held_out)
    assert hold_out(documents) == (learnt, held_out)
    for least in (1, 2):
        few = [["a" * 9], ["b"], ["c" * 5], ["d"]][: 2 * least]
        assert [len(part) for part in hold_out(few, least=least)] == [least, least]


def test_a_single_document_is_cut_where_that_will_do():
    learnt, held_out = hold_out([[*"abcdefghijklmnopqrst"]], least=1)
    assert learnt == [[*"abcdefghijklmnopqr"]] and held_out == [["s", "t"]]
    assert hold_out([["a", "b"]], least=1) == ([["a"]], [["b"]])


@pytest.mark.parametrize("documents, least", [([["a", "b"]], 2), ([["a"], ["b"], ["c"]], 2), ([["a"]], 1)])
def test_too_few(documents, least):
    with pytest.raises(ValueError, match=f"the text has {len(documents)} documents?, and {2 * least} are needed"):
        hold_out(documents, least=least)


def test_what_python_says_about_itself(monkeypatch):
    """Each paragraph once, and none without a letter. (Of the library, few modules: it takes seconds to read all.)"""
    from minitransformer.data import python_documents as module

    said = ["One.\n\nShared by both.\n\n----\n\nOne.", "Shared by both.\n\nTwo: 2\n+--+\nIt is."]
    monkeypatch.setattr(module, "topics_of_python", lambda: ["A topic.\n\nShared by both."])
    monkeypatch.setattr(module, "docstrings_of_library", lambda: [*said, "A topic."])
    assert python_documents() == [["A topic.", "Shared by both."], ["One."], ["Two: 2", "It is."]]


def test_docstrings(tmp_path):
    (tmp_path / "a.py").write_text(
        '"""Module."""\nclass A:\n    """Class.\n\n    More."""\n    async def f(x):\n        "F."\n'
    )
    assert docstrings_of(tmp_path / "a.py") == "Module.\n\nClass.\n\nMore.\n\nF."
    (tmp_path / "b.py").write_text("print 'old'")
    assert docstrings_of(tmp_path / "b.py") == ""
    assert "Text wrapping and filling." in docstrings_of(Path(textwrap.__file__))


def test_no_sentence_is_lost_between_the_two():
    rng = np.random.default_rng(0)
    documents = documents_of(["\n\n".join("\n".join(str(n) for n in rng.integers(0, 99, 3)) for _ in range(20))])
    assert len(documents) == 20 and sorted(sum(hold_out(documents), [])) == sorted(documents)
