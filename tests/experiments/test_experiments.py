"""The experiments learn what they say, here with one seed; all of them are what results/ says they were."""

import importlib
import json
from dataclasses import asdict, replace
from pathlib import Path
from xml.etree import ElementTree

import numpy as np
import pytest

from experiments import addition, copy_task, dates_bahdanau, loading_memory, pretraining, sentences
from experiments.results import SEEDS, read
from minitransformer import use_backend
from minitransformer.cli.story import as_json as as_lines
from minitransformer.models import GPT2
from minitransformer.pretrained import load_pretrained
from minitransformer.training.loop import Training
from minitransformer.training.tasks import translation
from minitransformer.trees import leaves

DOCS = Path(__file__).parents[2] / "docs"
EXPERIMENTS = {"addition": addition, "copy_task": copy_task}
each = pytest.mark.parametrize("name", EXPERIMENTS)


@each
def test_one_seed_learns(name, monkeypatch):
    """Of 1,000 that it never saw, at least 990 sums are right, and every sequence is copied exactly."""
    use_backend("cpu")
    monkeypatch.setattr(EXPERIMENTS[name], "EXAM_EVERY", EXPERIMENTS[name].SCHEDULE["steps"])  # the last counts
    run = EXPERIMENTS[name].learn(0)
    assert run["held_out"] == 1000
    assert run["right"] >= {"addition": 990, "copy_task": 1000}[name]


@each
def test_what_was_found_is_of_this_code(name):
    """A change of a setting asks for the figures of the pages anew."""
    module, found = EXPERIMENTS[name], read(name)
    assert found["settings"] == as_json(module.SETTINGS)
    assert [run["seed"] for run in found["runs"]] == list(SEEDS) == [0, 1, 2]
    assert all(run["steps"] == module.SCHEDULE["steps"] for run in found["runs"])
    assert all(run["right"] >= {"addition": 990, "copy_task": 1000}[name] for run in found["runs"])


def as_json(settings):
    return json.loads(json.dumps(settings))


def test_the_published_rate_is_another_run():
    """As the page of the copy task says: with it no seed copies all, and nothing else was changed."""
    found, falling = read("copy_task_published_rate"), read("copy_task")
    assert found["settings"] == as_json(copy_task.SETTINGS | {"schedule": copy_task.PUBLISHED})
    assert [run["seed"] for run in found["runs"]] == list(SEEDS)
    for run, other in zip(found["runs"], falling["runs"], strict=True):
        assert run["right"] < run["held_out"] == other["right"] and run["steps"] == other["steps"]
        assert run["cross_attention"]["symbols"] == other["cross_attention"]["symbols"]


def test_the_page_shows_what_was_found(monkeypatch):
    monkeypatch.syspath_prepend(DOCS)
    results = importlib.import_module("results")
    for name in (*EXPERIMENTS, "copy_task_published_rate"):
        table = results.copying.table_of_runs(read(name))
        rows = [line for line in table.splitlines() if line[:3] in ("| 0", "| 1", "| 2")]
        for row, run in zip(rows, read(name)["runs"], strict=True):
            assert row.startswith(f"| {run['seed']} | {run['right']:,} of 1,000 | 400 |"), row
    files = dict(results.everything())
    assert all(ElementTree.fromstring(files[name]).tag.endswith("svg") for name in files if name.endswith(".svg"))
    assert sum(name.endswith(".svg") for name in files) == 13


def test_the_sentences_that_were_kept_are_these_and_their_clusters_are_the_subjects():
    found, groups = read("sentences"), sentences.SENTENCES
    assert found["sentences"] == [text for group in groups.values() for text in group]
    assert found["subjects"] == [subject for subject, group in groups.items() for _ in group]
    alike = np.array(found["similarity"])
    assert np.allclose(alike, alike.T) and np.allclose(np.diag(alike), 1)
    assert len(found["clusters"]) == len(found["plane"]) == len(alike) and set(found["clusters"]) == set(range(4))


def test_a_plane_keeps_what_lies_in_one(rng):
    """Points of a plane, wherever it lies in space, have the same distances in theirs."""
    flat, turned = rng.normal(size=(7, 2)), np.linalg.qr(rng.normal(size=(5, 5)))[0][:2]
    found = sentences.plane(flat @ turned + 3)
    distances = [np.linalg.norm(points[:, None] - points, axis=-1) for points in (flat, found)]
    np.testing.assert_allclose(*distances, atol=1e-12)


@each
def test_nothing_is_learnt_without_steps_in_the_right_direction(name, monkeypatch):
    """What the exam says of a model that was never moved: it can fail."""
    monkeypatch.setitem(EXPERIMENTS[name].SCHEDULE, "peak", 1e-12)
    monkeypatch.setitem(EXPERIMENTS[name].SCHEDULE, "steps", 20)
    assert EXPERIMENTS[name].learn(0)["right"] < 50


@each
def test_the_exam_follows_the_seed_and_not_the_threads(name, monkeypatch):
    module = EXPERIMENTS[name]
    monkeypatch.setitem(module.SCHEDULE, "steps", 5)
    monkeypatch.setattr(module, "EXAM_EVERY", 5)
    steps = []
    real = Training.__init__
    monkeypatch.setattr(Training, "__init__", lambda self, p, *rest: (real(self, p, *rest), steps.append(self))[0])
    for seed, threads in ((1, 1), (1, 2), (2, 1)):
        module.learn(seed, threads)
    assert steps[0].losses == steps[1].losses != steps[2].losses


def test_what_was_pretrained_knows_more_than_the_frequencies():
    """A little, as the page says; and it was made with these settings."""
    found = read("pretraining")
    last, guess = found["records"][-1], found["baseline"]
    assert found["settings"] == as_json(asdict(pretraining.SETTINGS))
    assert last["step"] == pretraining.SETTINGS.steps and last["masked_accuracy"] > guess["masked_accuracy"]
    assert last["masked_loss"] < guess["masked_loss"] and last["next_sentence_accuracy"] > 0.55
    assert [text for text, _ in found["gaps"]] == list(pretraining.GAPS)


def test_pretraining_finds_what_it_writes(tmp_path):
    """All of it, but with a handful of steps on a handful of sentences."""
    path = tmp_path / "text.txt"
    path.write_text(
        "\n\n".join(f"return the {c} of it.\nthe list is {c}. if {c}" for c in "abcdefgh"), encoding="utf-8"
    )
    tiny = {"layers": 1, "heads": 2, "width": 8, "context": 24, "batch": 4, "steps": 2, "duplicates": 1}
    settings = replace(pretraining.SETTINGS, text=(str(path),), **tiny)
    found = json.loads(json.dumps(pretraining.learn(tmp_path / "run", settings, threads=1)))
    assert (
        found.keys() == read("pretraining").keys()
        and found["records"][-1].keys() == read("pretraining")["records"][-1].keys()
    )
    assert [len(guesses) for _, guesses in found["gaps"]] == [4] * len(pretraining.GAPS)


def test_loading_takes_hardly_more_memory_than_the_tensors():
    """As it was measured; and that what is measured are those very numbers, in each precision."""
    found = read("loading_memory")["rows"]
    assert [row["stored"] for row in found] == list(loading_memory.AS_STORED)
    assert all(497e6 < row["bytes"] < row["peak"] <= 1.1 * row["bytes"] for row in found)
    assert found[0]["file"] > 497e6 and all(row["file"] < 250e6 for row in found[1:])


@pytest.mark.parametrize("dtype, rounded", [("F32", 0), ("F16", 2**-10), ("BF16", 2**-7)])
def test_what_is_stored_is_read(dtype, rounded, tmp_path):
    model = GPT2(300, 8, 2, 2, 8)
    p = loading_memory.make(tmp_path / "gpt2", model)
    loading_memory.store(tmp_path / "gpt2", p, dtype, model)
    assert loading_memory.measure(tmp_path / "gpt2")["bytes"] == sum(leaf.nbytes for _, leaf in leaves(p))
    for (path, a), (_, b) in zip(leaves(load_pretrained(tmp_path / "gpt2").p), leaves(p), strict=True):
        np.testing.assert_allclose(a, b, rtol=rounded, atol=1e-7, err_msg=path)


# ------------------------------------------------------------------------------------------------------------ the data


def test_every_sum_is_there_once_and_right():
    sums = addition.every_sum()
    a, b = sums[:, :2] @ [10, 1], sums[:, 2:4] @ [10, 1]
    assert len(set(zip(a.tolist(), b.tolist()))) == 10_000
    assert np.array_equal(a + b, sums[:, 4:] @ [1, 10, 100])
    assert [8, 5, 5, 0, 5, 3, 1] in sums.tolist()  # as the docstring draws it


@pytest.mark.parametrize("seed", [0, 7])
def test_what_is_held_out_is_not_learnt(seed):
    learnt, held_out = (set(map(tuple, part.tolist())) for part in addition.split(seed))
    assert len(learnt) == 9000 and len(held_out) == 1000 and not learnt & held_out
    assert held_out != set(map(tuple, addition.split(seed + 1)[1].tolist()))


def test_only_the_answer_counts():
    ids, targets = addition.examples(np.array([[8, 5, 5, 0, 5, 3, 1]]))
    assert ids.tolist() == [[8, 5, 5, 0, 5, 3]]
    assert targets.tolist() == [[-100, -100, -100, 5, 3, 1]]


def test_mistakes_are_held_to_the_sum(monkeypatch):
    """Not to the digits of the data: a wrong table would be learnt and found right."""
    sums = np.array([[8, 5, 5, 0, 5, 3, 1], [0, 1, 0, 2, 3, 0, 0]])
    said = [np.array([5, 3, 1]), np.array([4, 0, 0])]
    monkeypatch.setattr(addition, "decode", lambda *args, **how: said)
    assert addition.mistakes(addition.MODEL.init(np.random.default_rng(0)), sums) == ["1 + 2 = 4"]


def test_sequences_to_copy():
    symbols = copy_task.sequences(np.random.SeedSequence(0), 5000)
    assert symbols.shape == (5000, 10) and (symbols[:, 0] == 1).all()
    assert set(symbols[:, 1:].ravel().tolist()) == set(range(1, 11))
    source, mask, target, targets = copy_task.examples(symbols[:3])
    assert source is not target and mask.all() and mask.shape == (3, 1, 1, 10)
    assert np.array_equal(target[:, 1:], targets[:, :-1]) and np.array_equal(targets, symbols[:3, 1:])


def test_one_wrong_symbol_is_no_copy(monkeypatch):
    symbols = copy_task.sequences(np.random.SeedSequence(0), 3)
    said = symbols[:, 1:].copy()
    said[1, 4] += 1
    monkeypatch.setattr(copy_task, "decode", lambda *args, **how: list(said))
    assert copy_task.right(copy_task.MODEL.init(np.random.default_rng(0)), symbols) == 2


@pytest.mark.parametrize("seed", SEEDS)
def test_what_is_to_be_copied_was_never_seen(seed):
    exam = set(map(tuple, copy_task.held_out(seed).tolist()))
    assert len(exam) == copy_task.HELD_OUT == 1000
    for step in range(copy_task.SCHEDULE["steps"]):
        assert exam.isdisjoint(map(tuple, copy_task.batch(seed, step).tolist()))


def test_the_picture_is_of_the_model(rng):
    p, symbols = copy_task.MODEL.init(rng), copy_task.sequences(np.random.SeedSequence(0), 1)[0]
    found = copy_task.cross_attention(p, symbols)
    weights = np.array(found["weights"])
    assert found["symbols"] == symbols.tolist() and weights.shape == (2, 2, 9, 10)
    assert np.abs(weights.sum(-1) - 1000).max() <= 5 and weights.std() > 0


class FewDates(translation.DateCorpus):
    """With few that are held out, so that an evaluation is short."""

    def __init__(self):
        super().__init__()
        self.held_out = {name: pairs[:5] for name, pairs in self.held_out.items()}


def test_where_a_decoder_looks_is_of_this_code(tmp_path, monkeypatch):
    """A short run of a small model writes what results/ holds, field by field; the long one has these settings."""
    monkeypatch.setattr(translation, "DateCorpus", FewDates)
    found, settings = read("dates_bahdanau"), dates_bahdanau.SETTINGS
    assert {"text": (), **found["settings"]} == asdict(settings)
    short = replace(settings, width=8, batch=8, steps=2, evaluate_every=1)
    made = json.loads(as_lines(dates_bahdanau.learn(tmp_path / "run", short, threads=1)))
    again = json.loads(as_lines(dates_bahdanau.learn(tmp_path / "run", short, threads=1)))  # where it had ended
    assert made == again
    for name in found:
        assert type(made[name]) is type(found[name])
    assert list(made) == list(found) and list(made["settings"]) == list(found["settings"])
    assert [list(record) for record in made["records"]] == [list(record) for record in found["records"]]
    looks, kept = made["cross_attention"], found["cross_attention"]
    assert list(looks) == list(kept) and looks["source"] == kept["source"]
    for part in (looks, kept):
        weights = np.array(part["weights"])
        assert weights.shape == (len(part["target"]), len(part["source"]))
        assert np.abs(weights.sum(1) - 1000).max() <= len(part["source"]) / 2  # thousandths, rounded
