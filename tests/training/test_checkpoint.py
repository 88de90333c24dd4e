"""Checkpoints that cannot be written, and checkpoints that cannot be read: each says so, and nothing is lost."""

import errno
import json
import os
from copy import deepcopy
from dataclasses import replace
from functools import reduce

import numpy as np
import pytest

from minitransformer.convention import THINGS
from minitransformer.files import TEMPORARY, to_json
from minitransformer.gradcheck import Draw, draw_cases
from minitransformer.ops import gelu
from minitransformer.tokenizers import CharTokenizer
from minitransformer.training import checkpoint as checkpoints
from minitransformer.training.checkpoint import (
    FILES,
    described,
    load_checkpoint,
    load_model,
    model_of,
    save_checkpoint,
    vocab_size_of,
)
from minitransformer.training.loop import Diverged
from minitransformer.training.run import Run
from minitransformer.training.tasks import TextSettings

from .conftest import TINY, outcome


def test_a_checkpoint_gives_back_what_was_saved(tmp_path, settings, finished):
    run = Run.resume(tmp_path / "finished")
    model, p, tokenizer = load_model(tmp_path / "finished")
    assert model == run.model
    assert tokenizer.decode(tokenizer.encode("the lazy dog")) == "the lazy dog"
    assert p["token"]["weight"].tobytes() == finished[2]["token.weight"]
    newest = tmp_path / "finished" / "checkpoint" / "step-00000009"
    assert load_model(newest)[0] == load_model(newest.parent)[0] == model
    assert sorted(path.name for path in newest.iterdir()) == sorted(FILES)


@pytest.mark.parametrize("why", [errno.ENOSPC, errno.EROFS, errno.EACCES], ids=errno.errorcode.get)
@pytest.mark.parametrize("nth", [1, 2, 3, 4])
def test_a_full_disk_or_a_read_only_folder_while_saving(tmp_path, settings, finished, monkeypatch, nth, why):
    run = Run.start(tmp_path / "run", settings)
    events = run.train()
    while run.training.step < 6:
        next(events)
    write, calls = checkpoints.write_synced, []

    def full(path, data):
        calls.append(path)
        if len(calls) == nth:
            write(path, data[: len(data) // 2])
            raise OSError(why, os.strerror(why), str(path))
        write(path, data)

    monkeypatch.setattr(checkpoints, "write_synced", full)
    message = f"could not save the checkpoint of step 8: {os.strerror(why)}; .* step-00000004 is whole"
    with pytest.raises(OSError, match=message):
        list(events)
    assert not list((tmp_path / "run").rglob(f"*{TEMPORARY}"))
    monkeypatch.undo()
    run = Run.resume(tmp_path / "run")
    _, *rest = outcome(run, run.train())
    assert rest == list(finished[1:])


def test_a_folder_that_cannot_be_written(tmp_path, settings):
    (tmp_path / "run").write_text("a file, where a folder should be", encoding="utf-8")
    with pytest.raises(OSError):
        Run.start(tmp_path / "run", settings)
    assert (tmp_path / "run").read_text(encoding="utf-8").startswith("a file")


@pytest.mark.parametrize("name", FILES)
@pytest.mark.parametrize("damage", ["truncated", "empty", "foreign"])
def test_a_damaged_file_is_named(tmp_path, settings, finished, name, damage):
    path = tmp_path / "finished" / "checkpoint" / "step-00000009" / name
    data = path.read_bytes()
    path.write_bytes({"truncated": data[: len(data) * 2 // 3], "empty": b"", "foreign": b'{"a": [1, 2]}'}[damage])
    with pytest.raises(ValueError, match=name):
        load_checkpoint(tmp_path / "finished")


def test_a_checkpoint_of_another_configuration(tmp_path, settings, finished):
    path = tmp_path / "finished" / "checkpoint" / "step-00000009" / "config.json"
    config = json.loads(path.read_text(encoding="utf-8"))

    def refused(message, **changes):
        path.write_text(json.dumps({**config, **changes}), encoding="utf-8")
        with pytest.raises(ValueError, match=message):
            load_checkpoint(tmp_path / "finished")

    gpt2 = config["configuration"]
    refused("does not fit its configuration: .*has shape", configuration=gpt2 | {"d_model": 10})
    refused("does not fit its configuration: missing: layers.1", configuration=gpt2 | {"n_layers": 2})
    refused("does not configure a GPT2", configuration=gpt2 | {"wings": 2})
    refused("n_heads=3 does not divide d_model=8", configuration=gpt2 | {"n_heads": 3})
    refused("ULMFiT: body is 3, expected an AWDLSTM", model="ULMFiT", configuration={"body": 3})
    refused("names the model 'linear'; there are: .*GPT2", model="linear")
    refused("is not of a minitransformer checkpoint 1", format="something else")


def test_no_checkpoint_at_all(tmp_path):
    with pytest.raises(ValueError, match="nowhere is not a folder"):
        load_checkpoint(tmp_path / "nowhere")
    with pytest.raises(ValueError, match="holds no complete checkpoint"):
        load_checkpoint(tmp_path)


def test_a_loss_that_is_no_number_stops_training_and_spares_the_checkpoint(tmp_path, text):
    run = Run.start(tmp_path / "run", TextSettings(text=(str(text),), **{**TINY, "steps": 40, "warmup": 0}))
    events = run.train()
    while run.training.step < 6:
        next(events)
    good = run.training.p["norm"]["weight"].copy()
    run.training.p["norm"]["weight"][0] = np.nan
    with pytest.raises(Diverged, match="step 7: the loss is nan"):
        list(events)
    assert run.saved_step() == 4 and run.training.step == 6
    assert np.array_equal(run.training.p["norm"]["weight"][1:], good[1:])
    assert np.isfinite(load_model(tmp_path / "run")[1]["norm"]["weight"]).all()


def test_the_model_is_not_trained_into_infinity(tmp_path, text):
    with pytest.raises(Diverged, match=r"step \d+: the (loss is|validation loss is)"):
        list(Run.start(tmp_path / "run", TextSettings(text=(str(text),), **{**TINY, "learning_rate": 1e30})).train())


def test_settings_out_of_range(text):
    low = dict(layers=0, heads=0, batch=0, steps=0, accumulate=0, seed=-1, warmup=-1, dropout=-0.1)
    for name, value in low.items():
        with pytest.raises(ValueError, match=f"{name} must be at least"):
            TextSettings(**{name: value})
    for name in ("learning_rate", "clip"):
        with pytest.raises(ValueError, match=f"{name} must be above 0"):
            TextSettings(**{name: 0.0})
    with pytest.raises(ValueError, match="beta2 must be below 1"):
        TextSettings(beta2=1.0)
    with pytest.raises(ValueError, match="unknown tokenizer 'words'; there are: "):
        TextSettings(tokenizer="words")
    with pytest.raises(ValueError, match="learning_rate must be above 0, not nan"):
        TextSettings(learning_rate=float("nan"))


def test_text_that_does_not_do(tmp_path):
    def refused(data, message, **settings):
        (tmp_path / "text").write_bytes(data)
        with pytest.raises(ValueError, match=message):
            Run.start(tmp_path / "run", TextSettings(text=(str(tmp_path / "text"),), **{**TINY, **settings}))
        assert not (tmp_path / "run").exists()

    refused(b"", "text is empty")
    refused(b"abc\xff", "text is not UTF-8: byte 3 is 0xff")
    refused(b"abc def " * 9, "the held-out tenth of the text has 7 tokens, too short for one context of 8")
    refused(b"abc def " * 20, "n_heads=3 does not divide d_model=8", heads=3)


def models():
    """One of every registered model, as the gradient checks have it, and one whose activation is another."""
    found = {}
    for name in (name for name, thing in THINGS.items() if thing.kind == "model"):
        case, *_ = draw_cases(name, Draw(np.random.default_rng(0)))
        found[name] = case.forward.__self__
    return found | {"ELMo, gelu": replace(found["ELMo"], activation=gelu)}


@pytest.mark.parametrize("model", (models_there := models()).values(), ids=models_there)
def test_every_model_can_be_described(model):
    """As JSON keeps it, with the operations and the tuples among its fields."""
    assert model_of(json.loads(to_json(described(model))), "config.json") == model


def sizes(found, *path):
    """The paths of all whole numbers in a configuration."""
    for name, value in found.items():
        if isinstance(value, dict):
            yield from sizes(value, *path, name)
        elif type(value) is int:
            yield (*path, name)


@pytest.mark.parametrize("n", [10**6, 10**9, 10**11, 10**30])
@pytest.mark.parametrize("name", models_there)
def test_a_configuration_far_too_large_costs_neither_memory_nor_time(name, n, tmp_path, monkeypatch):
    """It is held to the numbers that are there, and nothing is drawn for it."""
    model = models_there[name]
    p, characters = model.init(np.random.default_rng(0)), "".join(map(chr, range(97, 97 + vocab_size_of(model))))
    monkeypatch.setattr(np.random, "default_rng", None)
    folder = save_checkpoint(tmp_path, 1, model, p, CharTokenizer(characters), {}, {})
    assert load_checkpoint(folder).model == model
    config = json.loads((folder / "config.json").read_text(encoding="utf-8"))
    paths = [path for path in sizes(config["configuration"]) if path != ("context_length",) or name != "LLaMA"]
    assert len(paths) >= 4
    for *path, last in paths:
        changed = deepcopy(config)
        reduce(dict.__getitem__, path, changed["configuration"])[last] = n
        (folder / "config.json").write_text(json.dumps(changed), encoding="utf-8")
        with pytest.raises(
            ValueError, match="of more than ten times the|does not divide|from 0 to n_layers|is no id of"
        ):
            load_checkpoint(folder)


def test_an_operation_that_there_is_not():
    found = described(models_there["ELMo"])
    for name in ("swoosh", "GPT2", None):
        found["configuration"]["activation"] = {"op": name}
        with pytest.raises(ValueError, match=f"config.json names the operation {name!r}, which there is not"):
            model_of(found, "config.json")
