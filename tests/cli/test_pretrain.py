"""The command `minitransformer pretrain`: what it leaves for others to read, and what it refuses in one clear line."""

import json

import numpy as np
import pytest

from minitransformer.cli import main
from minitransformer.models import BERT, RoBERTa, SentenceEncoder
from minitransformer.pretrained import load_pretrained, save_pretrained
from minitransformer.tokenizers import WordPieceTokenizer
from minitransformer.training import checkpoint

from ..arrays import same_bits
from .test_train import fails

TINY = "--layers 1 --heads 2 --width 8 --context 16 --batch 4 --steps 3 --warmup 1 --evaluate-every 2 --threads 1"
TINY = [*TINY.split(), "--duplicates", "2", "--backend", "reference"]
MODELS = {"bert": ("[MASK]", BERT, []), "roberta": ("<mask>", RoBERTa, ["--vocab-size", "300"])}
every_model = pytest.mark.parametrize("model", MODELS)


@pytest.fixture
def text(tmp_path, monkeypatch):
    """Twenty documents of three sentences."""
    monkeypatch.chdir(tmp_path)
    documents = [f"the {thing} is old.\nwho sees the {thing}?\nnobody, it sleeps." for thing in "abcdefghijklmnopqrst"]
    (tmp_path / "text.txt").write_text("\n\n".join(documents), encoding="utf-8")
    return "text.txt"


def pretrain(text, *more):
    return main(["pretrain", "--text", text, "--out", "run", *TINY, *more])


@every_model
def test_what_is_left_others_read(model, text, tmp_path, capsys):
    """A run, and in it a folder as published, which fill-mask, attend and finetune take."""
    mask, body, more = MODELS[model]
    assert pretrain(text, "--model", model, *more) == 0
    out, _ = capsys.readouterr()
    run = tmp_path / "run"
    names = ["checkpoint", "config.json", "loss.png", "metrics.jsonl", "model"]
    assert sorted(path.name for path in run.iterdir()) == names
    scores = ["masked_accuracy", *(["masked_loss", "next_sentence_accuracy"] if model == "bert" else [])]
    for line in (run / "metrics.jsonl").read_text(encoding="utf-8").splitlines():
        assert sorted(json.loads(line)) == sorted(
            ["step", "training_loss", "validation_loss", "tokens_per_second", *scores]
        )
    assert "note: without looking around" in out and f'fill-mask run/model "The {mask} of the list."' in out
    found, kept = load_pretrained(run / "model"), checkpoint.load_checkpoint(run)
    assert found.model == kept.model and type(found.model.body) is body and same_bits(found.p, kept.p)
    assert found.tokenizer.to_json() == kept.tokenizer.to_json()
    assert main(["fill-mask", "run/model", f"the {mask} sleeps.", "--json", "--backend", "reference"]) == 0
    assert len(capsys.readouterr().out.splitlines()) == 5
    for folder in ("run", "run/model"):
        assert main(["attend", folder, "the a sleeps.", "--out", f"{folder}.html"]) == 0
    (tmp_path / "data.tsv").write_text("a\tit is old\nb\tit sleeps\n" * 5, encoding="utf-8")
    words = ["--task", "classify", "--data", "data.tsv", "--out", "tuned", "--epochs", "1", "--threads", "1"]
    assert main(["finetune", "run/model", *words, "--backend", "reference"]) == 0
    tuned, pooler = load_pretrained("tuned"), found.p.get("pooler")
    if pooler:  # which is published with the body
        assert np.abs(tuned.p["pooler"]["weight"] - pooler["weight"]).max() < 1e-3


def test_interrupted_and_gone_on(text, tmp_path, capsys):
    """A finished run resumed writes its folder again; a run that is to begin anew replaces it."""
    assert pretrain(text) == 0
    before = checkpoint.load_checkpoint("run").p
    for name in (".model.9.new.tmp", "..model.9.new.tmp.9.tmp", "model.old.9.tmp"):  # of one killed as it published
        (tmp_path / "run" / name).mkdir()
    assert main(["pretrain", "--resume", "run", "--backend", "reference"]) == 0
    assert not list((tmp_path / "run").glob("*.tmp"))
    assert same_bits(load_pretrained("run/model").p, before)
    capsys.readouterr()
    assert "run/model is there already" in fails(capsys, "pretrain", "--text", text, "--out", "run", *TINY)
    error = fails(capsys, "train", "--resume", "run", "--backend", "reference")
    assert "run is a run of another command: pretrain --resume goes on with it" in error
    assert pretrain(text, "--overwrite", "--seed", "1") == 0
    assert not same_bits(load_pretrained("run/model").p, before)


def test_with_the_tokenizer_of_another(text, tmp_path, capsys):
    tokenizer = WordPieceTokenizer.train("the cat sat; the cat sat, abcdefghijklmnopqrst", 60)
    model = SentenceEncoder(BERT(tokenizer.vocab_size, 20, 2, 1, 2, 6, 10))
    save_pretrained("other", model, model.init(np.random.default_rng(0)), tokenizer)
    assert pretrain(text, "--tokenizer", "other", "--whole-word") == 0
    assert load_pretrained("run/model").tokenizer.to_json() == tokenizer.to_json()
    assert json.loads((tmp_path / "run/config.json").read_text())["settings"]["tokenizer"] == "other"


@pytest.mark.parametrize("model", MODELS)
def test_from_a_published_model(model, text, capsys):
    """Its body, and of the heads what it has; what it has not is drawn. Without a step nothing has changed."""
    _, _, more = MODELS[model]
    assert pretrain(text, "--model", model, *more) == 0
    words = ["--text", text, "--out", "on", "--from", "run/model", "--context", "12", "--steps", "2"]
    words += ["--learning-rate", "1e-30", "--weight-decay", "0", "--threads", "1", "--batch", "4", "--duplicates", "2"]
    assert main(["pretrain", *words, "--backend", "reference"]) == 0
    before, after = (load_pretrained(f"{name}/model") for name in ("run", "on"))
    assert before.model == after.model and same_bits(before.p, after.p)
    assert before.tokenizer.to_json() == after.tokenizer.to_json()
    if model == "bert":
        alone = load_pretrained("run/model", head=SentenceEncoder)
        save_pretrained("body", alone.model, alone.p, alone.tokenizer)
        words[3], words[5] = "drawn", "body"
        assert main(["pretrain", *words, "--backend", "reference"]) == 0
        drawn = load_pretrained("drawn/model")
        assert same_bits(drawn.p["body"], before.p["body"]) and not same_bits(drawn.p["next"], before.p["next"])


def test_what_it_refuses(text, tmp_path, capsys):
    files = {
        "one.txt": "a document.\nof two sentences.",
        "few.txt": "a b.\nc d.\n\ne f.\ng h.\n\ni j.",
        "lines.txt": "\n\n".join("abcdef"),
        "words.txt": "\n\n".join(["a b c d.\nb c d e."] * 9),
        "blank.txt": "\n\n",
        "control.txt": "\n\n".join("\u200b" * 9),
    }
    for name, content in files.items():
        (tmp_path / name).write_text(content, encoding="utf-8")
    (tmp_path / "latin.txt").write_bytes("naïve".encode("latin-1"))
    (tmp_path / "taken/model").mkdir(parents=True)
    one = SentenceEncoder(BERT(60, 9, 2, 1, 2, 6, 10))
    vocabulary = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]", *"abcdefghijklmnopqrst"]
    whole = SentenceEncoder(BERT(len(vocabulary), 20, 2, 1, 2, 6, 10))
    tokenizer = WordPieceTokenizer.train("abcdefghijklmnop the a b cat", 60)
    one = SentenceEncoder(BERT(tokenizer.vocab_size, 9, 2, 1, 2, 6, 10))
    save_pretrained("short", one, one.init(np.random.default_rng(0)), tokenizer)
    save_pretrained("letters", whole, whole.init(np.random.default_rng(0)), WordPieceTokenizer(vocabulary))
    run = ["--text", text, "--out", "run", *TINY]
    of = lambda name: ["--text", name, "--out", "run", *TINY]
    begun = ["--text", text, "--out", "run", "--steps", "2"]
    for words, message in [
        (of("nowhere.txt"), "nowhere.txt: No such file or directory"),
        (of("latin.txt"), "latin.txt is not UTF-8: byte 2 is 0xef"),
        (of("blank.txt"), "blank.txt: there is no text in it"),
        (of("control.txt"), "the vocabulary has no token but special ones"),
        (of("one.txt"), "the text has 1 document, and 4 are needed: 2 to learn from, and 2 that are held out"),
        (of("few.txt"), "the text has 3 documents, and 4 are needed"),
        (of("lines.txt"), "the text: no document has two sentences: nothing follows anything"),
        ([*run, "--vocab-size", "12"], "vocab_size=12 has no room for the"),
        ([*run, "--model", "roberta", "--vocab-size", "200"], "vocab_size=200 has no room for 5 special tokens and"),
        ([*run, "--context", "4"], "context must be at least 8, not 4"),
        ([*begun, "--from", "short", "--context", "12"], "--context 12 is longer than the model's context of 9"),
        ([*begun, "--from", "short", "--layers", "2"], "short says it already: --layers cannot go with --from"),
        ([*begun, "--from", "nowhere"], "nowhere has no config.json"),
        ([*begun, "--from", "short", "--tokenizer", "short"], "--from brings a tokenizer: it does not go with --tok"),
        ([*run, "--tokenizer", "nowhere"], "nowhere has no tokenizer"),
        ([*run, "--tokenizer", "short", "--vocab-size", "99"], "short says it already: --vocab-size cannot go with"),
        (
            [*run, "--tokenizer", "letters", "--whole-word"],
            "every token is a word of its own: there are no whole words",
        ),
        ([*run, "--model", "gpt"], "unknown model 'gpt'; there are: bert, roberta"),
        (["--text", text, "--out", "taken", *TINY], "taken/model is there already"),
        (["--text", text, "--out", "taken", "--overwrite", *TINY], "taken/model is there already"),
        (["--text", text, "--out", "taken", "--overwrite", *TINY], "and holds no published model: it is not overwr"),
        (["--resume", "nowhere"], "nowhere is not a folder"),
        (["--resume", "run", "--from", "short"], "a resumed run keeps what it began with: --from cannot go with"),
        (["--resume", "run", "--whole-word"], "a resumed run keeps its settings: --whole-word cannot go with"),
    ]:
        error = fails(capsys, "pretrain", *words)
        assert message in error, error
        assert error.count("\n") == 1
        assert not (tmp_path / "run").exists()


def test_a_single_document_will_do_without_next_sentences(text, capsys):
    with open("one.txt", "w", encoding="utf-8") as file:
        file.write("\n".join(f"number {n} comes before number {n + 1}." for n in range(60)))
    assert pretrain("one.txt", "--model", "roberta", "--vocab-size", "300") == 0
