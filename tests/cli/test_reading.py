"""The commands that read texts: what they print, and one clear line for what cannot be."""

import io
import json
import shutil
import sys

import numpy as np
import pytest

from minitransformer.cli import main
from minitransformer.models import (
    GPT2,
    MaskedLanguageModel,
    SentenceEncoder,
    SpanFinder,
    TextClassifier,
    TokenClassifier,
)
from minitransformer.pretrained import save_pretrained
from minitransformer.tokenizers import BPETokenizer, WordPieceTokenizer

from ..reading.models import BODY, TOKENIZER

HEADS = {
    "fill-mask": MaskedLanguageModel(BODY),
    "classify": TextClassifier(BODY, 3),
    "tag": TokenClassifier(BODY, 3),
    "answer": SpanFinder(BODY),
    "embed": SentenceEncoder(BODY),
}
LABELS = {"classify": ["good", "bad", "so so"], "tag": ["O", "B-PER", "I-PER"]}


@pytest.fixture
def called(tmp_path, rng, capsys):
    """called(command, *arguments): status, what was printed, and what was complained of. The folder is filled in."""

    def call(command, *arguments, expected=0):
        folder = tmp_path / command
        if not folder.exists():
            model = HEADS[command]
            save_pretrained(folder, model, model.init(rng), TOKENIZER, labels=LABELS.get(command))
        status = main([command, str(folder), *arguments, "--backend", "reference"])
        out, err = capsys.readouterr()
        assert status == expected, err
        assert "Traceback" not in err and len(err.splitlines()) == (expected != 0)
        return out, err

    return call


def objects(out):
    return [json.loads(line) for line in out.split("\n") if line]


def test_fill_mask(called):
    out, _ = called("fill-mask", "the [MASK] sat", "[MASK] cat", "--top", "2", "--json")
    assert [(row["text"], row["mask"]) for row in objects(out)] == [("the [MASK] sat", 1)] * 2 + [("[MASK] cat", 1)] * 2
    assert all(row["token"] in TOKENIZER.ids and 0 < row["probability"] < 1 for row in objects(out))
    table, _ = called("fill-mask", "the [MASK] sat")
    assert table.splitlines()[0].split() == ["text", "mask", "token", "probability"] and len(table.splitlines()) == 6


def test_classify(called, tmp_path):
    (tmp_path / "lines.txt").write_text("the cat\nthe dog\n", encoding="utf-8")
    out, _ = called("classify", "--file", str(tmp_path / "lines.txt"), "--json")
    first, second = objects(out)
    assert first["text"] == "the cat" and second["text"] == "the dog"
    assert list(first["classes"]) == LABELS["classify"] and abs(sum(first["classes"].values()) - 1) < 1e-5
    assert first["class"] == max(first["classes"], key=first["classes"].get)
    assert called("classify", "the cat\tthe dog", "--pairs")[0]
    assert "one half of text 1 is empty" in called("classify", "the cat\t", "--pairs", expected=1)[1]
    _, err = called("classify", "the cat", "--pairs", expected=1)
    assert "text 1 is not two texts with a tab between, but 1" in err


def test_tag(called):
    out, _ = called("tag", "the cat was born in rome", "--outside", "none", "--json")
    for row in objects(out):
        assert "the cat was born in rome"[row["begin"] : row["end"]] == row["span"]
        assert row["text"] == "the cat was born in rome" and row["label"] in ("O", "PER")
    assert objects(out)


def test_answer(called, tmp_path):
    (tmp_path / "text.txt").write_text("the cat was born in rome\nand sat", encoding="utf-8")
    out, _ = called("answer", "where?", "--file", str(tmp_path / "text.txt"), "--json")
    (row,) = objects(out)
    assert list(row) == ["question", "answer", "begin", "end", "probability"]
    assert "the cat was born in rome\nand sat"[row["begin"] : row["end"]] == row["answer"]
    _, err = called("answer", "where?", "--text", "cat " * 40, expected=1)
    assert "do not fit into the model's context" in err and "stride" in err
    assert "cat" in called("answer", "where?", "--text", "cat " * 40, "--stride", "4")[0]


def test_embed(called, tmp_path):
    out, _ = called("embed", "the cat", "the dog", "rome", "--json", "--out", str(tmp_path / "v.npy"))
    vectors = np.array([row["vector"] for row in objects(out)], np.float32)
    np.testing.assert_allclose(vectors, np.load(tmp_path / "v.npy"), rtol=1e-6)
    np.testing.assert_allclose(np.linalg.norm(vectors, axis=1), 1, rtol=1e-5)
    table, _ = called("embed", "the cat", "the dog", "rome")
    lines = table.splitlines()
    assert lines[0].split() == ["1", "2", "3", "text"] and lines[1].split()[1] == "1.00" and lines[3].endswith("rome")
    parted, _ = called("embed", "the cat", "the dog", "rome", "--clusters", "2")
    assert {line.split()[0] for line in parted.splitlines()[1:]} == {"1", "2"}
    first, _ = called("embed", "the cat", "--pooling", "first", "--json")
    assert not np.allclose(objects(first)[0]["vector"], vectors[0])
    _, err = called("embed", "the cat", "--out", str(tmp_path / "v.npy"), expected=1)
    assert "v.npy is there already" in err


def test_texts_are_lowered_where_the_folder_says_so(called, tmp_path):
    """Its tokenizer does not. What is shown is the text as it was given."""
    called("embed", "the cat")
    cased = WordPieceTokenizer([*TOKENIZER.vocabulary[:-1], "CAT"], lowercase=False)
    (tmp_path / "embed" / "tokenizer_config.json").write_text('{"do_lower_case": false}')
    (tmp_path / "embed" / "vocab.txt").write_text("\n".join(cased.vocabulary), encoding="utf-8")
    for said in (False, True):
        (tmp_path / "embed" / "sentence_bert_config.json").write_text(json.dumps({"do_lower_case": said}))
        shown, low = objects(called("embed", "the CAT", "the cat", "--json")[0])
        assert shown["text"] == "the CAT" and np.allclose(shown["vector"], low["vector"]) == said


@pytest.mark.parametrize("command", ["fill-mask", "classify", "tag", "embed"])
@pytest.mark.parametrize(
    "arguments, message",
    [
        ([], "texts are needed"),
        (["a [MASK]", "--file", "x"], "texts are needed"),
        (["--file", "{tmp}/none.txt"], "No such file"),
        (["--file", "{tmp}/empty.txt"], "has no lines"),
        (["--file", "{tmp}/latin.txt"], "is not UTF-8"),
        (["[MASK]", " "], "text 2 is empty"),
        (["[MASK] " + "cat " * 30], "is longer than the 16 tokens of the model"),
    ],
    ids=lambda each: str(each)[:30],
)
def test_texts_that_are_none(command, arguments, message, called, tmp_path):
    (tmp_path / "empty.txt").touch()
    (tmp_path / "latin.txt").write_bytes(b"\xe9\n")
    _, err = called(command, *(each.replace("{tmp}", str(tmp_path)) for each in arguments), expected=1)
    assert message in err
    if "longer" in message:
        assert called(command, *arguments, "--truncate")[0]


@pytest.mark.parametrize("command", HEADS)
def test_a_folder_with_another_head(command, called, tmp_path, rng, capsys):
    folder = tmp_path / command
    texts = ["where?", "--text", "cat"] if command == "answer" else ["[MASK]"]
    for name, other in HEADS.items():
        if name == command:
            continue
        shutil.rmtree(folder, ignore_errors=True)
        save_pretrained(folder, other, other.init(rng), TOKENIZER)
        if command == "embed":  # takes the body of any
            assert called(command, *texts)[0]
        else:
            _, err = called(command, *texts, expected=1)
            assert f"its head is that of a {type(other).__name__}" in err


def test_a_file_is_read_as_it_is(called, tmp_path):
    """Places are those of the file, with its carriage returns; and what only looks like a line's end is none."""
    (tmp_path / "text.txt").write_bytes("\ufeffthe cat\r\nwas born\r\nin rome".encode())
    text = "the cat\r\nwas born\r\nin rome"
    (row,) = objects(called("answer", "where?", "--file", str(tmp_path / "text.txt"), "--json")[0])
    assert text[row["begin"] : row["end"]] == row["answer"]
    (tmp_path / "lines.txt").write_bytes("the\u2028cat\r\nrome\x0bdog\n".encode())
    rows = objects(called("classify", "--file", str(tmp_path / "lines.txt"), "--json")[0])
    assert [row["text"] for row in rows] == ["the\u2028cat", "rome\x0bdog"]


def test_lines_from_standard_input(called, monkeypatch):
    def given(data):
        monkeypatch.setattr(
            sys, "stdin", io.TextIOWrapper(io.BytesIO(data), encoding="ascii", errors="surrogateescape")
        )

    given("\ufeffthe café\r\nrome\n\n".encode())
    out, _ = called("classify", "--file", "-", "--json")
    assert [row["text"] for row in objects(out)] == ["the café", "rome"]
    given(b"\xe9\n")
    assert "standard input is not UTF-8" in called("classify", "--file", "-", expected=1)[1]
    monkeypatch.setattr(sys, "stdin", None)
    assert "standard input is closed" in called("classify", "--file", "-", expected=1)[1]


@pytest.mark.parametrize(
    "command, option", [("fill-mask", ["--top", "1"]), ("tag", ["--json"]), ("embed", ["--clusters", "2"])]
)
def test_options_may_stand_anywhere(command, option, called, tmp_path):
    texts = ["the [MASK]", "rome"] if command != "fill-mask" else ["the [MASK]", "[MASK] cat"]
    behind, _ = called(command, *texts, *option)
    assert called(command, *option, *texts)[0] == behind
    assert called(command, texts[0], *option, texts[1])[0] == behind
    with pytest.raises(SystemExit):
        main([command, str(tmp_path / command), "the [MASK]", "--nothing"])


def test_a_table_that_nobody_could_read(called, tmp_path):
    texts = ["cat"] * 41
    _, err = called("embed", *texts, expected=1)
    assert "a table of 41 texts" in err
    out, _ = called("embed", *texts, "--out", str(tmp_path / "v.npy"))
    assert out == f"{tmp_path / 'v.npy'}: 41 vectors of width {BODY.d_model}\n"
    assert len(called("embed", *texts, "--clusters", "2")[0].splitlines()) == 42


def test_what_a_terminal_could_not_bear_is_not_shown(called):
    out, _ = called("classify", "the \x1b[31mcat")
    assert "\x1b" not in out


@pytest.mark.parametrize("command, more", [("generate", []), ("attend", ["the cat", "--target", "cat"])])
def test_what_reads_does_not_write(command, more, tmp_path, rng, capsys):
    model = HEADS["classify"]
    save_pretrained(tmp_path / "bert", model, model.init(rng), TOKENIZER)
    assert main([command, str(tmp_path / "bert"), *more]) == 1
    err = capsys.readouterr().err
    assert "TextClassifier" in err and len(err.splitlines()) == 1


@pytest.mark.parametrize("command", HEADS)
def test_what_writes_does_not_read(command, tmp_path, rng, capsys):
    tokenizer = BPETokenizer.train("the cat", 260)
    model = GPT2(tokenizer.vocab_size, 9, 1, 1, 4)
    save_pretrained(tmp_path / "gpt2", model, model.init(rng), tokenizer)
    texts = ["where?", "--text", "cat"] if command == "answer" else ["[MASK]"]
    assert main([command, str(tmp_path / "gpt2"), *texts]) == 1
    err = capsys.readouterr().err
    assert "it is a GPT-2, which writes" in err and len(err.splitlines()) == 1


@pytest.mark.parametrize(
    "command, arguments, message",
    [
        ("answer", ["where?", "--text", "cat " * 40, "--stride", "-1"], "a stride is at least 0, not -1"),
        ("answer", ["where?", "--text", "cat", "--longest", "0"], "an answer of at most 0 tokens is none"),
        ("answer", ["where?", "--text", ""], "has no token"),
        ("answer", [" ", "--text", "cat"], "a question is empty"),
        ("fill-mask", ["[MASK]", "--top", "0"], "of 0 tokens nothing"),
        ("fill-mask", ["cat"], "text 1 has no [MASK]"),
        ("embed", ["cat", "--clusters", "2"], "1 texts cannot be parted into 2 clusters"),
        ("embed", ["cat", "--out", "{tmp}/none/v.npy"], "is not a folder"),
    ],
)
def test_settings_that_make_no_sense(command, arguments, message, called, tmp_path):
    _, err = called(command, *(each.replace("{tmp}", str(tmp_path)) for each in arguments), expected=1)
    assert message in err
