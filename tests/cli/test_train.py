"""The command `minitransformer train`: what it leaves, what it says, and what it refuses without a traceback."""

import json

import pytest

from minitransformer.cli import main

TINY = (
    "--layers 1 --heads 2 --width 8 --context 8 --batch 4 --steps 5 --warmup 1 --evaluate-every 2 --threads 1".split()
)


@pytest.fixture
def text(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "text.txt").write_text("to be, or not to be: that is the question. " * 12, encoding="utf-8")
    return "text.txt"


def fails(capsys, *words):
    """The one line of a command that fails."""
    assert main(words) == 1
    error = capsys.readouterr().err
    assert "Traceback" not in error
    return error


def test_a_run_folder(text, tmp_path, capsys):
    assert main(["train", "--text", text, "--out", "run", *TINY]) == 0
    out, _ = capsys.readouterr()
    run = tmp_path / "run"
    assert sorted(path.name for path in run.iterdir()) == ["checkpoint", "config.json", "loss.png", "metrics.jsonl"]
    records = [json.loads(line) for line in (run / "metrics.jsonl").read_text(encoding="utf-8").splitlines()]
    assert [record["step"] for record in records] == [2, 4, 5]
    assert all(set(record) == {"step", "training_loss", "validation_loss", "tokens_per_second"} for record in records)
    assert f"validation loss {records[-1]['validation_loss']:.4f}" in out
    assert "trained in 0 min" in out and "generate run" in out and "--resume" in out
    assert (run / "loss.png").read_bytes().startswith(b"\x89PNG")
    config = json.loads((run / "config.json").read_text(encoding="utf-8"))
    assert config["configuration"]["d_model"] == 8 and config["settings"]["seed"] == 0
    assert (
        set(config["machine"]) == {"backend", "minitransformer", "python", "numpy", "blas", "platform"}
        and config["machine"]["blas"]
    )
    assert len(config["data"]["sha256"]) == 64


def test_bpe_dropout_and_accumulation(text, tmp_path, capsys):
    words = ["--tokenizer", "bpe", "--vocab-size", "270", "--dropout", "0.1", "--accumulate", "2", "--context", "4"]
    assert main(["train", "--text", text, "--out", "run", *TINY, *words]) == 0
    assert "tokens of 270 kinds" in capsys.readouterr().out
    assert main(["generate", "run", "--prompt", "to be", "--tokens", "5", "--seed", "1"]) == 0
    assert capsys.readouterr().out.startswith("to be")


def test_generate_from_a_run(text, capsys):
    assert main(["train", "--text", text, "--out", "run", *TINY]) == 0
    capsys.readouterr()
    texts = []
    for more in ([], ["--no-cache"], ["--seed", "2"], ["--greedy"], ["--top-k", "3"], ["--top-p", "0.5"]):
        assert main(["generate", "run", "--prompt", "to be", "--tokens", "20", "--seed", "1", *more]) == 0
        texts.append(capsys.readouterr().out)
    assert texts[0] == texts[1] != texts[2]
    assert all(len(text) == len("to be") + 20 + 1 for text in texts)


def test_a_folder_that_holds_a_run(text, capsys):
    assert main(["train", "--text", text, "--out", "run", *TINY]) == 0
    capsys.readouterr()
    error = fails(capsys, "train", "--text", text, "--out", "run", *TINY)
    assert "--resume run goes on" in error and "--overwrite" in error
    assert main(["train", "--resume", "run"]) == 0
    assert "resuming run at step 5" in capsys.readouterr().out
    assert main(["train", "--text", text, "--out", "run", "--overwrite", *TINY]) == 0


def test_what_train_refuses(text, tmp_path, capsys):
    (tmp_path / "empty.txt").write_text("", encoding="utf-8")
    (tmp_path / "latin.txt").write_bytes("naïve".encode("latin-1") * 100)
    (tmp_path / "short.txt").write_text("short", encoding="utf-8")
    (tmp_path / "file").write_text("here", encoding="utf-8")
    run = ["train", "--text", text, "--out", "run", *TINY]
    for words, message in [
        (["train", "--text", "nowhere.txt"], "nowhere.txt: No such file or directory"),
        (["train", "--text", "empty.txt"], "empty.txt is empty"),
        (["train", "--text", "latin.txt"], "latin.txt is not UTF-8: byte 2 is 0xef"),
        (["train", "--text", "short.txt"], "tokens, too short for one context of 64"),
        ([*run, "--heads", "3"], "n_heads=3 does not divide d_model=8"),
        ([*run, "--steps", "0"], "steps must be at least 1, not 0"),
        ([*run, "--learning-rate", "-1"], "learning_rate must be above 0, not -1.0"),
        ([*run, "--dropout", "1"], "dropout must be below 1, not 1.0"),
        ([*run, "--learning-rate", "inf"], "learning_rate must be below inf, not inf"),
        ([*run, "--tokenizer", "words"], "unknown tokenizer 'words'; there are: char, bpe"),
        ([*run, "--threads", "0"], "--threads must be at least 1, not 0"),
        (["train", "--text", text, "--out", "file", *TINY], "file"),
        (["train", "--resume", "nowhere"], "nowhere is not a folder"),
        (["train", "--resume", "."], ". holds no complete checkpoint"),
        (["train", "--resume", "run", "--steps", "9"], "a resumed run keeps its settings: --steps cannot go with"),
    ]:
        error = fails(capsys, *words)
        assert message in error, error
        assert error.count("\n") == 1
        assert not (tmp_path / "run").exists()


def test_a_loss_that_is_no_number(text, tmp_path, capsys):
    error = fails(capsys, "train", "--text", text, "--out", "run", *TINY, "--learning-rate", "1e30")
    assert "Training stopped; the checkpoint of step" in error and "is whole" in error
    assert main(["generate", "run", "--tokens", "3", "--prompt", "to"]) == 0


def test_without_matplotlib(text, tmp_path, capsys, monkeypatch):
    monkeypatch.setitem(__import__("sys").modules, "matplotlib.figure", None)
    assert main(["train", "--text", text, "--out", "run", *TINY]) == 0
    assert "no loss.png: it takes matplotlib" in capsys.readouterr().out


def test_an_error_is_one_line_of_what_can_be_shown(capsys):
    error = fails(capsys, "train", "--text", "a\x1b[31m\nb.txt")
    assert error.endswith("a\N{REPLACEMENT CHARACTER}[31m b.txt: No such file or directory\n")


def test_control_characters_do_not_reach_the_terminal():
    from minitransformer.cli import printable
    from minitransformer.cli.training_run import marked

    assert printable("a\x1b[31m\tb\nc\x00é") == "a�[31m\tb\nc�é"
    assert printable("\x9b1m\r\u202e\u2028\x7f") == "�1m����"
    ordinary = "l\u00e0\u00a0\u202f! \u3000猫 نمی\u200cخواهم क्\u200dष 👩\u200d🚀"
    assert printable(ordinary) == ordinary
    assert marked("one\x07\n\n two ") == "    │ one�\n    │  two"


def test_the_backend_is_a_choice_and_part_of_the_run(text, tmp_path, capsys):
    """Kernels where nothing is said; a run that goes on with another implementation says so."""
    assert main(["train", "--text", text, "--out", "run", *TINY]) == 0
    assert main(["train", "--text", text, "--out", "plain", "--backend", "reference", *TINY]) == 0
    machines = [
        json.loads((tmp_path / name / "config.json").read_text("utf-8"))["machine"] for name in ("run", "plain")
    ]
    assert [machine["backend"] for machine in machines] == ["cpu", "reference"]
    losses = [
        json.loads((tmp_path / name / "metrics.jsonl").read_text("utf-8").splitlines()[-1]) for name in ("run", "plain")
    ]
    assert losses[0]["validation_loss"] == pytest.approx(losses[1]["validation_loss"], rel=1e-5)
    capsys.readouterr()
    assert main(["train", "--resume", "run", "--backend", "reference"]) == 0
    assert "note: backend was cpu, is reference" in capsys.readouterr().out
    assert "unknown backend 'abacus'; there are: reference, cpu" in fails(capsys, "train", "--backend", "abacus")
