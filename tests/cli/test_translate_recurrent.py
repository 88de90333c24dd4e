"""`minitransformer translate` and `attend` with recurrent models: trained, loaded, resumed, refused, exploded."""

import json

import numpy as np
import pytest

from minitransformer import decoding
from minitransformer.cli import main
from minitransformer.cli.translate import MOST_BYTES, caches_bytes, check_memory, most_tokens, reading_bytes
from minitransformer.data.pairs import END, START
from minitransformer.models import BahdanauSeq2Seq, LuongSeq2Seq, Seq2Seq
from minitransformer.training.checkpoint import load_model
from minitransformer.training.loop import Diverged
from minitransformer.training.run import Run
from minitransformer.training.tasks import TranslationSettings, TranslationTask
from minitransformer.trees import leaves

TINY = "--layers 1 --width 8 --batch 6 --steps 3 --warmup 1 --evaluate-every 2 --threads 1 --backend reference".split()
ASKED = {  # --model, --attention: the model that is trained
    ("lstm", "none"): Seq2Seq(16, cell="lstm", n_layers=1, d_model=8),
    ("gru", "mean"): Seq2Seq(16, cell="gru", n_layers=1, d_model=8, summary="mean"),
    ("rnn", "bahdanau"): BahdanauSeq2Seq(16, cell="rnn", n_layers=1, d_model=8),
    ("lstm", "luong"): LuongSeq2Seq(16, cell="lstm", n_layers=1, d_model=8, score="general", dropout_rate=0.0),
    ("gru", "luong-dot"): LuongSeq2Seq(16, cell="gru", n_layers=1, d_model=8, score="dot", dropout_rate=0.0),
    ("gru", "luong-concat"): LuongSeq2Seq(16, cell="gru", n_layers=1, d_model=8, score="concat", dropout_rate=0.0),
}


@pytest.fixture
def pairs(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    words = [f"{a}{b} x" for a in "abcde" for b in "fghijkl"]
    (tmp_path / "pairs.tsv").write_text("".join(f"{word}\t{word[::-1]}\n" for word in words), encoding="utf-8")
    return "pairs.tsv"


def train(pairs, model, attention, *words):
    asked = ["--pairs", pairs, "--model", model, "--attention", attention, "--out", "run", *TINY, *words]
    return main(["translate", "train", *asked])


def refused(capsys, *words):
    """The one line of a command that fails."""
    assert main(words) == 1
    out, error = capsys.readouterr()
    assert "Traceback" not in error and not out and error.count("\n") == 1
    return error


@pytest.mark.parametrize(("name", "attention"), ASKED)
def test_a_run_with_a_recurrent_model(pairs, tmp_path, capsys, name, attention):
    """What was trained is what was asked for; it loads again, answers greedily and with a beam, and is drawn."""
    assert train(pairs, name, attention) == 0
    model, p, tokenizer = load_model("run")
    assert model == ASKED[name, attention]
    capsys.readouterr()
    (start,), (end,) = tokenizer.encode(START), tokenizer.encode(END)
    prompt = {"prompts": [[start]], "max_tokens": 4, "end": end}

    def said(search, **more):
        (found,) = search(model, p, model.start(p, tokenizer.encode("af x")[None]), **prompt, **more)
        return found

    assert main(["translate", "run", "af x", "--max-tokens", "4"]) == 0
    assert capsys.readouterr().out == tokenizer.decode(said(decoding.decode)) + "\n"
    assert main(["translate", "run", "af x", "--max-tokens", "4", "--beam", "3", "--n-best", "2"]) == 0
    hypotheses = said(decoding.beam_search, width=3, n_best=2)
    assert capsys.readouterr().out == "".join(
        f"{score:9.4f}  {tokenizer.decode(ids)}  ←  af x\n" for ids, score in hypotheses
    )
    drawn = main(["attend", "run", "af x", "--target", "x f"])
    out, error = capsys.readouterr()
    if attention in ("none", "mean"):
        assert drawn == 1 and error == "minitransformer attend: there is no attention in what Seq2Seq saved\n"
    else:
        title = "decoder cross-attention" if attention == "bahdanau" else "cross-attention"
        assert drawn == 0 and out == f"af x → x f\nattention.html: {title}\n"


def test_a_run_goes_on_bit_for_bit(pairs, capsys):
    assert train(pairs, "lstm", "bahdanau", "--dropout", "0.1") == 0
    run, whole = Run.resume("run", ["pairs.tsv"]), load_model("run")[1]
    settings = run.settings
    half = Run.start("half", settings)
    events = half.train()
    while half.training.step < 2:
        next(events)
    events.close()
    half.save()
    list(Run.resume("half").train())
    for (path, leaf), (_, other) in zip(leaves(whole), leaves(load_model("half")[1]), strict=True):
        assert np.array_equal(leaf, other), path


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["--model", "elman"], "unknown model 'elman'; there are: transformer, rnn, gru, lstm"),
        (
            ["--model", "lstm", "--attention", "x"],
            "unknown attention 'x'; there are: none, mean, bahdanau, luong, luong-",
        ),
        (
            ["--attention", "bahdanau"],
            "the attention bahdanau is of a recurrent model (rnn, gru, lstm): a transformer has its own",
        ),
    ],
)
def test_what_training_refuses(pairs, tmp_path, capsys, words, message):
    assert message in refused(capsys, "translate", "train", "--pairs", pairs, "--out", "new", *words)
    assert not (tmp_path / "new").exists()


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"cell": "gru"}, "decoder.0.hidden.bias has shape (32,) of float32, expected (24,) of float32"),
        ({"n_layers": 2}, "missing: decoder.1.hidden.bias, decoder.1.hidden.weight, decoder.1.input.bias, ..."),
        ({"model": "BahdanauSeq2Seq"}, "missing: begin.bias"),
        ({"model": "LuongSeq2Seq"}, "missing: cross_attention.out.bias, cross_attention.out.weight"),
        ({"d_model": 9}, "decoder.0.hidden.bias has shape (32,) of float32, expected (36,) of float32"),
        ({"cell": "elman"}, "does not configure a Seq2Seq: unknown cell 'elman'; there are: rnn, gru, lstm"),
    ],
    ids=lambda value: " ".join(value) if isinstance(value, dict) else "",
)
def test_a_checkpoint_that_does_not_fit(pairs, tmp_path, capsys, change, message):
    """Layers, directions, cells and widths other than those of the parameters: one line says which do not fit."""
    assert train(pairs, "lstm", "none") == 0
    capsys.readouterr()
    path = max((tmp_path / "run" / "checkpoint").glob("step-*")) / "config.json"
    config = json.loads(path.read_text(encoding="utf-8"))
    config["model"] = change.get("model", config["model"])
    kept = {} if "model" in change else config["configuration"]
    sizes = {"vocab_size": 16, "cell": "lstm", "n_layers": 1, "d_model": 8}
    config["configuration"] = kept | sizes | {name: value for name, value in change.items() if name != "model"}
    path.write_text(json.dumps(config), encoding="utf-8")
    assert message in refused(capsys, "translate", "run", "af x")


def test_a_gradient_that_explodes_stops_training_and_spares_the_checkpoint(tmp_path):
    """A state of zeros, and recurrent weights of 10: what is felt grows tenfold a step, beyond float32 in 60."""
    pairs = tmp_path / "long.tsv"
    pairs.write_text("".join(f"{'ab' * 30}\t{word}\n" for word in ("a", "b") * 5), encoding="utf-8")
    settings = TranslationSettings(text=(str(pairs),), model="rnn", layers=1, width=8, batch=4, steps=3, pieces=1)
    run = Run.start(tmp_path / "run", settings)
    encoder, source = run.training.p["encoder"][0], run.training.p["source"]["weight"]
    encoder["hidden"]["weight"][:] = 10 * np.eye(8)
    source[:] = 0
    with pytest.raises(Diverged, match=r"step 1: the loss is \d+\.\d+ and the length of its gradient (inf|nan)"):
        list(run.train())
    assert run.training.step == 0 and run.saved_step() == 0
    assert np.array_equal(encoder["hidden"]["weight"], 10 * np.eye(8))  # nor were these stepped
    model, p, _ = load_model(tmp_path / "run")
    assert model.cell == "rnn" and all(np.isfinite(leaf).all() for _, leaf in leaves(p))


def test_an_explosion_is_one_line_on_the_command_line(pairs, capsys):
    assert train(pairs, "rnn", "none", "--learning-rate", "3e38", "--steps", "9", "--warmup", "0") == 1
    error = capsys.readouterr().err
    assert "Traceback" not in error
    assert "Training stopped; the checkpoint of step 0 in run is whole." in error or "is whole" in error
    assert load_model("run")


@pytest.mark.filterwarnings("ignore:(overflow|invalid value) encountered:RuntimeWarning")
def test_a_model_that_exploded_is_not_asked_to_translate(pairs, capsys):
    """Its parameters are finite after the first step, but what it says no longer is: the loss says so before."""
    assert train(pairs, "rnn", "none", "--learning-rate", "1e38", "--warmup", "0", "--evaluate-every", "1") == 1
    message = "step 1: the validation loss is nan. Training stopped; the checkpoint of step 0 in run is whole.\n"
    assert capsys.readouterr().err.endswith(f"minitransformer translate: {message}")


# -------------------------------------------------------------------------------------------------------------- memory


def test_a_text_that_is_too_long_for_a_recurrent_model():
    """It takes memory in proportion to its tokens, so many more of them are read at once than a Transformer reads."""
    model = Seq2Seq(16, cell="lstm", n_layers=2, d_model=128)
    assert reading_bytes(model, 1) == 4 * 2 * (3 + 4 + 2) * 128
    most = MOST_BYTES // reading_bytes(model, 1)
    assert most > 50_000 and most_tokens(model, 2 * most) == most and most_tokens(model, 5) == 5
    check_memory(model, [("text 1", "")], [range(most)], 1, 200)
    with pytest.raises(
        ValueError, match=f"text 1 has {most + 1:,} tokens, more than the {most:,} that are read at once"
    ):
        check_memory(model, [("text 1", "")], [range(most + 1)], 1, 200)


def test_what_decoding_remembers():
    """Of a bottleneck, nothing that grows with the source; with attention, all that was read."""
    sizes = {"vocab_size": 16, "cell": "lstm", "n_layers": 1, "d_model": 8}
    for model, numbers in (
        (Seq2Seq(**sizes), 2 * 8),
        (LuongSeq2Seq(**sizes), 2 * 8 + 5 * 8),
        (BahdanauSeq2Seq(**sizes), 2 * 8 + 5 * 16),
    ):
        p = model.init(np.random.default_rng(0))
        (cache,) = model.start(p, np.ones((1, 5), int))
        model.step(p, np.ones((1, 1), int), [cache])
        kept = [part for part in (*cache.states, *cache.memory) if part is not None]
        assert sum(part.size for part in kept) == numbers == model.decoding_size(5, 7)
        assert caches_bytes(model, 5, 3, 7) == 4 * numbers * 3


def test_a_pair_takes_memory_for_what_is_compared(pairs):
    settings = TranslationSettings(text=(pairs,), model="lstm", layers=1, width=8, batch=6, pieces=2)
    numbers = {"none": 0, "luong-dot": 1, "luong-general": 1, "luong-concat": 9, "bahdanau": 9}
    for attention, each in numbers.items():
        task = TranslationTask(settings.__class__(**settings.__dict__ | {"attention": attention}))
        assert task.needed(5, 7) == 4 * 3 * 5 * 7 * each
