"""The command `minitransformer translate`: training on dates and on pairs, answers, and what it refuses."""

import json

import pytest

from minitransformer.cli import main

TINY = "--layers 1 --heads 2 --width 8 --inner 8 --batch 6 --steps 3 --warmup 1 --evaluate-every 2 --threads 1".split()


@pytest.fixture
def pairs(tmp_path, monkeypatch):
    """Forty pairs in a file, the second side the first one reversed."""
    monkeypatch.chdir(tmp_path)
    words = [f"{a}{b} x" for a in "abcde" for b in "fghijklm"]
    (tmp_path / "pairs.tsv").write_text("".join(f"{word}\t{word[::-1]}\n" for word in words), encoding="utf-8")
    return "pairs.tsv"


@pytest.fixture
def trained(pairs, capsys):
    assert main(["translate", "train", "--pairs", pairs, "--out", "run", *TINY]) == 0
    capsys.readouterr()
    return "run"


@pytest.mark.parametrize("tokenizer", ["char", "bpe"])
def test_a_run_on_pairs(pairs, tmp_path, capsys, tokenizer):
    words = ["--tokenizer", tokenizer, "--vocab-size", "270", "--dropout", "0.1"]
    assert main(["translate", "train", "--pairs", pairs, "--out", "run", *TINY, *words]) == 0
    out = capsys.readouterr().out
    assert "your pairs: 36 to learn from, 4 held out" in out and "held out 0." in out and "  →  " in out
    records = [
        json.loads(line) for line in (tmp_path / "run" / "metrics.jsonl").read_text(encoding="utf-8").splitlines()
    ]
    assert [record["step"] for record in records] == [2, 3] and "held out" in records[0]
    assert main(["translate", "train", "--resume", "run"]) == 0


def test_answers(trained, tmp_path, capsys):
    assert main(["translate", trained, "af x", "--max-tokens", "7"]) == 0
    greedy = capsys.readouterr().out
    assert greedy.count("\n") == 1 and len(greedy) <= 8
    (tmp_path / "lines.txt").write_text("af x\nb\nce x\n", encoding="utf-8")
    assert main(["translate", trained, "--file", "lines.txt", "--max-tokens", "7"]) == 0
    lines = capsys.readouterr().out
    assert lines.count("\n") == 3 and lines.startswith(greedy)
    assert main(["translate", trained, "af x", "--beam", "4", "--n-best", "3", "--max-tokens", "7"]) == 0
    best = capsys.readouterr().out.splitlines()
    scores = [float(line.split()[0]) for line in best]
    assert len(best) == 3 and scores == sorted(scores, reverse=True) and all("←  af x" in line for line in best)


def test_what_it_refuses(trained, tmp_path, capsys):
    (tmp_path / "no_tab.tsv").write_text("a\tb\nab\n", encoding="utf-8")
    (tmp_path / "one.tsv").write_text("a\tb\n", encoding="utf-8")
    for words, message in [
        ([trained], "nothing to translate"),
        ([trained, "ÿ"], "the character 'ÿ'"),
        ([trained, "a\x03"], "which marks the end of a text"),
        ([trained, "a", "--beam", "0"], "beam width must be at least 1"),
        ([trained, "a", "--n-best", "0"], "n_best must be from 1"),
        ([trained, "a", "--max-tokens", "-1"], "max_tokens must be 0 or more"),
        ([trained, "--file", "nowhere"], "nowhere: No such file"),
        (["nowhere", "a"], "nowhere is not a folder"),
        (["train", "--pairs", "no_tab.tsv", "--out", "new"], "no_tab.tsv, line 2 has no tabs"),
        (["train", "--pairs", "one.tsv", "--out", "new"], "one pair is not enough"),
    ]:
        assert main(["translate", *words]) == 1
        error = capsys.readouterr().err
        assert message in error and error.count("\n") == 1, error
        assert not (tmp_path / "new").exists()


def test_a_gpt_does_not_translate(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "text.txt").write_text("to be, or not to be. " * 20, encoding="utf-8")
    tiny = "--layers 1 --heads 1 --width 4 --context 4 --steps 1 --threads 1".split()
    assert main(["train", "--text", "text.txt", "--out", "gpt", *tiny]) == 0
    assert main(["translate", "gpt", "to"]) == 1
    assert "gpt holds a GPT2, which does not translate" in capsys.readouterr().err
