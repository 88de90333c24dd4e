"""The claims of the story: what is measured is what is said, on runs of a fraction of a second."""

import json
import os
import signal
import subprocess
import sys
from datetime import date
from functools import partial
from inspect import signature
from itertools import product
from pathlib import Path

import numpy as np
import pytest

from experiments.results import read as result
from minitransformer.cli import main
from minitransformer.convention import current_backend, use_backend
from minitransformer.data import dates
from minitransformer.decoding import decode
from minitransformer.models import Transformer
from minitransformer.ops import lstm, rnn
from minitransformer.ops.positions import sinusoid_table
from minitransformer.story import CLAIMS, bottleneck, gradients, parallel, positions, tasks
from minitransformer.story.learning import count, learn, say, share_right, side_by_side
from minitransformer.story.tasks import END, IGNORED, START, VOCAB, Dates, Symbols, from_the_end, in_order
from minitransformer.training.loop import Training, train_step
from minitransformer.training.losses import translation_loss
from minitransformer.training.optimizer import AdamW
from minitransformer.trees import leaves

TINY = {"n_layers": 1, "n_heads": 2, "d_model": 8, "d_ff": 8, "dropout_rate": 0.0, "shared": False}


@pytest.fixture(autouse=True)
def backend():
    """What a run chooses in its own process is not chosen here."""
    before = current_backend()
    yield
    use_backend(before)


# ----------------------------------------------------------------------------------------------------------- tasks


@pytest.mark.parametrize(("answer", "expected"), [(from_the_end, lambda row: row[::-1]), (in_order, sorted)])
def test_what_is_to_be_written(answer, expected, rng):
    source, mask, target, targets = Symbols(answer).examples(rng, 50, range(1, 7))
    lengths = mask[:, 0, 0].sum(1)
    assert set(lengths) == set(range(1, 7))
    for row, n, read, written in zip(source, lengths, target, targets):
        text = list(expected(list(row[:n])))
        assert read[: n + 1].tolist() == [START, *text]
        assert written[: n + 1].tolist() == [*text, END] and (written[n + 1 :] == IGNORED).all()
        assert (row[:n] >= 2).all() and (row[:n] < VOCAB).all()


def dates_of(batch):
    """[(text, answer)]"""
    source, mask, _, targets = batch
    reader, writer = tasks.alphabets()
    texts = [reader.decode(row[there]) for row, there in zip(source, mask[:, 0, 0])]
    return list(zip(texts, [writer.decode(row[:-1]) for row in targets]))


def plain(text):
    return " ".join(text.lower().split())


@pytest.mark.parametrize("draw", [Dates().examples, Dates().questions], ids=["examples", "questions"])
def test_dates_are_answered_rightly(draw, rng):
    lengths = range(9, 25)
    found = dates_of(draw(rng, 200, lengths))
    assert len({len(text) for text, _ in found}) > 10
    for text, answer in found:
        day = date.fromisoformat(answer)
        assert len(text) in lengths and plain(text) in {plain(dates.write(name, day) or "") for name in dates.FORMATS}


def test_a_day_that_is_asked_is_never_learnt_from(rng):
    task, lengths = Dates(), range(6, 41)
    learnt, asked = (
        {answer for _, answer in dates_of(draw(rng, 500, lengths))} for draw in (task.examples, task.questions)
    )
    assert not learnt & set(map(dates.iso, tasks.calendar(asked=True))) and len(learnt) > 450
    assert not asked & set(map(dates.iso, tasks.calendar(asked=False))) and len(asked) > 450
    assert sorted(tasks.calendar(True) + tasks.calendar(False)) == list(dates.days())


@pytest.mark.parametrize("name", bottleneck.TASKS)
def test_a_task_draws_what_its_vocabularies_hold(name, rng):
    task, lengths = bottleneck.TASKS[name]
    for draw, drawn in ((task.examples, lengths.learnt), (task.questions, lengths.asked[1])):
        source, mask, target, targets = draw(rng, 300, drawn)
        assert set(mask[:, 0, 0].sum(1)) <= set(drawn) and (2 <= source[mask[:, 0, 0]]).all()
        assert source.max() < task.vocab_size and target.max() < task.target_vocab_size
        assert (target[:, 0] == START).all() and ((targets == END).sum(1) == 1).all()


# -------------------------------------------------------------------------------------------------------- learning


def test_an_answer_is_right_when_greedy_decoding_says_it(rng):
    """The share by the forward alone is that by decoding; a model that has learnt a little is right now and then."""
    model, task = Transformer(VOCAB, **TINY), Symbols(in_order)
    training = Training(model.init(rng), AdamW())
    loss = translation_loss(model, label_smoothing=0.0)
    for _ in range(150):
        train_step(training, loss, [task.examples(rng, 64, [1, 2])], None, 1e-2, clip=1.0)
    batch = task.questions(rng, 200, [2])
    source, source_mask, target, targets = batch
    caches = model.start(training.p, source, source_mask=source_mask, length=8)
    said = decode(model, training.p, caches, target[:, :1], max_tokens=3, end=END)
    right = np.mean([np.array_equal(text, row[:2]) for text, row in zip(said, targets)])
    assert 0.1 < right < 1 and share_right(model, training.p, batch) == round(right, 4)


def test_a_run_takes_its_time_and_says_its_steps():
    few, more = (
        learn(Transformer(VOCAB, **TINY), Symbols(from_the_end), 1e-3, [2], [[2], [3, 4, 5]], seconds, 0)
        for seconds in (0.1, 0.5)
    )
    assert more["steps"] > 2 * few["steps"] > 0
    assert [n for n, _ in few["right"]] == [2, 4]
    assert few["parameters"] == count(Transformer(VOCAB, **TINY))


class Told:
    """A task that remembers what it was asked for."""

    def __init__(self, task):
        self.task, self.drawn = task, []
        self.examples, self.questions = (partial(self.draw, name) for name in ("examples", "questions"))

    def draw(self, name, rng, number, lengths):
        self.drawn.append((name, lengths))
        return getattr(self.task, name)(rng, number, lengths)


def test_what_is_asked_are_questions():
    told = Told(Symbols(from_the_end))
    learn(Transformer(VOCAB, **TINY), told, 1e-3, [2, 3], [[2], [4, 5]], 0.01, 0)
    assert told.drawn[-2:] == [("questions", [2]), ("questions", [4, 5])]
    assert set(map(str, told.drawn[:-2])) == {str(("examples", [2, 3]))}


# ------------------------------------------------------------------------------------------------------ bottleneck


@pytest.mark.parametrize("name", bottleneck.MODELS)
@pytest.mark.parametrize("task", bottleneck.TASKS)
def test_every_model_has_as_many_parameters(task, name):
    task, _ = bottleneck.TASKS[task]
    for parameters in (bottleneck.PARAMETERS, 40_000):
        model = bottleneck.sized(partial(bottleneck.MODELS[name], task), parameters)
        assert abs(count(model) / parameters - 1) <= 0.05
        assert (model.vocab_size, model.target_vocab_size) == (task.vocab_size, task.target_vocab_size)


def test_a_size_that_no_width_gives():
    with pytest.raises(ValueError, match="no width gives a Transformer 1,000 parameters, within 5%"):
        bottleneck.sized(partial(bottleneck.MODELS["Transformer"], Dates()), 1000)


def test_the_exam_has_every_length_once():
    for _, lengths in bottleneck.TASKS.values():
        assert [n for part in lengths.asked for n in part] == list(range(lengths.shortest, lengths.beyond + 1))
        assert any(part[-1] == lengths.longest for part in lengths.asked), "a part is learnt from, or it is beyond"


def test_a_table_and_a_panel_for_each_task():
    """Of two seeds, in which the share of right answers is the length's inverse, more or less."""
    found = {"lengths": {name: lengths._asdict() for name, (_, lengths) in bottleneck.TASKS.items()}, "runs": []}
    for name, (_, lengths) in bottleneck.TASKS.items():
        for model in ("last state", "Luong, dot"):
            for sign in (1, -1):
                right = [[part[0], 1 / part[0] + sign / 100] for part in lengths.asked]
                run = {"task": name, "model": model, "parameters": len(name) * 1000, "steps": 7 + sign, "right": right}
                found["runs"].append(run)
    reversal, written = bottleneck.tables(found)
    assert reversal[0][:4] == ["reversal", "parameters", "steps", "length 2"] and "length 16" in reversal[0]
    assert reversal[2][:4] == ["last state", "8,000", "8, 6", "50 ± 1"]
    assert written[0][3] == "length 6-8" and "length 30-32" in written[0] and written[0][-1] == "length 36-38"
    assert written[3][:4] == ["Luong, dot", "5,000", "8, 6", "17 ± 1"] and written[3][-1] == "3 ± 1"
    assert len({len(row) for row in reversal}) == len({len(row) for row in written}) == 1
    axes = bottleneck.draw(found).axes
    assert [ax.get_xlabel().split(":")[0] for ax in axes] == list(bottleneck.TASKS)
    assert [ax.get_legend() is None for ax in axes] == [True, False]


def test_what_is_kept_holds_to_its_terms():
    """Every model on every task, as often and as large; one state is enough where there is little to hold."""
    found = result("story_bottleneck")
    for name in bottleneck.TASKS:
        runs = [run for run in found["runs"] if run["task"] == name]
        kept = [(run["seed"], run["model"]) for run in runs]
        assert kept == [(seed, model) for seed in range(3) for model in bottleneck.MODELS]
        assert all(abs(run["parameters"] / bottleneck.PARAMETERS - 1) <= 0.05 for run in runs)
    assert bottleneck.shares(found, "reversal")["last state"][:, 0].mean() >= 0.9


def test_mean_and_spread():
    assert bottleneck.spread(np.array([0.5, 0.7])) == "60 ± 14"
    assert bottleneck.spread(np.array([0.5])) == "50"


# ------------------------------------------------------------------------------------------------------- gradients


@pytest.mark.parametrize("thing", [rnn, lstm])
def test_what_is_felt_step_by_step_is_what_is_felt(thing, rng):
    """The last length is that of what a run over all steps feels of its initial state, and by finite differences so."""
    x = rng.normal(size=(3, 6, gradients.WIDTH))
    _, p = gradients.plain(1.0)(rng) if thing is rnn else gradients.gated(lstm)(rng)
    states = [np.zeros((3, gradients.WIDTH)) for _ in range(2 if thing is lstm else 1)]
    felt = gradients.through_time(thing, p, x, np.random.default_rng(1))
    draw = np.random.default_rng(1)
    dstates = [draw.normal(size=state.shape) for state in states]
    _, saved = thing(p, x, *states)
    dx, *dfirst, _ = thing.backward(None, *dstates, saved)
    _, saved = thing(p, x[:, :1], *states)
    assert len(felt) == 6 and felt[0] == gradients.length(dstates)
    _, *last, _ = thing.backward(None, *dstates, thing(p, x[:, 1:], *first_states(thing, p, x))[1])
    assert np.isclose(felt[-1], gradients.length(last), rtol=1e-12)
    assert not np.isclose(felt[-1], gradients.length(dfirst), rtol=1e-3)


def first_states(thing, p, x):
    (_, *states), _ = thing(p, x[:, :1])
    return states


def test_gradients_vanish_explode_and_neither():
    said = []
    curves = gradients.measure(tell=said.append)["curves"]
    assert len(said) == len(curves) == 7
    last = {name: curve[-1] for name, curve in curves.items()}
    assert last["RNN, small recurrent weights"] < 1e-20 < 1e10 < last["RNN, large recurrent weights"]
    assert last["LSTM"] < 1e-3 and last["GRU"] < 1e-3
    for name in ("LSTM, its gate open", "GRU, its gate open", "self-attention"):
        assert 0.1 < last[name] < 20, name


# ------------------------------------------------------------------------------------------------------- positions


def test_products_of_positions_are_of_their_distance_alone():
    """Row 0 with every other row stands for all pairs."""
    table = sinusoid_table(np.arange(positions.TABLE), positions.TABLE, float)
    products = table @ table.T
    for distance in (0, 1, 17):
        assert np.ptp(np.diagonal(products, distance)) < 1e-10
    assert products[0, 0] == positions.TABLE / 2 > products[0, 1] > products[0, 5]


def test_without_positions_the_order_of_a_source_is_nothing(rng):
    for kind, moved in ((positions.WithoutPositions, False), (Transformer, True)):
        model = kind(VOCAB, **TINY)
        p = model.init(rng, np.float64)
        source, target = rng.integers(2, VOCAB, (2, 6)), rng.integers(2, VOCAB, (2, 4))
        before, after = (model.forward(p, ids, target)[0] for ids in (source, source[:, ::-1]))
        assert (np.abs(before - after).max() > 1e-3) == moved
        assert moved or np.abs(before - after).max() < 1e-12


def test_the_gradient_without_positions(rng):
    """Of one number of each parameter, by finite differences."""
    model = positions.WithoutPositions(VOCAB, **TINY)
    p = model.init(rng, np.float64)
    args = rng.integers(2, VOCAB, (2, 3)), rng.integers(2, VOCAB, (2, 4))
    logits, saved = model.forward(p, *args)
    dlogits = rng.normal(size=logits.shape)
    g = dict(leaves(model.backward(dlogits, saved)))
    for path in ("source.weight", "target.weight", "head.weight"):
        leaf = dict(leaves(p))[path]
        place = np.unravel_index(np.abs(g[path]).argmax(), leaf.shape)
        before, step, values = leaf[place], 1e-5, []
        for sign in (1, -1):
            leaf[place] = before + sign * step
            values.append((model.forward(p, *args)[0] * dlogits).sum())
        leaf[place] = before
        assert np.isclose((values[0] - values[1]) / (2 * step), g[path][place], rtol=1e-6)


# --------------------------------------------------------------------------------------------------------- command


def test_the_command(tmp_path, capsys, monkeypatch):
    """Two claims in a fraction of a second: numbers, tables, pictures; and what is there is not lost."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(parallel, "LENGTHS", (4, 8))
    monkeypatch.setattr(parallel.measure, "__defaults__", (1.0, (4, 8), say))
    assert main(["story", "gradients", "parallel", "--seconds", "0.01", "--out", "told"]) == 0
    out = capsys.readouterr().out
    assert "RNN, small recurrent weights" in out and "products in a row" in out
    found = json.loads((tmp_path / "told" / "gradients.json").read_text(encoding="utf-8"))
    assert found["took"] >= 0 and found["machine"]["numpy"] == np.__version__
    assert (tmp_path / "told" / "parallel.svg").read_bytes().startswith(b"<?xml")
    assert current_backend() == "reference"
    assert main(["story", "gradients", "--out", "told"]) == 1
    error = capsys.readouterr().err
    assert "gradients.json is there already: --overwrite replaces it" in error and error.count("\n") == 1
    assert main(["story", "gradients", "--out", "told", "--overwrite"]) == 0


def test_runs_side_by_side(tmp_path, capsys, monkeypatch):
    """The claims whose models learn, in processes of their own."""
    monkeypatch.chdir(tmp_path)
    kept = {"Luong, dot": bottleneck.MODELS["Luong, dot"], "last state": bottleneck.MODELS["last state"]}
    monkeypatch.setattr(bottleneck, "MODELS", kept)
    assert main(["story", "bottleneck", "--seconds", "0.05", "--seeds", "1", "--out", "told"]) == 0
    found = json.loads((tmp_path / "told" / "bottleneck.json").read_text(encoding="utf-8"))
    assert [(run["task"], run["model"]) for run in found["runs"]] == list(product(bottleneck.TASKS, kept))
    for run in found["runs"]:
        assert run["steps"] >= 1 and len(run["right"]) == len(bottleneck.TASKS[run["task"]][1].asked)
    out = capsys.readouterr().out
    assert "reversal, Luong, dot, seed 0" in out and "length 36-38" in out


def at_work(symbols, lengths):
    """An answer that says when a run has begun."""
    os.write(1, b"at work\n")  # in one piece, among those of other processes
    return symbols


def killed(symbols, lengths):
    os._exit(9)


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGKILL], ids=lambda number: number.name)
def test_no_run_outlives_who_began_it(number):
    """Every process of it holds its output, which so comes to an end when the last of them has."""
    script = f"""if True:
        import signal
        signal.signal(signal.SIGINT, signal.default_int_handler)
        from tests.story.test_story import VOCAB, TINY, Symbols, Transformer, at_work, side_by_side
        job = {{}}, (Transformer(VOCAB, **{TINY}), Symbols(at_work), 1e-3, [2], [[2]], 3600.0, 0)
        side_by_side([job] * 3, print)"""
    root, pipe = Path(__file__).parents[2], subprocess.PIPE
    child = subprocess.Popen(
        [sys.executable, "-c", script], cwd=root, stdout=pipe, stderr=subprocess.DEVNULL, start_new_session=True
    )
    try:
        assert child.stdout.readline() == b"at work\n"
        os.kill(child.pid, number)
        child.communicate(timeout=60)
    finally:
        if child.poll() is None or not child.stdout.closed:
            os.killpg(child.pid, signal.SIGKILL)


def test_told_to_end_the_command_says_so_and_nothing_else(tmp_path):
    """It waits for its runs, and Python has nothing of theirs to clear away after it."""
    script = f"""if True:
        import sys
        from tests.story.test_story import VOCAB, TINY, Symbols, Transformer, at_work, bottleneck, main, side_by_side
        job = {{}}, (Transformer(VOCAB, **{TINY}), Symbols(at_work), 1e-3, [2], [[2]], 3600.0, 0)
        bottleneck.measure = lambda: side_by_side([job] * 3, print)
        sys.exit(main(["story", "bottleneck", "--out", {str(tmp_path)!r}]))"""
    child = subprocess.Popen(
        [sys.executable, "-c", script],
        cwd=Path(__file__).parents[2],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        encoding="utf-8",
    )
    while child.stdout.readline() != "at work\n":
        assert child.poll() is None
    child.terminate()
    _, err = child.communicate(timeout=60)
    assert (child.returncode, err) == (130, "interrupted\n")


def test_a_run_that_is_killed_is_said_to_be():
    job = {}, (Transformer(VOCAB, **TINY), Symbols(killed), 1e-3, [2], [[2]], 1.0, 0)
    with pytest.raises(ChildProcessError, match="the process of a run was ended from outside"):
        side_by_side([job], print)


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["attention"], "unknown claim 'attention'; there are: gradients, bottleneck, parallel, positions"),
        (["gradients", "--out", ""], "--out names no folder"),
        (["--seeds", "0"], "--seeds must be at least 1, not 0"),
        (["--seconds", "0"], "--seconds must be a number above 0, not 0.0"),
        (["--seconds", "nan"], "--seconds must be a number above 0, not nan"),
        (["gradients", "--seeds", "5"], "--seeds is of bottleneck, positions, not of gradients"),
        (["gradients", "parallel", "--seeds", "5"], "--seeds is of bottleneck, positions, not of gradients, parallel"),
        (["gradients", "--seconds", "1"], "--seconds is of bottleneck, parallel, positions, not of gradients"),
    ],
)
def test_what_it_refuses(tmp_path, capsys, monkeypatch, words, message):
    monkeypatch.chdir(tmp_path)
    assert main(["story", *words]) == 1
    assert capsys.readouterr().err == f"minitransformer story: {message}\n"
    assert not list(tmp_path.iterdir())


class Bar:
    def __init__(self, disable):
        self.disable, self.written = disable, []

    def write(self, text):
        self.written.append(text)


def test_a_line_is_said_above_the_bar(capsys):
    for bar, written in ((None, []), (Bar(disable=True), []), (Bar(disable=False), ["a line"])):
        say("a line", bar)
        assert capsys.readouterr().out == ("" if written else "a line\n")
        assert bar is None or bar.written == written


@pytest.mark.parametrize("claim", CLAIMS.values(), ids=CLAIMS)
def test_nobody_is_told_what_a_bar_looks_like(claim):
    assert signature(claim.measure).parameters["tell"].default is say


@pytest.mark.parametrize("claim", CLAIMS.values(), ids=CLAIMS)
def test_every_claim_can_be_measured_drawn_and_tabled(claim):
    assert claim.__doc__ and callable(claim.measure) and callable(claim.draw) and callable(claim.tables)
