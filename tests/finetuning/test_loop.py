"""The loop: accumulation, threads, rates, frozen parts, what is held out, which epoch is kept."""

import json
from dataclasses import replace

import numpy as np
import pytest

from minitransformer.data.labelled_texts import read_labelled_texts
from minitransformer.finetuning.layer_decay import layer_decay
from minitransformer.finetuning.loop import Epoch, Finetuning, Keeper, Settings, Step, hold_out, n_trained, parted
from minitransformer.finetuning.tasks import TASKS
from minitransformer.gradcheck import Draw
from minitransformer.models import GPT2, TextClassifier
from minitransformer.tokenizers import CharTokenizer
from minitransformer.training.loop import Diverged
from minitransformer.training.optimizer import AdamW
from minitransformer.trees import leaves, tree_map

from ..arrays import same_bits
from .made import BODY, TOKENIZER, opinions

DROPPING = replace(BODY, dropout_rate=0.2, attention_dropout_rate=0.1)
STILL = replace(BODY, attention_dropout_rate=0.0)


@pytest.fixture
def examples(tmp_path, rng):
    return read_labelled_texts(opinions(tmp_path / "data.tsv", 23, rng))


def begin(examples, body=STILL, dtype=np.float64, freeze=(), **settings):
    """A fine-tuning whose start and data are the same every time."""
    rng, model = np.random.default_rng(5), TextClassifier(body, 2)
    p = Draw(rng).perturbed(model.init(rng, dtype))
    p = tree_map(lambda leaf: leaf.astype(dtype), p)
    task = TASKS["classify"](TOKENIZER, 24, ["bad", "good"])
    settings = {"epochs": 2, "batch": 6, "pieces": 2, "learning_rate": 1e-3} | settings
    return Finetuning(task, model, p, examples[:19], examples[19:], Settings(**settings), freeze)


def finished(finetuning, threads=1):
    events = list(finetuning.train(threads))
    return finetuning.training.p, events


def test_every_epoch_goes_through_all_rows_once_in_another_order(examples):
    finetuning = begin(examples)
    ids = {id(row): i for i, row in enumerate(finetuning.rows)}
    orders = [[ids[id(row)] for rows in finetuning.batches(epoch) for row in rows] for epoch in (1, 2, 1)]
    assert sorted(orders[0]) == sorted(orders[1]) == list(range(19))
    assert orders[0] == orders[2] != orders[1] and orders[0] != list(range(19))
    assert [len(rows) for rows in finetuning.batches(1)] == [6, 6, 6, 1]
    assert finetuning.steps == 8 and begin(examples, accumulate=2).steps == 4


@pytest.mark.parametrize("batch, accumulate, pieces", [(6, 2, 2), (4, 3, 1), (3, 4, 3), (1, 12, 1)])
def test_accumulated_batches_are_one_large_batch(batch, accumulate, pieces, examples):
    """Up to rounding, and although the pieces are padded to other lengths."""
    large, events = finished(begin(examples, batch=12, pieces=1))
    small, others = finished(begin(examples, batch=batch, accumulate=accumulate, pieces=pieces))
    losses = [[event.loss for event in each if isinstance(event, Step)] for each in (events, others)]
    assert len(losses[0]) == 4
    np.testing.assert_allclose(losses[1], losses[0], rtol=1e-12)
    for (path, a), (_, b) in zip(leaves(small), leaves(large), strict=True):
        np.testing.assert_allclose(a, b, rtol=1e-8, atol=1e-11, err_msg=path)


def test_the_same_bits_on_any_number_of_threads(examples):
    found = [finished(begin(examples, DROPPING, np.float32), threads)[0] for threads in (1, 2, 3)]
    assert same_bits(found[0], found[1]) and same_bits(found[0], found[2])
    other, _ = finished(begin(examples, DROPPING, np.float32, seed=1))
    assert not same_bits(found[0], other)


def test_dropout_is_drawn_anew_for_every_piece_and_step(examples, monkeypatch):
    finetuning, keys = begin(examples, DROPPING), []
    call = type(finetuning.loss).__call__

    def seen(self, p, *batch, key=None):
        keys.append(key and key.spawn_key)
        return call(self, p, *batch, key=key)

    monkeypatch.setattr(type(finetuning.loss), "__call__", seen)
    finished(finetuning)
    drawn = [key for key in keys if key is not None]
    assert len(drawn) == len(set(drawn)) == 2 * (3 * 2 + 1) and keys.count(None) == 2 * 2  # held out: no dropout


def test_the_rate_rises_and_falls_and_no_step_is_without(examples, monkeypatch):
    rates, step = [], AdamW.step
    monkeypatch.setattr(AdamW, "step", lambda self, p, g, rate, factor: (rates.append(rate), step(self, p, g, rate)))
    finished(begin(examples, batch=2, epochs=1, warmup=0.3, learning_rate=7.0))
    np.testing.assert_allclose(rates, 7 * np.array([1 / 3, 2 / 3, 1, *(np.arange(7, 0, -1) / 8)]))


def test_frozen_parts_keep_their_bits_and_others_move(examples):
    names = ["token", "position", "type", "norm", "layers.0"]
    for freeze, height in ((names, 1), (["layers.1", "type"], 0), ([*names, "layers.1"], 2)):
        finetuning = begin(examples, DROPPING, freeze=freeze, weight_decay=0.3)
        before = dict(leaves(tree_map(np.copy, finetuning.training.p)))
        p, _ = finished(finetuning)
        assert finetuning.model.body.frozen == height
        still = {path for path, leaf in leaves(p) if leaf.tobytes() == before[path].tobytes()}
        parts = tuple(f"body.{name}." for name in freeze)
        assert still == {path for path in before if path.startswith(parts)}
        assert finetuning.training.optimizer.m.keys() == before.keys() - still
        whole, trained = n_trained(finetuning)
        assert whole - trained == sum(before[path].size for path in still) and whole > trained > 0


def test_what_is_frozen_does_not_count_for_clipping(examples):
    """Dropped before the length is taken: the same steps whether it is computed and dropped, or not at all."""
    freeze = ["token", "position", "type", "norm", "layers.0"]
    found = begin(examples, freeze=freeze, clip=0.01)
    other = begin(examples, freeze=freeze, clip=0.01)
    other.model = replace(other.model, body=STILL)
    other.loss.loss = other.task.loss(other.model)  # computes all gradients, and drops those
    assert same_bits(finished(found)[0], finished(other)[0])


# -------------------------------------------------------------------------------------------------------- layer decay


def test_rates_by_layer():
    rate = layer_decay(TextClassifier(BODY, 2), 0.5)
    expected = {"classifier.weight": 1, "pooler.bias": 1, "body.layers.1.norm1.weight": 0.5}
    expected |= {"body.layers.0.attention.q.weight": 0.25}
    expected |= {f"body.{part}.weight": 0.125 for part in ("token", "position", "type", "norm")}
    assert {path: rate(path) for path in expected} == expected
    rate = layer_decay(GPT2(n_layers=12), 0.5)
    expected = {"norm.weight": 1, "layers.11.norm1.bias": 0.5, "layers.1.norm1.bias": 0.5**11}
    expected |= {"layers.10.norm1.bias": 0.25, "token.weight": 0.5**13, "position.weight": 0.5**13}
    assert {path: rate(path) for path in expected} == expected
    for factor in (0.0, -1.0, 1.5):
        with pytest.raises(ValueError, match="above 0 and at most 1"):
            layer_decay(GPT2(), factor)


def test_lower_layers_move_less(examples):
    """The first step of Adam is the rate of each parameter, whatever its gradient."""
    finetuning = begin(examples, epochs=1, batch=19, layer_decay=0.5, weight_decay=0.0)
    before = dict(leaves(tree_map(np.copy, finetuning.training.p)))
    p, _ = finished(finetuning)
    moved = {path: np.abs(leaf - before[path]).max() / 1e-3 for path, leaf in leaves(p)}
    assert moved["classifier.weight"] == pytest.approx(1, rel=1e-3)
    assert moved["body.layers.1.feed_forward.up.weight"] == pytest.approx(0.5, rel=1e-3)
    assert moved["body.layers.0.feed_forward.up.weight"] == pytest.approx(0.25, rel=1e-3)
    assert moved["body.token.weight"] == pytest.approx(0.125, rel=1e-3)


# ----------------------------------------------------------------------------------------- held out, kept, and broken


def test_a_share_is_held_out_by_the_seed():
    examples = list(range(40))
    learnt, heldout = hold_out(examples, 0.1, 3, str)
    assert len(heldout) == 4 and sorted(learnt + heldout) == examples
    assert hold_out(examples, 0.1, 3, str) == (learnt, heldout) != hold_out(examples, 0.1, 4, str)
    assert hold_out(examples, 0.1, 3) == (examples[:36], examples[36:])
    assert len(hold_out([1, 2], 0.01, 0)[1]) == 1
    for few, share in ((1, 0.1), (3, 0.9)):
        with pytest.raises(ValueError, match=f"of {few} example"):
            hold_out(examples[:few], share, 0)


@pytest.mark.parametrize("size", [1, 2, 5])
def test_a_group_is_never_parted(size):
    examples = list(range(60))
    for seed in range(5):
        learnt, heldout = hold_out(examples, 0.1, seed, lambda example: example // size)
        assert sorted(learnt + heldout) == examples and len(heldout) == 6 // size * size
        assert not {example // size for example in learnt} & {example // size for example in heldout}
    assert hold_out(examples, 0.1, 0, lambda example: min(example, 9) // 9)[1] == examples[:9]  # of 9 and 51
    with pytest.raises(ValueError, match="all 60 examples have one text"):
        hold_out(examples, 0.1, 0, lambda example: "the same")


@pytest.mark.parametrize("task", TASKS)
def test_no_text_is_both_learnt_and_held_out(task, tmp_path):
    """Whatever is said about it, and however often; and of one long text, the end is held out."""
    squad = {"question": "who?", "answer": "ada", "begin": 0}
    lines = {
        "classify": [f"{'good' if n % 3 else 'bad'}\tthe cat {n // 4}" for n in range(40)],
        "tag": [f"cat{n // 4} {'X' if n % 3 else 'Y'}\n" for n in range(40)],
        "answer": [json.dumps(squad | {"text": f"ada {n // 4}"}) for n in range(40)],
        "lm": ["the cat saw the dog"] * 40,
    }[task]
    path = tmp_path / f"data{'.jsonl' if task == 'answer' else ''}"
    path.write_text("\n".join(lines), encoding="utf-8")
    examples = TASKS[task].read(path, CharTokenizer("\nacdeghostw "), 8)
    learnt, heldout = hold_out(examples, 0.2, 1, TASKS[task].group)
    if task == "lm":
        assert len(heldout) == round(0.2 * len(examples)) and heldout == examples[-len(heldout) :]
    else:
        texts = [{TASKS[task].group(example) for example in part} for part in (learnt, heldout)]
        assert [len(part) for part in texts] == [8, 2] and not texts[0] & texts[1]


def test_parts_of_nearly_equal_size():
    assert parted(list("abcdefg"), 3) == [["a", "b"], ["c", "d"], ["e", "f", "g"]]
    assert parted(["a", "b"], 5) == [["a"], ["b"]]


def test_nothing_is_learnt_from_what_is_held_out(examples):
    """Neither does it change what is learnt, nor is its loss among those of training."""
    first, second = begin(examples), begin([*examples[:19], examples[0]])
    (p, events), (other, _) = finished(first), finished(second)
    assert same_bits(p, other)
    last = events[-1]
    losses = [event.loss for event in events if isinstance(event, Step)]
    assert last.training_loss == pytest.approx(np.mean(losses[4:]), rel=1e-12) and last.step == 8
    whole = [first.task.batch(first.heldout_rows)]
    assert last.heldout_loss == pytest.approx(float(first.loss(p, *whole[0])[0]), rel=1e-12)


@pytest.mark.parametrize("more_is_better", [True, False])
def test_the_best_epoch_or_the_last(more_is_better):
    class Task:
        best = ("score", more_is_better)

    values = [0.2, 0.9, 0.9, 0.1]
    for best, expected in ((False, 4), (True, 2 if more_is_better else 4)):
        keeper, p = Keeper(Task, best), {"w": np.zeros(2)}
        for number, value in enumerate(values, 1):
            p["w"][...] = number
            keeper.see(Epoch(number, number, 0.0, 0.0, {"score": value}, 0.0), p)
        p["w"][...] = 4
        assert keeper.epoch.epoch == expected and keeper.p["w"].tolist() == [expected] * 2


def test_a_loss_that_is_no_number(examples):
    finetuning = begin(examples)
    finetuning.training.p["classifier"]["bias"][0] = np.nan
    with pytest.raises(Diverged, match="step 1: the loss is nan"):
        finished(finetuning)


@pytest.mark.parametrize("setting", [{"epochs": 0}, {"batch": 0}, {"learning_rate": 0}, {"heldout_share": 1.0}])
def test_settings_that_make_no_sense(setting):
    with pytest.raises(ValueError, match=f"{next(iter(setting))} must be"):
        Settings(**setting)
