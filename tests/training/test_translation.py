"""The task of translation: batches that follow from the key alone, held-out sets that stay out, runs that resume."""

import numpy as np
import pytest

from minitransformer.training.run import Run
from minitransformer.training.tasks import TranslationSettings, TranslationTask

from .conftest import outcome

TINY = dict(layers=1, heads=2, width=8, inner=8, batch=7, pieces=3, dropout=0.1, steps=5, warmup=2, evaluate_every=2)


@pytest.fixture
def settings(tmp_path):
    path = tmp_path / "pairs.tsv"
    lines = [f"{a}{b * n} x\t{b}-{a}\n" for a in "abcde" for n, b in enumerate("fghijklm")]
    path.write_text("".join(lines), encoding="utf-8")
    return TranslationSettings(text=(str(path),), **TINY)


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
    widths = [piece[0].shape[1] for piece in once]
    assert widths == sorted(widths)


def test_what_is_held_out_is_never_drawn(settings):
    corpus = TranslationTask(settings).corpus
    drawn = set(corpus.draw(2000, np.random.default_rng(0)))
    assert len(drawn) == 36 and drawn.isdisjoint(corpus.held_out["held out"])


def test_other_pairs_are_refused(tmp_path, settings):
    run = Run.start(tmp_path / "run", settings)
    with open(settings.text[0], "a", encoding="utf-8") as file:
        file.write("a\tb\n")
    with pytest.raises(ValueError, match="trained on another text: 40 pairs with .* this one has 41 pairs"):
        Run.resume(run.folder)
