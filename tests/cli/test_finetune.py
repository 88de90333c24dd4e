"""`finetune`: what it learns on data made here, what it writes, and one clear line for what cannot be."""

import errno
import json
import os
import signal
from dataclasses import replace

import numpy as np
import pytest
from safetensors.numpy import load_file, save_file

from minitransformer.cli import main
from minitransformer.models import SentenceEncoder, SpanFinder, TextClassifier, TokenClassifier
from minitransformer.pretrained import labels_of, load_pretrained, save_pretrained, spare_rows
from minitransformer.trees import leaves

from ..arrays import same_bits
from ..finetuning import made
from ..pretrained import test_distilbert as distilbert_tests
from ..pretrained import test_roberta as roberta_tests

MADE = {"classify": made.opinions, "tag": made.names, "answer": made.questions, "lm": made.writing}
LEARNT = {  # texts, epochs, the score, and what it must reach, where guessing gives at most half (or for lm, 60 tokens)
    "classify": (300, 15, "accuracy", 0.9),
    "tag": (150, 4, "span_f1", 0.9),
    "answer": (400, 9, "exact", 0.9),
    "lm": (300, 12, "perplexity", -5.0),
}
SUFFIX = {"answer": ".jsonl"}


@pytest.fixture
def tuned(tmp_path, rng, capsys, monkeypatch):
    """tuned(task, *more): status, what was printed, and what was complained of; the folder and data are made before."""
    monkeypatch.chdir(tmp_path)

    def call(task, *more, n=40, expected=0, model=None, labels=None):
        data = tmp_path / f"{task}{SUFFIX.get(task, '.txt')}"
        if not data.exists():
            MADE[task](data, n, rng)
        if not (tmp_path / "body").exists():
            made.bert_folder(tmp_path / "body", model, labels=labels)
        if task == "lm" and not (tmp_path / "gpt2").exists():
            made.gpt2_folder(tmp_path / "gpt2", data.read_text(encoding="utf-8"))
        folder = "gpt2" if task == "lm" else "body"
        if "--data" not in more:
            more = (*more, "--data", str(data))
        status = main(["finetune", folder, "--task", task, "--backend", "reference", "--threads", "1", *more])
        out, err = capsys.readouterr()
        assert status == expected, err
        assert "Traceback" not in err and (not expected or len(err.splitlines()) == 1)
        return out, err

    return call


def metrics(folder):
    return [json.loads(line) for line in (folder / "metrics.jsonl").read_text(encoding="utf-8").splitlines()]


@pytest.mark.parametrize("task", MADE)
def test_it_learns(task, tuned, tmp_path, rng, capsys):
    """On texts that were not there in training; and what it learnt is where the other commands find it."""
    n, epochs, score, least = LEARNT[task]
    data = MADE[task](tmp_path / f"{task}{SUFFIX.get(task, '.txt')}", n, rng)
    heldout = MADE[task](tmp_path / f"heldout{SUFFIX.get(task, '')}", 80, rng, unlike=data)
    how = ["--epochs", str(epochs), "--learning-rate", "3e-3", "--heldout", str(heldout)]
    out, _ = tuned(task, *how)
    first, *_, last = metrics(tmp_path / "runs" / task)
    sign = -1 if task == "lm" else 1
    assert sign * last[score] >= least > sign * first[score]
    assert last["heldout_loss"] < first["heldout_loss"] and last["epoch"] == epochs
    assert f"next: {next_of(out)}" in out and f"runs/{task}" in out
    command = {
        "classify": [
            "classify",
            f"runs/{task}",
            "bob saw the cat and it was not bad",
            "eve saw the train and it was not good",
            "--json",
        ],
        "tag": ["tag", f"runs/{task}", "Eve van dog saw the cat in Oslo", "--json"],
        "answer": ["answer", f"runs/{task}", "Where is it?", "--text", "in lima the dog saw eve van bob", "--json"],
        "lm": ["generate", f"runs/{task}", "--prompt", "the film", "--greedy", "--tokens", "9"],
    }[task]
    assert main([*command, "--backend", "reference"]) == 0
    said = capsys.readouterr().out
    rows = [json.loads(line) for line in said.splitlines()] if task != "lm" else said
    if task == "classify":
        assert [row["class"] for row in rows] == ["good", "bad"]
    elif task == "tag":
        assert [(row["label"], row["span"]) for row in rows] == [("PER", "Eve van dog"), ("LOC", "Oslo")]
    elif task == "answer":
        assert rows[0]["answer"] == "lima"
    else:
        assert said.startswith("the film was ")


@pytest.mark.parametrize("task, folder", [("lm", "gpt2"), ("classify", "body")])
def test_spare_rows_stay_as_they_were(task, folder, tuned, tmp_path):
    tuned(task, "--epochs", "1")
    found = load_pretrained(tmp_path / folder)
    table = "token.weight" if task == "lm" else "body.token.weight"
    biases = {} if task == "lm" else {"table.bias": np.zeros(5)}
    spare = {table: np.arange(5 * 24.0).reshape(5, 24), **biases}
    os.rename(tmp_path / folder, tmp_path / "plain")
    save_pretrained(tmp_path / folder, *found[:3], spare=spare)
    tuned(task, "--epochs", "1", "--out", "padded")
    rows = spare_rows(tmp_path / "padded", load_pretrained(tmp_path / "padded").model)
    assert same_bits(rows, {table: spare[table]})
    assert same_bits(load_pretrained("padded").p, load_pretrained(f"runs/{task}").p)  # and nothing is learnt otherwise


def next_of(out):
    return out.partition("next: ")[2].strip()


def test_the_same_seed_gives_the_same_folder(tuned, tmp_path):
    how = ["--epochs", "1", "--pieces", "2", "--accumulate", "2", "--batch", "4"]
    tuned("classify", *how, "--out", "a")
    tuned("classify", *how, "--out", "b", "--threads", "2")
    tuned("classify", *how, "--out", "c", "--seed", "1")
    read = [(tmp_path / name / "model.safetensors").read_bytes() for name in "abc"]
    assert read[0] == read[1] != read[2]
    assert sorted(path.name for path in (tmp_path / "a").iterdir()) == [
        "config.json",
        "metrics.jsonl",
        "model.safetensors",
        "tokenizer_config.json",
        "vocab.txt",
    ]


@pytest.mark.parametrize("task", MADE)
def test_the_kernels_learn_the_same(task, tuned, tmp_path):
    """Up to rounding in float32, with frozen layers and with dropout at its place."""
    below = ["token", "position", "layers.0"] + ["type", "norm"] * (task != "lm")
    model = TokenClassifier(replace(made.BODY, dropout_rate=0.1), 4)  # whose body is taken
    for backend in ("reference", "cpu"):
        tuned(task, "--epochs", "2", "--backend", backend, "--out", backend, "--freeze", *below, model=model)
    losses = [[each["heldout_loss"] for each in metrics(tmp_path / backend)] for backend in ("reference", "cpu")]
    np.testing.assert_allclose(*losses, rtol=1e-4)
    assert losses[0][0] != losses[0][1]


# --------------------------------------------------------------------------------------------- body, head and labels


def test_a_new_head_where_the_published_one_knows_other_labels(tuned, tmp_path):
    model = TextClassifier(made.BODY, 3)
    out, _ = tuned("classify", "--epochs", "1", model=model, labels=["bad", "good", "so so"])
    assert "a new head" not in out and "3 labels: bad, good, so so" in out
    assert labels_of(load_pretrained(tmp_path / "runs" / "classify")) == ["bad", "good", "so so"]
    (tmp_path / "other.tsv").write_text("fine\tthe cat\nbad\tthe dog\n" * 3, encoding="utf-8")
    out, _ = tuned("classify", "--epochs", "1", "--data", "other.tsv", "--out", "other")
    assert "a new head is drawn" in out and "2 labels: bad, fine" in out
    assert load_pretrained(tmp_path / "other").model == TextClassifier(made.BODY, 2)


@pytest.mark.parametrize("kept", [True, False])
def test_what_stays_of_the_published_head(kept, tuned, tmp_path):
    """Frozen but for the head, at a rate of nearly nothing: where it began is seen."""
    model = TextClassifier(made.BODY, 2)
    layers = [f"layers.{i}" for i in range(made.BODY.n_layers)]
    labels = ["bad", "good"] if kept else ["x", "y"]
    how = ["--epochs", "1", "--learning-rate", "1e-12", "--freeze", "token", "position", "type", "norm", *layers]
    out, _ = tuned("classify", *how, model=model, labels=labels)
    p, found = (load_pretrained(tmp_path / folder).p for folder in ("body", "runs/classify"))
    assert same_bits(found["body"], p["body"]) and "650 of them trained" in out
    np.testing.assert_allclose(found["pooler"]["weight"], p["pooler"]["weight"], rtol=1e-5, atol=1e-9)
    near = np.allclose(found["classifier"]["weight"], p["classifier"]["weight"], rtol=1e-5, atol=1e-9)
    assert near == kept


@pytest.mark.parametrize("task, head", [("tag", TokenClassifier), ("answer", SpanFinder), ("classify", TextClassifier)])
def test_a_bare_body(task, head, tuned, tmp_path):
    out, _ = tuned(task, "--epochs", "1", model=SentenceEncoder(made.BODY), n=12)
    assert "a new head is drawn" in out and type(load_pretrained(tmp_path / "runs" / task).model) is head


def test_a_published_pooler_of_another_shape(tuned, tmp_path):
    made.bert_folder(tmp_path / "body")
    path = tmp_path / "body" / "model.safetensors"
    more = {"bert.pooler.dense.weight": np.zeros((3, 3), "f"), "bert.pooler.dense.bias": np.zeros(3, "f")}
    save_file(load_file(path) | more, path)
    _, err = tuned("classify", expected=1)
    assert "the pooler in body does not fit its body: bias has shape (3,)" in err


# ------------------------------------------------------------------------------------------------- folders and files


def test_what_is_there_is_not_overwritten(tuned, tmp_path):
    tuned("classify", "--epochs", "1")
    before = (tmp_path / "runs/classify/model.safetensors").read_bytes()
    _, err = tuned("classify", "--epochs", "1", "--seed", "2", expected=1)
    assert "runs/classify is there already" in err and "--overwrite" in err
    assert (tmp_path / "runs/classify/model.safetensors").read_bytes() == before
    tuned("classify", "--epochs", "1", "--seed", "2", "--overwrite")
    assert (tmp_path / "runs/classify/model.safetensors").read_bytes() != before
    assert [path.name for path in (tmp_path / "runs").iterdir()] == ["classify"]
    _, err = tuned("classify", "--out", "body", "--overwrite", expected=1)
    assert "is what is to be fine-tuned" in err
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine" / "letter.txt").touch()
    _, err = tuned("classify", "--out", "mine", "--overwrite", expected=1)
    assert "holds no published model" in err and (tmp_path / "mine" / "letter.txt").exists()


def test_the_best_epoch_is_kept(tuned, tmp_path):
    """So high a rate that what was learnt is forgotten again."""
    how = ["--epochs", "6", "--learning-rate", "0.1", "--keep", "best", "--heldout-share", "0.4"]
    out, _ = tuned("classify", *how)
    scores = [each["accuracy"] for each in metrics(tmp_path / "runs" / "classify")]
    assert f"the model of epoch {1 + int(np.argmax(scores))} is in" in out


def test_progress_and_settings_are_said(tuned, tmp_path):
    out, _ = tuned("classify", "--epochs", "2")
    head, labels, drawn, first, second, *_ = out.splitlines()
    assert head.startswith("TextClassifier with ") and head.endswith(" parameters on 36 rows; 4 are held out")
    assert labels == "2 labels: bad, good" and drawn == "a new head is drawn: body has none for this"
    assert first.startswith("epoch   1   training loss 0.") and "accuracy" in second and "macro f1" in second
    (each, _) = metrics(tmp_path / "runs" / "classify")
    assert list(each) == ["epoch", "step", "training_loss", "heldout_loss", "seconds", "accuracy", "macro_f1"]


@pytest.mark.parametrize(
    "task, more, message",
    [
        ("classify", ["--data", "none.tsv"], "none.tsv: No such file"),
        ("classify", ["--data", "bad.tsv"], "bad.tsv, line 2 has no tabs"),
        ("classify", ["--heldout", "bad.tsv"], "bad.tsv, line 2 has no tabs"),
        ("classify", ["--data", "one.tsv"], "of 1 example(s), 1 would be held out"),
        ("classify", ["--data", "twice.tsv"], "all 2 examples have one text: what is held out must be"),
        ("classify", ["--data", "same.tsv"], "all labels are 'x': there is nothing to tell apart"),
        ("tag", ["--data", "bad.tsv"], "bad.tsv, line 1 has no label: 'word' stands alone"),
        ("answer", ["--data", "bad.tsv"], "bad.tsv is damaged or no JSON"),
        ("answer", ["--length", "8"], "leaves too little room for its text"),
        ("lm", ["--data", "one.tsv", "--length", "16"], "one.tsv has"),
        (
            "classify",
            ["--freeze", "head", "token"],
            "head cannot be frozen; there are: token, position, type, norm, la",
        ),
        ("lm", ["--freeze", "type"], "type cannot be frozen; there are: token, position, layers.0, layers.1, norm"),
        ("classify", ["--length", "25"], "--length must be from 4 to the model's context of 24, not 25"),
        ("classify", ["--length", "2"], "--length must be from 4"),
        ("classify", ["--layer-decay", "1.5"], "above 0 and at most 1, not 1.5"),
        ("classify", ["--epochs", "0"], "epochs must be at least 1"),
        ("classify", ["--heldout-share", "1"], "heldout_share must be below 1"),
        ("classify", ["--threads", "0"], "--threads must be at least 1"),
        ("classify", ["--out", ""], "--out names no folder"),
        ("classify", ["--out", "one.tsv/x"], "one.tsv/x cannot be written"),
        ("classify", ["--out", "one.tsv"], "one.tsv is there already"),
        ("classify", ["--out", "one.tsv", "--overwrite"], "one.tsv is there, and holds no published model"),
        ("classify", ["--learning-rate", "1e30"], "is"),
    ],
)
def test_one_clear_line(task, more, message, tuned, tmp_path):
    (tmp_path / "bad.tsv").write_text("word\nword\n".replace("word", "x\ty", 1) if task != "tag" else "word\n", "utf-8")
    (tmp_path / "one.tsv").write_text("x\ty\n", encoding="utf-8")
    (tmp_path / "twice.tsv").write_text("x\ta\ny\ta\n", encoding="utf-8")
    (tmp_path / "same.tsv").write_text("x\ty\nx\tz\nx\tw\n", encoding="utf-8")
    _, err = tuned(task, *more, expected=1)
    assert message in err and not list(tmp_path.glob("runs/*"))


def test_models_that_do_not_fit_the_task(tuned, tmp_path, capsys):
    tuned("lm", "--epochs", "1")
    for folder, task, message in (
        ("gpt2", "tag", "it is a GPT-2, which writes"),
        ("body", "lm", "a GPT-2 or a LLaMA is needed"),
    ):
        data = str(tmp_path / "lm.txt")
        assert main(["finetune", folder, "--task", task, "--data", data, "--out", "x", "--backend", "reference"]) == 1
        assert message in capsys.readouterr().err


def test_what_is_frozen_has_the_same_bits_in_the_folder(tuned, tmp_path):
    out, _ = tuned("lm", "--epochs", "1", "--learning-rate", "1e-2", "--freeze", "token", "position", "layers.0")
    before, after = (dict(leaves(load_pretrained(tmp_path / folder).p)) for folder in ("gpt2", "runs/lm"))
    still = {path for path, leaf in after.items() if np.array_equal(leaf, before[path])}
    assert still == {path for path in after if path.startswith(("token.", "position.", "layers.0."))}
    assert "of them trained" in out


OTHER_BODIES = {
    "DistilBERT": lambda: (distilbert_tests.MODELS["fill-mask"], distilbert_tests.TOKENIZER),
    "RoBERTa": lambda: (roberta_tests.MODELS["fill-mask"], roberta_tests.TOKENIZER),
}


ASKED = {"classify": ["cat"], "tag": ["cat"], "answer": ["cat", "--text", "mat"]}


@pytest.mark.parametrize("task", ASKED)
@pytest.mark.parametrize("kind", OTHER_BODIES)
def test_other_bodies(kind, task, tuned, tmp_path, capsys, rng):
    """Under heads as their kind has them, drawn anew; the body's gradient moves it."""
    model, tokenizer = OTHER_BODIES[kind]()
    model = replace(model, body=replace(model.body, dropout_rate=0.0, attention_dropout_rate=0.0))
    p = model.init(rng)
    save_pretrained(tmp_path / "body", model, p, tokenizer)
    texts = {"classify": "a\tcat\nb\tmat\n" * 4, "tag": "cat A\nmat B\n\n" * 4}
    texts["answer"] = '{"question": "sat", "text": "the cat", "answer": "cat", "begin": 4}\n' * 8
    data = tmp_path / f"few{SUFFIX.get(task, '.txt')}"
    data.write_text(texts[task], encoding="utf-8")
    tuned(task, "--data", str(data), "--epochs", "1", "--heldout", str(data), "--learning-rate", "0.01")
    found = load_pretrained(tmp_path / "runs" / task)
    assert type(found.model.body) is type(model.body)
    assert not same_bits(found.p["body"]["layers"], p["body"]["layers"])
    assert main([task, f"runs/{task}", *ASKED[task], "--json"]) == 0
    assert capsys.readouterr().out.startswith("{")


def test_labels_that_are_only_held_out(tuned, tmp_path):
    (tmp_path / "few.tsv").write_text("a\tthe cat\nb\tthe dog\n" * 3, encoding="utf-8")
    (tmp_path / "other.tsv").write_text("c\tthe cat\n", encoding="utf-8")
    _, err = tuned("classify", "--data", "few.tsv", "--heldout", "other.tsv", expected=1)
    assert "other.tsv has labels that few.tsv has not: c" in err
    (tmp_path / "pairs.tsv").write_text("a\tthe cat\tthe dog\n", encoding="utf-8")
    _, err = tuned("classify", "--data", "few.tsv", "--heldout", "pairs.tsv", expected=1)
    assert "in one of them, examples are pairs of texts" in err


def test_what_comes_to_be_there_meanwhile_stays(tuned, tmp_path, monkeypatch):
    """Without --overwrite; and the model has another name."""
    from minitransformer.cli import finetune

    whole, seen = finetune.follow, tmp_path / "runs" / "x"

    def follow(*args):
        found = whole(*args)
        seen.mkdir(parents=True)
        (seen / "precious.txt").write_text("mine", encoding="utf-8")
        return found

    monkeypatch.setattr(finetune, "follow", follow)
    out, _ = tuned("classify", "--epochs", "1", "--out", "runs/x")
    assert [(path.name, path.read_text(encoding="utf-8")) for path in seen.iterdir()] == [("precious.txt", "mine")]
    assert "runs/x-2" in out and load_pretrained(tmp_path / "runs" / "x-2").model


def test_nothing_is_lost_where_overwriting_ends_early(tuned, tmp_path, monkeypatch):
    """The old model is put aside, and goes only when the new one has its name."""
    tuned("classify", "--epochs", "1", "--out", "runs/x")
    before = (tmp_path / "runs" / "x" / "model.safetensors").read_bytes()

    def fail(*args):
        raise KeyboardInterrupt

    monkeypatch.setattr("minitransformer.files.publish_folder", fail)
    tuned("classify", "--epochs", "1", "--out", "runs/x", "--overwrite", "--seed", "1", expected=130)
    left = [path / "model.safetensors" for path in (tmp_path / "runs").iterdir()]
    assert before in [path.read_bytes() for path in left if path.exists()]


def test_a_full_disk_is_said_with_the_folder_it_was_for(tuned, tmp_path, monkeypatch):
    def full(path, data):
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    made.bert_folder(tmp_path / "body")
    monkeypatch.setattr("minitransformer.pretrained.folder.write_synced", full)
    _, err = tuned("classify", "--epochs", "1", "--out", "runs/x", expected=1)
    assert f"runs/x cannot be written: {os.strerror(errno.ENOSPC)}" in err and not list((tmp_path / "runs").iterdir())


def test_told_to_end_while_it_writes_it_leaves_nothing_behind(tuned, tmp_path, monkeypatch):
    """SIGTERM is as Ctrl-C, and afterwards is again what it was."""
    before = signal.signal(signal.SIGTERM, signal.SIG_IGN)
    try:
        monkeypatch.setattr("minitransformer.files.write_synced", lambda *_: signal.raise_signal(signal.SIGTERM))
        _, err = tuned("classify", "--epochs", "1", "--out", "runs/x", expected=130)
        assert err == "interrupted\n" and not list((tmp_path / "runs").iterdir())
    finally:
        assert signal.signal(signal.SIGTERM, before) is signal.SIG_IGN


def test_nothing_counts(tuned, tmp_path):
    (tmp_path / "zero.conll").write_text("\u200b O\n\n\u200b\u200b B-PER\n\n" * 6, encoding="utf-8")
    _, err = tuned("tag", "--data", "zero.conll", expected=1)
    assert "nothing in the data counts" in err


def test_the_hint_knows_of_pairs(tuned, tmp_path):
    (tmp_path / "pairs.tsv").write_text("a\tthe cat\tthe dog\nb\tthe dog\tthe cat\n" * 3, encoding="utf-8")
    out, _ = tuned("classify", "--data", "pairs.tsv", "--epochs", "1")
    assert "classify runs/classify --pairs " in out
