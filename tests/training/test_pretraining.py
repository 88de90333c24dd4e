"""The task of filling gaps: batches from the key, masks that stay or not, a run that goes on bit for bit."""

import numpy as np
import pytest

from minitransformer.data.pairs import IGNORED
from minitransformer.models import BERT, MaskedLanguageModel, PreTraining
from minitransformer.training.losses import masked_token_loss, pretraining_loss
from minitransformer.training.parallel import cut, mean_loss, value_and_gradient
from minitransformer.training.run import Run
from minitransformer.training.tasks import PretrainingSettings, PretrainingTask, pretraining
from minitransformer.trees import leaves, tree_map

from .conftest import outcome
from .test_resume import stop_after

TINY = dict(layers=1, heads=2, width=8, context=16, vocab_size=300, batch=7, pieces=3, dropout=0.1, duplicates=2)
TINY |= dict(steps=5, warmup=2, evaluate_every=2)
MODELS = ("bert", "roberta")
every_model = pytest.mark.parametrize("model", MODELS)


@pytest.fixture
def text(tmp_path):
    """Thirty documents of six sentences about one thing each."""
    path = tmp_path / "text.txt"
    things = [
        f"{a}{b}"
        for a in ("red", "blue", "old", "new", "small")
        for b in ("cat", "dog", "hats", "mice", "suns", "moon")
    ]
    documents = [
        "\n".join(f"the {thing} {verb} the {thing}." for verb in "sees knows likes has is wants".split())
        for thing in things
    ]
    path.write_text("\n\n".join(documents), encoding="utf-8")
    return path


def settings_of(text, **more):
    return PretrainingSettings(text=(str(text),), **TINY | more)


# -------------------------------------------------------------------------------------------------- a loss of two terms


MODEL = PreTraining(BERT(13, 7, 2, 2, 2, 6, 10, dropout_rate=0.0, attention_dropout_rate=0.0))


def batch(rng):
    """Unequal numbers of targets, one row with none."""
    ids, types = rng.integers(0, 13, (5, 7)), rng.integers(0, 2, (5, 7))
    mask = (np.arange(7) < rng.integers(3, 8, 5)[:, None])[:, None, None]
    targets = np.where(rng.random((5, 7)) < np.linspace(0, 0.9, 5)[:, None], rng.integers(0, 13, (5, 7)), IGNORED)
    return ids, types, mask, targets, rng.integers(0, 2, 5)


@pytest.mark.parametrize("n", [1, 2, 3, 5])
def test_pieces_give_both_means_of_the_whole(n, rng):
    """Masked tokens lie unevenly in the pieces, pairs nearly evenly: each mean is taken over its own."""
    p, loss = tree_map(lambda w: w + rng.normal(0, 0.3, w.shape), MODEL.init(rng, np.float64)), pretraining_loss(MODEL)
    whole = batch(rng)
    (masked, pairs), saved = loss(p, *whole)
    expected = loss.backward(1.0, 1.0, saved)
    value, g = value_and_gradient(loss, p, cut(whole, n))
    assert value == pytest.approx(masked + pairs, rel=1e-13)
    assert mean_loss(loss, p, cut(whole, n)) == pytest.approx(masked + pairs, rel=1e-13)
    gmax = max(np.abs(leaf).max() for _, leaf in leaves(expected))
    for (path, a), (_, b) in zip(leaves(g), leaves(expected), strict=True):
        assert np.abs(a - b).max() <= 1e-13 * gmax, path


def test_one_weight_for_both_would_be_another_loss(rng):
    """The bug that the two counts are there for, so the test above can fail."""
    p, loss, whole = MODEL.init(rng, np.float64), pretraining_loss(MODEL), batch(rng)
    p = tree_map(lambda w: w + rng.normal(0, 1, w.shape), p)
    pieces = cut(whole, 3)
    counts = np.array([loss.count(*piece)[0] for piece in pieces])
    wrong = sum(count * sum(loss(p, *piece)[0]) for count, piece in zip(counts, pieces)) / counts.sum()
    assert abs(wrong - sum(loss(p, *whole)[0])) > 1e-3


@pytest.mark.parametrize("backend", ["reference", "cpu"])
def test_where_nothing_is_asked(backend, rng):
    """No masked token at all: their loss is 0 and pairs are learnt from alone."""
    from minitransformer import use_backend

    use_backend(backend)
    p, (ids, types, mask, targets, origins) = MODEL.init(rng), batch(rng)
    targets[:] = IGNORED
    (masked, pairs), saved = (loss := pretraining_loss(MODEL))(p, ids, types, mask, targets, origins)
    g = loss.backward(1.0, 1.0, saved)
    assert masked == 0 < pairs and not g["transform"]["weight"].any() and g["next"]["weight"].any()
    alone = masked_token_loss(MODEL.masked)
    value, saved = alone(p, ids, types, mask, targets)
    assert value == 0 and not any(leaf.any() for _, leaf in leaves(alone.backward(1.0, saved)))


# ---------------------------------------------------------------------------------------------------------- the task


@every_model
def test_batches_follow_from_the_key(model, text):
    task, again = (PretrainingTask(settings_of(text, model=model)) for _ in range(2))
    key = np.random.SeedSequence(3)
    first, same, others = task.pieces(key, 0), again.pieces(key, 0), task.pieces(key, 1)
    assert len(first) == 3 and sum(len(piece[0]) for piece in first) == 7
    for a, b in zip(first, same, strict=True):
        assert all((x == y).all() for x, y in zip(a, b, strict=True))
    assert any(a[0].shape != b[0].shape or (a[0] != b[0]).any() for a, b in zip(first, others))
    assert len(first[0]) == len(MODELS) - MODELS.index(model) + 3  # BERT is also told where the second text is from


@every_model
@pytest.mark.parametrize("masking", ["static", "dynamic", "published"])
def test_static_masks_stay_and_dynamic_ones_do_not(model, masking, text):
    """Of 400 rows, drawn from far fewer: with two duplicates a row is masked in two ways, or anew whenever it comes."""
    task = PretrainingTask(settings_of(text, model=model, masking=masking, batch=400, pieces=1))
    ids, _, _, targets, *_ = task.pieces(np.random.SeedSequence(3), 0)[0]
    rows, seen = np.where(targets == IGNORED, ids, targets), {}  # as they were before
    for row, *masked in zip(rows, ids, targets):
        seen.setdefault(row.tobytes(), set()).add(tuple(part.tobytes() for part in masked))
    assert task.static == (masking == "static" or masking == "published" and model == "bert")
    assert len(seen) < 300
    ways = [len(each) for each in seen.values()]
    assert max(ways) <= 2 if task.static else sum(ways) > 380


def test_with_seed_0_too_what_is_held_out_has_keys_of_its_own(text, monkeypatch):
    """Its masks are drawn from the same keys in every run, and no row that is learnt from has one of them."""
    keys, mask = [], pretraining.masked

    def noted(ids, vocabulary, key, **more):
        keys.append(key)
        return mask(ids, vocabulary, key, **more)

    monkeypatch.setattr(pretraining, "masked", noted)
    task = PretrainingTask(settings_of(text, seed=0))
    held_out, learnt = keys, [task.static_key(number) for number in range(len(task.learn.rows))]
    assert held_out and learnt
    states = [{tuple(key.generate_state(4)) for key in side} for side in (held_out, learnt)]
    assert not states[0] & states[1]


@every_model
def test_nothing_held_out_is_learnt_from(model, text):
    task = PretrainingTask(settings_of(text, model=model))
    words = [set(task.tokenizer.decode(part.ids).split()) for part in (task.learn, task.held_out)]
    things = [{word for word in each if any(c in word for c in ("cat", "dog", "hats"))} for each in words]
    assert things[1] and not things[0] & things[1]
    again = PretrainingTask(settings_of(text, model=model, seed=5))
    for a, b in zip(task.validation, again.validation, strict=True):  # whatever the seed
        assert all((x == y).all() for x, y in zip(a, b, strict=True))


def test_scores_are_what_they_say(text):
    task = PretrainingTask(settings_of(text))
    p = task.model.init(np.random.default_rng(0))
    scores = task.scores(p, map)
    right = asked = follows = pairs = 0
    for ids, types, mask, targets, origins in task.validation:
        (said, next_said), _ = task.model.forward(p, ids, types=types, mask=mask)
        counted = targets != IGNORED
        right, asked = right + (said.argmax(-1) == targets)[counted].sum(), asked + counted.sum()
        follows, pairs = follows + (next_said.argmax(-1) == origins).sum(), pairs + len(origins)
    assert scores["masked_accuracy"] == round(right / asked, 5) and scores["next_sentence_accuracy"] == round(
        follows / pairs, 5
    )
    masked = mean_loss(
        masked_token_loss(MaskedLanguageModel(task.model.body)), p, [each[:4] for each in task.validation]
    )
    assert scores["masked_loss"] == pytest.approx(masked, abs=1e-5)
    asked = [each[3] != IGNORED for each in task.validation]
    read, told = (np.concatenate([each[i][at] for each, at in zip(task.validation, asked)]) for i in (0, 3))
    most = np.bincount(task.learn.ids).argmax()
    right = sum(b == (most if a == task.tokenizer.mask else a) for a, b in zip(read, told))
    share = round(float(right / len(told)), 5)
    assert task.baseline["masked_accuracy"] == share and task.baseline["token"] == task.tokenizer.text(most)
    assert repr(task.tokenizer.text(most)) in task.notes[0] and f"a masked accuracy of {share}," in task.notes[0]


@every_model
@pytest.mark.parametrize("steps, save", [(1, True), (3, False)])
def test_a_resumed_run_is_the_uninterrupted_one(model, steps, save, tmp_path, text):
    settings = settings_of(text, model=model, accumulate=2)
    whole = Run.start(tmp_path / "whole", settings)
    expected = outcome(whole, whole.train())
    stop_after(Run.start(tmp_path / "run", settings), steps, save)
    run = Run.resume(tmp_path / "run")
    assert run.training.step == (steps if save else 2) and run.model == whole.model
    losses, *rest = outcome(run, run.train(threads=2))
    assert losses == expected[0][-len(losses) :] and rest == list(expected[1:])
    other = Run.start(tmp_path / "other", settings_of(text, model=model, accumulate=2, seed=1))
    assert outcome(other, other.train())[1:] != expected[1:]


@every_model
def test_it_learns(model, tmp_path):
    """A document says one word again and again: whoever looks around fills every gap, and knows what follows."""
    words = ["cat", "dog", "hat", "sun", "tree", "moon"]
    path = tmp_path / "text.txt"
    path.write_text("\n\n".join("\n".join([" ".join([words[i % 6]] * 4)] * 6) for i in range(150)), encoding="utf-8")
    more = dict(steps=210, evaluate_every=70, warmup=10, dropout=0.0, learning_rate=1e-2, batch=24, width=24)
    run = Run.start(tmp_path / "run", settings_of(path, model=model, pieces=1, **more))
    list(run.train())
    (first, *_, last), guess = [record.scores for record in run.records()], run.task.baseline["masked_accuracy"]
    assert guess < 0.3 and last["masked_accuracy"] > 0.9 and last["masked_accuracy"] >= first["masked_accuracy"]
    assert model == "roberta" or last["next_sentence_accuracy"] > 0.75
    assert run.records()[-1].validation_loss < run.records()[0].validation_loss


def test_a_sample_hides_one_word(text):
    task = PretrainingTask(settings_of(text))
    p = task.model.init(np.random.default_rng(0))
    lines = task.sample(p, 3).splitlines()
    assert len(lines) == 4 and task.sample(p, 3).splitlines() == lines
    for line in lines:
        sentence, word = line.partition("  →  ")[0], line.rpartition("(was: ")[2][:-1]
        assert sentence.count("[MASK]") == 1 and sentence.replace("[MASK]", word) in task.sentences


@pytest.mark.parametrize(
    "more, message",
    [
        ({"model": "gpt"}, "unknown model 'gpt'; there are: bert, roberta"),
        ({"documents": "words"}, "unknown documents 'words'; there are: blank, file"),
        ({"masking": "some"}, "unknown masking 'some'; there are: published, static, dynamic"),
        ({"context": 7}, "context must be at least 8, not 7"),
        ({"whole_word": 1}, "whole_word must be of type bool, not 1"),
    ],
)
def test_settings_out_of_range(more, message, text):
    with pytest.raises(ValueError, match=message):
        settings_of(text, **more)
