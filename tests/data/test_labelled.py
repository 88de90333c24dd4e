"""Labelled data: what is read, and that what cannot be read is named with its file and line."""

import json
import re

import pytest

from minitransformer.data.labelled_texts import LabelledText, read_labelled_texts
from minitransformer.data.labelled_words import LabelledWords, read_labelled_words
from minitransformer.data.questions import Question, read_questions

from ..finetuning.made import squad


@pytest.fixture
def file(tmp_path):
    def make(name, content):
        (tmp_path / name).write_bytes(content if isinstance(content, bytes) else content.encode())
        return tmp_path / name

    return make


# ------------------------------------------------------------------------------------------------------------- texts


def test_labels_and_texts(file):
    found = read_labelled_texts(file("a.tsv", "\ufeffgood\tthe cat\r\n\nbad\tthe\u2028dog \n"))
    assert found == [LabelledText("good", "the cat", None), LabelledText("bad", "the\u2028dog ", None)]
    assert [example.texts for example in found] == ["the cat", "the\u2028dog "]


@pytest.mark.parametrize("lines", [["x\ta", "label\ttext"], ["label\ta"], ["x\ttext"], ["text\ttext"]])
def test_names_of_columns_may_be_said_otherwise(lines, file):
    assert len(read_labelled_texts(file("a.tsv", "\n".join(lines)))) == len(lines)


def test_pairs_of_texts(file):
    (found,) = read_labelled_texts(file("a.tsv", "follows\tit rains\tit is wet\n"))
    assert found == ("follows", "it rains", "it is wet") and found.texts == ("it rains", "it is wet")


def test_texts_as_objects(file):
    lines = '{"text": "a", "label": "x"}\n\n{"label": "y", "text": "b\\tc"}\n'
    assert read_labelled_texts(file("a.jsonl", lines)) == [("x", "a", None), ("y", "b\tc", None)]
    assert read_labelled_texts(file("b.jsonl", '{"text": "a", "label": "x", "pair": "b"}')) == [("x", "a", "b")]


@pytest.mark.parametrize(
    "name, content, message",
    [
        ("a.tsv", "", "a.tsv is empty"),
        ("a.tsv", "\n \n", "a.tsv has no texts"),
        ("a.tsv", "x\ta\nb\n", "a.tsv, line 2 has no tabs"),
        ("a.tsv", "label\ttext\nx\ta\n", "line 1 names columns, which would be a class of its own: leave it out"),
        ("a.tsv", "\nText\tLabel\r\na\tx\n", "a.tsv, line 2 names columns"),
        ("a.tsv", "label\ttext\ttext 2\nx\ta\tb\n", "a.tsv, line 1 names columns"),
        ("a.tsv", "x\ta\tb\tc\n", "a.tsv, line 1 has 3 tabs"),
        ("a.tsv", "x\ta\n\nx\ta\tb\n", "a.tsv, line 3 has 2 text(s), "),
        ("a.tsv", "x\ta\tb\nx\ta\n", "a.tsv, line 2 has 1 text(s), "),
        ("a.tsv", "x\ta\n\tb\n", "a.tsv, line 2: the label is empty"),
        ("a.tsv", "x\ta\nx\t \n", "a.tsv, line 2: the text is empty"),
        ("a.tsv", "x\ta\t\n", "a.tsv, line 1: the second text is empty"),
        ("a.tsv", b"x\ta\nx\t\xff\n", "a.tsv, line 2 is not UTF-8"),
        ("a.jsonl", '{"text": "a", "label": "x"}\n{', "a.jsonl, line 2 is no JSON"),
        ("a.jsonl", "[1]", "a.jsonl, line 1 is no JSON object"),
        ("a.jsonl", '{"text": "a"}', "a.jsonl, line 1 has no 'label'"),
        ("a.jsonl", '{"text": "a", "label": 1}', "a.jsonl, line 1: 'label' is of type int, expected str"),
        (
            "a.jsonl",
            '{"text": "a", "label": "x", "n": 1}',
            "a.jsonl, line 1 has 'n'; known are 'text', 'label', 'pair'",
        ),
        ("a.jsonl", "[" * 100_000, "a.jsonl, line 1 is no JSON"),
    ],
)
def test_labelled_texts_that_are_none(name, content, message, file):
    with pytest.raises(ValueError, match=re.escape(message)):
        read_labelled_texts(file(name, content))


# ------------------------------------------------------------------------------------------------------------- words

CONLL = "-DOCSTART- -X- O\n\nAda\tNNP\tB-PER\nLovelace NNP I-PER\nslept VBD O\n\n\nIn O\nRome B-LOC"


def test_words_with_labels(file):
    first, second = read_labelled_words(file("a.conll", CONLL))
    assert first == LabelledWords(("Ada", "Lovelace", "slept"), ("B-PER", "I-PER", "O"))
    assert second == (("In", "Rome"), ("O", "B-LOC"))
    assert first.text == "Ada Lovelace slept"
    assert [first.text[begin:end] for begin, end in first.places] == list(first.words)


@pytest.mark.parametrize(
    "content, message",
    [
        ("", "a.conll is empty"),
        ("\n-DOCSTART- O\n", "a.conll has no texts"),
        ("a O\nb\n", "a.conll, line 2 has no label: 'b' stands alone"),
        (b"a O\n\xff O\n", "a.conll, line 2 is not UTF-8"),
    ],
)
def test_labelled_words_that_are_none(content, message, file):
    with pytest.raises(ValueError, match=re.escape(message)):
        read_labelled_words(file("a.conll", content))


# --------------------------------------------------------------------------------------------------------- questions

EACH = {"question": "where?", "text": "ada is in rome", "answer": "rome", "begin": 10}


def test_questions_as_objects(file):
    (found,) = read_questions(file("a.jsonl", json.dumps(EACH)))
    assert found == Question("where?", "ada is in rome", (("rome", 10),)) and found.span == (10, 14)


def test_questions_as_in_squad(tmp_path):
    first, second = read_questions(squad(tmp_path / "squad.json"))
    assert first == ("where is ada?", "ada is in rome.", (("rome", 10), ("in rome", 7))) and first.span == (10, 14)
    assert second == ("where is bob?", "bob is in oslo.", (("oslo", 10),))


@pytest.mark.parametrize(
    "more, message",
    [
        ({"begin": 9}, "a.jsonl, line 2: at character 9 of the text stands ' rom', not 'rome'"),
        ({"answer": "is in", "begin": -10}, "a.jsonl, line 2: at character -10 of the text stands"),
        ({"begin": -4}, "a.jsonl, line 2: at character -4 of the text stands '', not 'rome'"),
        ({"begin": 99}, "a.jsonl, line 2: at character 99 of the text stands '', not 'rome'"),
        ({"answer": " ", "begin": 3}, "a.jsonl, line 2: the answer is empty"),
        ({"question": ""}, "a.jsonl, line 2: the question is empty"),
        ({"begin": 10.0}, "a.jsonl, line 2: 'begin' is of type float, expected int"),
        ({"begin": True}, "a.jsonl, line 2: 'begin' is of type bool, expected int"),
    ],
)
def test_questions_whose_answer_is_not_there(more, message, file):
    with pytest.raises(ValueError, match=re.escape(message)):
        read_questions(file("a.jsonl", f"{json.dumps(EACH)}\n{json.dumps(EACH | more)}\n"))


@pytest.mark.parametrize(
    "change, message",
    [
        (lambda qas: qas[0].pop("question"), "article 1, paragraph 1, question 1 is not as in SQuAD: KeyError"),
        (lambda qas: qas[0]["answers"].clear(), "question 1 has no answer, and is not marked as impossible"),
        (lambda qas: qas[0]["answers"][0].update(answer_start="1"), "question 1 is not as in SQuAD: TypeError"),
        (lambda qas: qas[0]["answers"][1].update(answer_start=6), "question 1: at character 6 of the text stands"),
        (lambda qas: qas[1].update(is_impossible=False), "question 2 has no answer"),
        (lambda qas: qas.insert(0, []), "question 1 is not as in SQuAD"),
    ],
)
def test_squad_that_is_not_as_it_should_be(change, message, tmp_path):
    path = squad(tmp_path / "squad.json")
    data = json.loads(path.read_text(encoding="utf-8"))
    change(data["data"][0]["paragraphs"][0]["qas"])
    path.write_text(json.dumps(data), encoding="utf-8")
    with pytest.raises(ValueError, match=re.escape(message)):
        read_questions(path)


@pytest.mark.parametrize(
    "content, message",
    [("{", "is damaged or no JSON"), ("[]", "is not as in SQuAD"), ('{"data": []}', "has no questions with an answer")],
)
def test_squad_that_is_none(content, message, file):
    with pytest.raises(ValueError, match=message):
        read_questions(file("a.json", content))
