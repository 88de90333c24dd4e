"""The task of translation: batches that follow from the key alone, held-out sets that stay out, scores that are so."""

import json
import sys
from dataclasses import replace

import numpy as np
import pytest

from minitransformer.data import dates
from minitransformer.data.pairs import END, START
from minitransformer.installing import install
from minitransformer.training import metrics
from minitransformer.training.losses import translation_loss
from minitransformer.training.run import Run
from minitransformer.training.tasks import TranslationSettings, TranslationTask, translation
from minitransformer.training.tasks.corpora import DateCorpus

from .conftest import outcome

TINY = dict(layers=1, heads=2, width=8, inner=8, batch=7, pieces=3, dropout=0.1, steps=5, warmup=2, evaluate_every=2)


@pytest.fixture
def settings(tmp_path):
    """Forty pairs, the last four of them held out."""
    path = tmp_path / "pairs.tsv"
    lines = [f"{a}{b * n} x\t{b}-{a}{b * (n % 3)}\n" for a in "abcde" for n, b in enumerate("fghijklm")]
    path.write_text("".join(lines), encoding="utf-8")
    return TranslationSettings(text=(str(path),), **TINY)


@pytest.fixture
def sacrebleu(monkeypatch):
    """A stand-in for what asks sacrebleu, which remembers what it was asked."""
    asked = []

    def score(name, answers, references):
        asked.append((name, answers, references))
        return metrics.Score(12.3456, f"signature of {name}")

    monkeypatch.setattr(metrics, "score", score)
    return asked


@pytest.fixture
def without_sacrebleu(monkeypatch):
    monkeypatch.setitem(sys.modules, "sacrebleu", None)


# --------------------------------------------------------------------------------------------------- batches, resuming


@pytest.mark.parametrize("steps", [1, 2, 3, 4])
def test_a_resumed_run_is_the_uninterrupted_one(tmp_path, settings, steps):
    whole = Run.start(tmp_path / "whole", settings)
    expected = outcome(whole, whole.train(2))
    stopped = Run.start(tmp_path / "run", settings)
    for event in stopped.train():
        if event.step == steps:
            stopped.save()
            break
    run = Run.resume(tmp_path / "run")
    losses, *rest = outcome(run, run.train())
    assert losses == expected[0][steps:] and rest == list(expected[1:])


def test_pieces_follow_from_the_key_and_hold_the_whole_batch(settings):
    task = TranslationTask(settings)
    key = np.random.SeedSequence(3)
    once, again, other = (task.pieces(key, 0), task.pieces(key, 0), task.pieces(key, 1))
    assert all(
        np.array_equal(a, b) for one, two in zip(once, again, strict=True) for a, b in zip(one, two, strict=True)
    )
    assert any(a.shape != b.shape or (a != b).any() for one, two in zip(once, other) for a, b in zip(one, two))
    assert sum(len(piece[0]) for piece in once) == 7 and len(once) == 3


@pytest.mark.parametrize("tokenizer", ["char", "bpe"])
def test_a_piece_is_of_similar_length(settings, tokenizer):
    task = TranslationTask(TranslationSettings(**vars(settings) | {"tokenizer": tokenizer, "vocab_size": 300}))
    for i in range(20):
        pieces = task.pieces(np.random.SeedSequence(i), 0)
        tokens = [mask.sum((1, 2, 3)) + (targets != -100).sum(-1) for _, mask, _, targets in pieces]
        assert (np.diff(np.concatenate(tokens)) >= 0).all()


def test_what_is_held_out_is_never_drawn(settings):
    corpus = TranslationTask(settings).corpus
    rng = np.random.default_rng(0)
    drawn = set(corpus.draw(2000, rng))
    assert len(drawn) == 36 and drawn.isdisjoint(corpus.held_out["held out"])


def test_other_pairs_are_refused(tmp_path, settings):
    run = Run.start(tmp_path / "run", settings)
    with open(settings.text[0], "a", encoding="utf-8") as file:
        file.write("a\tb\n")
    with pytest.raises(ValueError, match="trained on another text: 40 pairs with .* this one has 41 pairs"):
        Run.resume(run.folder)
    with open(settings.text[0], encoding="utf-8") as file:
        lines = file.readlines()
    with open(settings.text[0], "w", encoding="utf-8") as file:
        file.writelines([lines[1], lines[0], *lines[2:40]])
    with pytest.raises(ValueError, match="trained on another text: 40 pairs with .* this one has 40 pairs"):
        Run.resume(run.folder)


def test_other_formats_of_dates_are_other_data(monkeypatch):
    before = DateCorpus()
    monkeypatch.setitem(dates.FORMATS, "de-long", lambda day: f"am {dates.FORMATS['de-figures'](day)}")
    after = DateCorpus()
    assert before.contents() != after.contents() and before.size == after.size


def test_a_pair_that_memory_is_too_small_for_is_refused_at_once(settings, monkeypatch):
    """The longest, of 3 and 9 tokens, in a piece of 3: 4 bytes · 1 layer · 2 heads · 3 · (3² + 9² + 3 · 9)."""
    lines = ["ab\tc\n"] * 9 + ["abc\tabcabcabc\n"]
    with open(settings.text[0], "w", encoding="utf-8") as file:
        file.writelines(lines)
    monkeypatch.setattr(translation, "MOST_BYTES", 24 * 117)
    TranslationTask(settings)
    monkeypatch.setattr(translation, "MOST_BYTES", 24 * 117 - 1)
    with pytest.raises(ValueError, match="the pair 'abc'… of 3 and 9 tokens takes .* lower --batch"):
        TranslationTask(settings)


def test_what_a_pair_takes_is_counted_in_tokens(settings, monkeypatch):
    """With a BPE, a few rare characters are more tokens than many common ones."""
    with open(settings.text[0], "w", encoding="utf-8") as file:
        file.writelines(["abababababab\tababababab\n"] * 20 + ["☃⌚☂\tb\n"] + ["ab\ta\n"] * 5)
    settings = replace(settings, tokenizer="bpe", vocab_size=262)
    task = TranslationTask(settings)
    common, rare = (task.needed(*map(len, task.encode(task.corpus.pairs[i]))) for i in (0, 20))
    assert common < rare
    monkeypatch.setattr(translation, "MOST_BYTES", rare - 1)
    with pytest.raises(ValueError, match="the pair '☃"):
        TranslationTask(settings)


def test_it_trains_as_the_paper_does(settings):
    """Section 5.3 and 5.4: Adam of 0.9, 0.98 and 1e-9, labels smoothed by 0.1; and the task asks its settings."""
    task = TranslationTask(replace(settings, label_smoothing=0.3))
    assert task.loss.label_smoothing == 0.3 and TranslationSettings().label_smoothing == 0.1
    assert translation_loss(task.model).label_smoothing == 0.1
    usual = TranslationTask(replace(settings, beta2=TranslationSettings().beta2)).optimizer()
    assert (usual.betas, usual.eps) == ((0.9, 0.98), 1e-9)


# ---------------------------------------------------------------------------------------------------------- tokenizers


def test_characters_are_those_of_all_pairs_and_the_marks(settings):
    with open(settings.text[0], "a", encoding="utf-8") as file:
        file.write("Q\tß\n")  # held out
    assert TranslationTask(settings).tokenizer.characters == START + END + " -Qabcdefghijklmxß"


def test_merges_are_learnt_from_what_is_not_held_out(settings, tmp_path):
    path = tmp_path / "words.tsv"
    path.write_text("hello hello\tworld world\n" * 18 + "zebra zebra\tzebra zebra\n" * 2, encoding="utf-8")
    settings = TranslationSettings(text=(str(path),), tokenizer="bpe", vocab_size=280, **TINY)
    tokens = TranslationTask(settings).tokenizer.tokens
    assert b" hello" in tokens and b" world" in tokens
    assert not any(b"z" in token or b"ra" in token for token in tokens[256:])


def test_merges_of_dates_are_learnt_from_dates():
    text = DateCorpus().text()
    assert text.count("\n") == 2 * 10_000 - 1
    assert text.lower().count("september") > 200 and text == DateCorpus().text()


# -------------------------------------------------------------------------------------------------------------- scores


def test_token_accuracy_is_that_of_every_pair_by_itself(tmp_path, settings, without_sacrebleu):
    run = Run.start(tmp_path / "run", TranslationSettings(**vars(settings) | {"steps": 60, "learning_rate": 0.01}))
    list(run.train())
    task, p = run.task, run.training.p

    def alone(source, target):
        source, said = task.encode((source, target + END))
        logits, _ = task.model.forward(p, source[None], np.array([[task.start_id, *said[:-1]]]))
        return logits[0].argmax(-1), said

    right = [predicted == said for predicted, said in (alone(*pair) for pair in task.corpus.held_out["held out"])]
    share = np.concatenate(right).mean()
    assert 0 < share < 1 and task.scores(p, map)["token_accuracy"] == round(share, 5)
    predicted, targets = task.predict(p, task.collate(task.corpus.pairs))  # one batch, much of it padding
    for pair, row, counts in zip(task.corpus.pairs, predicted, targets != -100, strict=True):
        assert row[counts].tolist() == alone(*pair)[0].tolist()


def test_answers_are_compared_with_their_own_references(settings, sacrebleu, monkeypatch):
    task = TranslationTask(settings)
    held_out = task.corpus.held_out["held out"]
    wrong = held_out[2]
    monkeypatch.setattr(task, "answer", lambda p, pairs: ["no" if pair == wrong else pair[1] for pair in pairs])
    sacrebleu.clear()
    scores = task.scores(task.model.init(np.random.default_rng(0)), map)
    assert list(scores) == ["token_accuracy", "exact_match_held_out", "BLEU", "chrF"]
    assert scores["exact_match_held_out"] == 0.75 and scores["BLEU"] == scores["chrF"] == 12.35
    assert [name for name, *_ in sacrebleu] == ["BLEU", "CHRF"]
    for _, answers, references in sacrebleu:
        assert sorted(references) == sorted(target for _, target in held_out)
        assert [answer for answer in answers if answer != "no"] == [r for r in references if r != wrong[1]]


def test_an_answer_is_what_the_model_says_alone(settings, rng, without_sacrebleu):
    task = TranslationTask(settings)
    p = task.model.init(rng)
    pairs = task.held_out["held out"]
    answers = task.answers(p, pairs)
    assert any(answers)
    for pair, answer in zip(pairs, answers, strict=True):
        (alone,) = task.answers(p, [pair])
        assert answer[: len(pair[1]) + 8] == alone  # which is cut off there, where it does not end before


def test_an_answer_that_does_not_end_is_cut_off(settings, monkeypatch, without_sacrebleu):
    monkeypatch.setattr(translation, "decode", lambda *_, max_tokens, **__: [np.full(max_tokens, 4)] * 2)
    task = TranslationTask(settings)
    p = task.model.init(np.random.default_rng(0))
    assert [len(answer) for answer in task.answer(p, [("a", "bcd"), ("b", "a")])] == [3 + 8] * 2


def test_dates_have_both_held_out_sets_and_no_need_of_sacrebleu(without_sacrebleu, monkeypatch):
    task = TranslationTask(TranslationSettings(**TINY))
    assert task.notes == [] and task.signatures == {}
    for name in task.held_out:
        task.held_out[name] = task.held_out[name][:10]
    task.validation = task.validation[:3]
    days = {target for _, target in task.held_out["unseen days"][:4]}
    monkeypatch.setattr(task, "answer", lambda p, pairs: [t if t in days else "" for _, t in pairs])
    scores = task.scores(task.model.init(np.random.default_rng(0)), map)
    assert list(scores) == ["token_accuracy", "exact_match_unseen_pairs", "exact_match_unseen_days"]
    assert scores["exact_match_unseen_pairs"] == 0 and scores["exact_match_unseen_days"] == 0.4


def test_signatures_stand_in_the_description_of_the_run(tmp_path, settings, sacrebleu):
    run = Run.start(tmp_path / "run", settings)
    assert run.task.notes == [
        f"{a} is that of sacrebleu, signature of {b}" for a, b in zip(("BLEU", "chrF"), ("BLEU", "CHRF"))
    ]
    for path in (tmp_path / "run").rglob("config.json"):
        about = json.loads(path.read_text(encoding="utf-8"))
        assert about["signatures"] == {"BLEU": "signature of BLEU", "chrF": "signature of CHRF"}


def test_without_sacrebleu_a_note_says_so_and_the_rest_is_measured(tmp_path, settings, without_sacrebleu):
    run = Run.start(tmp_path / "run", settings)
    (note,) = run.task.notes
    assert f"`{install('translate')}`" in note
    list(run.train())
    for record in run.records():
        assert list(record.scores) == ["token_accuracy", "exact_match_held_out"]


def test_held_out_pairs_that_are_learnt_as_well_are_counted(settings, without_sacrebleu):
    with open(settings.text[0], encoding="utf-8") as file:
        lines = file.readlines()
    with open(settings.text[0], "w", encoding="utf-8") as file:
        file.writelines([*lines[:-3], lines[0], lines[1], lines[1]])
    assert TranslationTask(settings).notes[0] == "3 of the pairs held out are also among those to learn from"


# ----------------------------------------------------------------------------------------------------------- schedules


def test_schedules_by_name(settings):
    rates = {}
    for name in ("cosine", "inverse-square-root"):
        settings = TranslationSettings(**TINY | {"schedule": name, "warmup": 4, "steps": 36, "learning_rate": 0.5})
        task = TranslationTask.__new__(TranslationTask)
        task.settings = settings
        rates[name] = [task.schedule()(step) for step in (0, 3, 15, 35)]
    assert rates["cosine"][:2] == [0.125, 0.5] and rates["cosine"][3] == pytest.approx(0)
    assert rates["inverse-square-root"] == pytest.approx([0.125, 0.5, 0.25, 0.5 / 3])
    assert TranslationSettings().schedule == "cosine"


def test_schedules_that_there_are_not():
    with pytest.raises(ValueError, match="unknown schedule 'noam'; there are: cosine, inverse-square-root"):
        TranslationSettings(schedule="noam")
    with pytest.raises(ValueError, match="final_learning_rate is of the cosine: .* inverse-square-root has no last"):
        TranslationSettings(schedule="inverse-square-root", final_learning_rate=1e-4)


# ------------------------------------------------------------------------------------------------------ what comes next


def test_the_next_command_translates_something_that_the_model_can_read(settings, without_sacrebleu):
    assert TranslationTask(settings).next_command("run") == "translate run 'ejjjj x'"
    assert DateCorpus().example == "the third of March, 1994"
