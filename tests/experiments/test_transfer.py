"""The experiments with ELMo and ULMFiT: their data and measures on made-up texts, and what is in results/."""

import json

import numpy as np
import pytest

from experiments import elmo, ulmfit, words
from experiments.results import SEEDS, read
from experiments.words import BEGIN, OWN, UNKNOWN, Vocabulary
from minitransformer.models import AWDLSTM
from minitransformer.threads import workers
from minitransformer.trees import tree_map

# --------------------------------------------------------------------------------------------------------------- words


def test_words_of_a_text():
    assert words.words("Returns set_name(2x), “don't”") == [*"returns set _ name ( 2 x ) , “ don ' t ”".split()]


def test_docstrings_of_a_library(tmp_path, monkeypatch):
    """Of modules, classes and functions, each text once; none of tests, nor of what is no Python."""
    (tmp_path / "a.py").write_text('"""Of a."""\nclass A:\n    """Of A."""\n    def f(self):\n        """Of f."""\n')
    (tmp_path / "b").mkdir()
    (tmp_path / "b" / "c.py").write_text('async def g():\n    """Of g."""\n\ndef f():\n    "Of f."\n\ndef h(): pass\n')
    (tmp_path / "b" / "d.py").write_text("def (:")
    (tmp_path / "test").mkdir()
    (tmp_path / "test" / "e.py").write_text('"""Of no interest."""')
    monkeypatch.setattr(words.sysconfig, "get_paths", lambda: {"stdlib": str(tmp_path)})
    assert words.docstrings.__wrapped__() == [("a", "Of a."), ("a", "Of A."), ("a", "Of f."), ("b", "Of g.")]


def test_comments_of_a_library(tmp_path, monkeypatch):
    """Lines of comment that follow each other are one, without signs; each text once, and none from behind code."""
    (tmp_path / "a.py").write_text("#!python\nx = 1  # one\n    ## Two\n    # lines.\ny = 2\n# Again.\nz = 3\n")
    (tmp_path / "b").mkdir()
    (tmp_path / "b" / "c.py").write_text("def (:\n# Again.\n\n# Of c, caf\xe9.\n\n# Of c.\n", "latin-1")
    (tmp_path / "test").mkdir()
    (tmp_path / "test" / "e.py").write_text("# Of no interest.\n")
    monkeypatch.setattr(words.sysconfig, "get_paths", lambda: {"stdlib": str(tmp_path)})
    found = [(module, words.words(text)) for module, text in words.comments.__wrapped__()]
    assert found[:3] == [("a", ["!", "python"]), ("a", ["two", "lines", "."]), ("a", ["again", "."])]
    assert [module for module, _ in found[3:]] == ["b", "b"] and found[4][1] == ["of", "c", "."]


def test_a_vocabulary_and_a_wider_one():
    texts = [["b", "a", "a"], ["b", "c", "a"]]
    known = Vocabulary.of(texts, least=2, size=10)
    assert known.words == [*OWN, "a", "b"] and known.encode(["b", "x"]).tolist() == [BEGIN, 3, UNKNOWN]
    assert Vocabulary.of(texts, least=1, size=3).words == [*OWN, "a"]
    assert known.widened([["x", "b", "x", "c"]], least=2).words == [*OWN, "a", "b", "x"]


# ---------------------------------------------------------------------------------------------------------------- ELMo


def test_what_elmo_found_is_of_this_code_and_is_what_the_page_says():
    """A change of a setting asks for the figures of the page anew."""
    found = read("elmo")
    assert found["settings"] == json.loads(json.dumps(elmo.SETTINGS))
    assert [run["seed"] for run in found["runs"]] == list(SEEDS)
    for words_of_seeds in zip(*(run["words"] for run in found["runs"]), strict=True):
        for layer in (1, 2):  # every word is nearer to itself within a sense than across
            within, across, _ = np.mean([word["layers"][layer] for word in words_of_seeds], 0)
            assert within > across
    for run in found["runs"]:
        assert run["right"] > 0.7 * run["held_out"] > 0.55 * run["held_out"] > run["alone"][0]
        assert np.argmax(run["mixture"]) == 2 and run["mixture"][0] < 0.25


@pytest.fixture
def reference(monkeypatch):
    """A reference of made-up sentences: 'with' in both senses, always in other company."""
    nouns = [f"{a}{b}" for a in "klmnp" for b in "aeiou"]
    prose = [f"we go {a} with {b} and {a} again {b} {a}" for a in nouns[:5] for b in nouns[5:10]]
    code = [f'the "with" {a} of {b} opens {a} {b} {a}' for a in nouns[10:15] for b in nouns[15:20]]
    both = [part for pair in zip(prose, code) for part in pair]
    monkeypatch.setattr(elmo, "python_reference", lambda: "\n\n".join([*both, "   with x: pass", *both[:7]]))
    monkeypatch.setattr(elmo, "text", elmo.text.__wrapped__)
    return elmo.Reference()


def test_quotation_marks_tell_the_sense_and_are_taken_away(reference):
    said, senses = reference.said, reference.senses
    assert '"' not in said and len(said) == len(senses) == len(reference.ids)
    assert said.count("with") == 51  # every paragraph once, the example among them
    assert {senses[at] for at, word in enumerate(said) if word == "again"} == {0}
    assert [said[at] for at, sense in enumerate(senses) if sense is None] == ["with", "x", ":", "pass"]
    assert {said[at] for at, sense in enumerate(senses) if sense == 1} == {"with"}


def test_occurrences_are_of_their_sense_and_of_unlike_company(reference):
    english, python = elmo.occurrences("with", reference.said, reference.senses)
    assert all(reference.said[at - 1] != "the" for at in english) and len(english) > 15
    assert all(reference.said[at - 1] == "the" for at in python) and len(python) > 15
    twice = reference.said + reference.said
    again = elmo.occurrences("with", twice, reference.senses + reference.senses)
    assert len(again[0]) <= len(english) + 3 and len(again[1]) <= len(python) + 3  # but for those near the seam


def test_windows_know_what_stands_on_either_side(reference):
    characters, mask, after, before = reference.windows([3, 40], 8)
    assert characters.shape == mask.shape == (2, 8, elmo.LONGEST + 2)
    for row, start in enumerate((3, 40)):
        assert np.array_equal(after[row], reference.targets[start + 1 : start + 9])
        assert np.array_equal(before[row], reference.targets[start - 1 : start + 7])
        word = reference.said[start]
        spelt = [elmo.FIRST, *map(ord, word), elmo.LAST]
        assert characters[row, 0][mask[row, 0]].tolist() == spelt


def test_nearness():
    """Two senses, at right angles to each other but for one occurrence that lies with the others."""
    h = np.array([[1.0, 0.0], [2.0, 0.1], [0.1, 1.0], [0.0, 3.0], [1.0, -0.1]])
    within, across, same = elmo.nearness(h, np.array([0, 0, 1, 1, 1]))
    assert same == 4 and 0.3 < across < 0.5 and within < 0.6
    within, across, same = elmo.nearness(h[:4], np.array([0, 0, 1, 1]))
    assert same == 4 and within > 0.99 and across < 0.2


def test_the_probe_finds_the_layer_that_tells(rng):
    senses = np.arange(200) % 2
    h = rng.normal(size=(3, 200, 4))
    h[1, :, 2] += 3 * senses
    learnt = np.arange(200) < 120
    s, right = elmo.probe(h, senses, learnt)
    assert np.argmax(s) == 1 and s[1] > 0.4 and right > 60
    _, nothing = elmo.probe(h[:1], senses, learnt)
    assert nothing < 56


# -------------------------------------------------------------------------------------------------------------- ULMFiT


def test_what_ulmfit_found_is_of_this_code_and_is_what_the_page_says():
    found = read("ulmfit")
    assert found["settings"] == json.loads(json.dumps(ulmfit.SETTINGS))
    assert [run["seed"] for run in found["runs"]] == list(SEEDS)
    for run in found["runs"]:  # step two brings the language model nearer to the task, and each way learns something
        assert all(after < before for before, after in run["perplexity"].values())
        assert all(run[name][-1][1] > run["held_out"] / 6 for name in ("from nothing", "ULMFiT", "ULMFiT by AdamW"))
        gradient_descent, adamw = (run["pretraining"][by] for by in ("averaged SGD", "AdamW"))
        assert gradient_descent["averaged"] and gradient_descent["steps"] == adamw["steps"]
        assert adamw["held_out"] < gradient_descent["held_out"] < 1.05 * adamw["held_out"]
        assert run["perplexity"]["averaged SGD"][1] < run["perplexity"]["AdamW"][1]
        assert run["ULMFiT's words alone"][-1][1] > run["ULMFiT"][-1][1] > run["ULMFiT by AdamW"][-1][1]
        ways = "from nothing", "without step two", "ULMFiT's words alone", "ULMFiT", "ULMFiT by AdamW"
        assert len({run[name][-1][0] for name in ways}) == 1  # all in as many steps


@pytest.fixture
def library(monkeypatch):
    """Made-up docstrings: those of a module speak of it."""
    found = [(m, " ".join([f"{m} does {i}"] * 3)) for m in ulmfit.MODULES for i in range(50)]
    monkeypatch.setattr(ulmfit, "docstrings", lambda: found + [("json", "of json"), ("xml", "too short")])
    monkeypatch.setattr(ulmfit, "comments", lambda: [("json", "for json"), ("email", "for email"), ("xml", "for xml")])
    monkeypatch.setattr(ulmfit, "python_reference", lambda: "one topic\n\nanother topic")


@pytest.mark.parametrize("seed", [0, 5])
def test_nothing_of_the_exam_is_read_before(seed, library):
    labelled, plain, exam = ulmfit.split(seed)
    assert len(labelled) == 12 * ulmfit.LABELLED and len(exam) == 12 * ulmfit.EXAM and len(plain) == 12 * 20 + 3
    asked = {tuple(text) for text, _ in exam}
    assert len(asked) == len(exam)
    assert asked.isdisjoint(tuple(text[: ulmfit.LONGEST]) for text in plain)
    assert {tuple(text) for text, _ in labelled} <= set(map(tuple, plain))
    assert all(text[0] == ulmfit.MODULES[label] for text, label in labelled + exam)
    assert ulmfit.split(seed)[2] == exam != ulmfit.split(seed + 1)[2]


def test_what_has_no_label_is_whole(library):
    """The short are among it, and comments; of the long, all. Nothing of it was read in step one."""
    plain = [" ".join(text) for text in ulmfit.split(0)[1]]
    assert {"too short", "for email", "for xml"} <= set(plain)
    said = [" ".join(text) for text in ulmfit.general_texts()]
    assert said == ["for json", "one topic", "another topic", "of json"]


def test_a_long_text_is_asked_for_by_its_beginning(library, monkeypatch):
    monkeypatch.setattr(ulmfit, "LONGEST", 8)
    labelled, plain, exam = ulmfit.split(0)
    assert {len(text) for text, _ in labelled + exam} == {8} and max(map(len, plain)) == 9
    asked = {tuple(text) for text, _ in exam}
    assert asked.isdisjoint(tuple(text[:8]) for text in plain)


def test_the_order_of_texts_without_labels_tells_nothing(library):
    """Of two that follow each other both are of one module one time in twelve; as found, they nearly always were."""
    _, plain, _ = ulmfit.split(0)
    assert np.mean([a[0] == b[0] for a, b in zip(plain, plain[1:])]) < 0.2


def test_a_batch_is_padded_behind(rng):
    ids, types, mask, labels = ulmfit.batch_of([(np.array([1, 5, 6]), 2), (np.array([1]), 0)])
    assert ids.tolist() == [[1, 5, 6], [1, 0, 0]] and types is None and labels.tolist() == [2, 0]
    assert mask[:, 0, 0].tolist() == [[True] * 3, [True, False, False]]


def test_counts_of_words(rng):
    """Each class has a word of its own."""
    labelled = [(np.array([2, 20 + label]), label) for label in range(12)]
    assert ulmfit.right_by_counts(labelled, labelled, 40) == 12
    swapped = [(ids, (label + 1) % 12) for ids, label in labelled]
    assert ulmfit.right_by_counts(labelled, swapped, 40) == 0


def test_new_words_are_the_mean_of_the_known(rng):
    p = {"token": {"weight": rng.normal(size=(5, 3))}, "layers": []}
    table = ulmfit.with_new_words(p, 2)["token"]["weight"]
    assert np.array_equal(table[:5], p["token"]["weight"])
    np.testing.assert_allclose(table[5:], [table[:5].mean(0)] * 2, rtol=1e-12)


def test_reading_lowers_the_loss_and_is_the_same_again():
    """A text that says the same five words again and again."""
    ids = np.tile([2, 3, 4, 5, 6], 300)
    rates = dict.fromkeys(("word_rate", "input_rate", "hidden_rate", "output_rate", "weight_rate"), 0.02)
    model = AWDLSTM(7, n_layers=1, d_model=8, d_hidden=1, **rates)
    about = {"epochs": 3, "rate": 0.05, "rows": 4, "length": 12, "clip": 1.0}
    losses = []
    for _ in range(2):
        p = model.init(np.random.default_rng(0))
        before = ulmfit.loss_of(model, p, ids)
        steps = ulmfit.read(model, p, ulmfit.AdamW(), ids, 0, about)
        losses.append(ulmfit.loss_of(model, p, ids))
    assert losses[0] == losses[1] < 0.6 * before and 60 < steps < 160


@pytest.fixture
def step_one(monkeypatch, rng):
    """Step one in small, on a text that tells nothing: what is held out is soon said no better."""
    text = rng.integers(2, 7, 1800)
    monkeypatch.setattr(ulmfit, "general", lambda: (Vocabulary([*OWN, *"abcde"]), text[:1500], text[1500:]))
    monkeypatch.setattr(ulmfit, "SIZE", {"n_layers": 1, "d_model": 8, "d_hidden": 1})
    about = {"epochs": 3, "rows": 4, "length": 12, "clip": 1.0, "see_every": 5, "patience": 1}
    monkeypatch.setattr(ulmfit, "PRETRAINING", about | {"rates": {"averaged SGD": 2.0, "AdamW": 0.05}})
    return text[1500:]


def recorded(monkeypatch, name):
    """rates and parameters of all steps that the optimizer of this name will do"""
    rates, steps = [], []

    class Recorded(getattr(ulmfit, name)):
        def step(self, p, g, rate, factor):
            super().step(p, g, rate, factor)
            rates.append(rate)
            steps.append(tree_map(np.copy, p))

    monkeypatch.setattr(ulmfit, name, Recorded)
    return rates, steps


def test_step_one_by_averaged_gradient_descent(step_one, monkeypatch):
    """One rate for all steps but for short pieces; averaged from when it was seen to stand still; the mean is given."""
    rates, steps = recorded(monkeypatch, "AveragedSGD")
    p, about = ulmfit.pretrained.__wrapped__("averaged SGD")
    lengths = np.array(rates) / 2.0 * 12
    np.testing.assert_allclose(lengths, np.round(lengths), rtol=1e-12)
    n = about["averaged"]
    assert 0 < n < len(steps) == about["steps"] and (len(steps) - n) % 5 == 0
    mean = np.mean([step["token"]["weight"] for step in steps[-n:]], 0)
    np.testing.assert_allclose(p["token"]["weight"], mean, rtol=1e-4, atol=1e-6)
    assert [step for step, _ in about["curve"]] == list(range(5, len(steps) + 1, 5))
    model = AWDLSTM(7, **ulmfit.SIZE, **ulmfit.RATES)
    assert about["held_out"] == round(float(np.exp(ulmfit.loss_of(model, p, step_one))), 1)
    at = len(steps) // 5 * 5  # the last point of the curve is of the mean until there
    mean = tree_map(lambda *each: np.mean(each, 0, dtype=np.float32), *steps[len(steps) - n : at])
    assert about["curve"][-1][1] == pytest.approx(np.exp(ulmfit.loss_of(model, mean, step_one)), abs=0.051)


def test_step_one_by_adamw(step_one, monkeypatch):
    """Up and down a triangle, and the last step is given."""
    rates, steps = recorded(monkeypatch, "AdamW")
    p, about = ulmfit.pretrained.__wrapped__("AdamW")
    assert about["averaged"] is None and np.argmax(rates) < len(rates) / 3 and rates[-1] < 0.2 * max(rates)
    assert np.array_equal(p["token"]["weight"], steps[-1]["token"]["weight"])


def test_a_classifier_begins_with_what_it_is_given(rng):
    """The table alone: all else is what it would be from nothing. What is given stays as it was when that learns."""
    given = {"token": {"weight": rng.normal(size=(30, ulmfit.SIZE["d_model"])).astype(np.float32)}}
    _, drawn = ulmfit.classifier(30, {}, 0, ulmfit.FROM_NOTHING)
    model, p = ulmfit.classifier(30, given, 0, ulmfit.FROM_NOTHING)
    assert np.array_equal(p["body"]["token"]["weight"], given["token"]["weight"])
    assert not np.shares_memory(p["body"]["token"]["weight"], given["token"]["weight"])
    for a, b in zip(p["body"]["layers"], drawn["body"]["layers"], strict=True):
        assert np.array_equal(a["input"]["weight"], b["input"]["weight"])
    rates = model.body.word_rate, model.body.input_rate, model.body.hidden_rate, model.body.weight_rate
    assert rates == (0.3, 0.4, 0.4, 0.2)


def test_the_classifier_thaws_from_the_top(monkeypatch):
    """In the first stage the body stays as it was; in the last all of it moves. What is labelled is learnt."""
    monkeypatch.setattr(ulmfit, "SIZE", {"n_layers": 2, "d_model": 6, "d_hidden": 8})
    model, p = ulmfit.classifier(30, {}, 0, ulmfit.CLASSIFYING)
    examples = [(np.array([1, 2 + label, 2 + label]), label) for label in range(12)]
    seen, start = [], tree_map(np.copy, p)
    real = ulmfit.right

    def right(model, p, exam):
        moved = [not np.array_equal(p["body"]["token"]["weight"], start["body"]["token"]["weight"])]
        pairs = zip(p["body"]["layers"], start["body"]["layers"])
        moved += [not np.array_equal(a["hidden"]["weight"], b["hidden"]["weight"]) for a, b in pairs]
        seen.append(moved)
        return real(model, p, exam)

    monkeypatch.setattr(ulmfit, "right", right)
    about = {"epochs": (3, 2, 2, 60), "rate": 0.02, "decay": 1.0, "batch": 5, "clip": 1.0}
    with workers(1) as map:
        curve = ulmfit.learn_classes(model, p, examples, examples, 0, about, map)
    assert seen == [[False] * 3, [False, False, True], [False, True, True], [True] * 3]
    assert [step for step, _ in curve] == [9, 15, 21, 201] and curve[-1][1] >= 5
