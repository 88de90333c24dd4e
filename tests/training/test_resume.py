"""A resumed run is the uninterrupted run, bit for bit: wherever it stopped, and however."""

import json
import os
import random
import signal
import subprocess
import sys
import time

import pytest

from minitransformer import use_backend
from minitransformer.cli import main
from minitransformer.files import TEMPORARY
from minitransformer.training import checkpoint as checkpoints
from minitransformer.training.run import Evaluation, Run
from minitransformer.training.tasks import TextSettings

from .conftest import TINY, outcome, write_text


def stop_after(run, steps, save):
    """Train so many steps and drop everything, saved or not."""
    for event in run.train():
        if event.step == steps and not hasattr(event, "validation_loss"):
            if save:
                run.save()
            return


@pytest.mark.parametrize("save", [True, False], ids=["saved", "lost"])
@pytest.mark.parametrize("steps", [1, 3, 4, 6, 8])
def test_a_resumed_run_is_the_uninterrupted_one(tmp_path, settings, finished, steps, save):
    stop_after(Run.start(tmp_path / "run", settings), steps, save)
    run = Run.resume(tmp_path / "run")
    assert run.training.step == (steps if save else steps // 4 * 4)
    losses, *rest = outcome(run, run.train())
    assert losses == finished[0][-len(losses) :]
    assert rest == list(finished[1:])


def test_resuming_many_times_in_a_row(tmp_path, settings, finished):
    Run.start(tmp_path / "run", settings)
    for steps in range(1, 9):
        stop_after(Run.resume(tmp_path / "run"), steps, save=True)
    run = Run.resume(tmp_path / "run")
    _, *rest = outcome(run, run.train())
    assert rest == list(finished[1:])


def test_a_finished_run_has_nothing_left_to_do(tmp_path, settings, finished):
    run = Run.resume(tmp_path / "finished")
    assert list(run.train()) == []
    assert list(outcome(run)[1:]) == list(finished[1:])


@pytest.mark.parametrize("threads", [2, 3, 7])
def test_the_same_bits_for_any_number_of_threads(tmp_path, settings, finished, threads):
    run = Run.start(tmp_path / "run", settings)
    assert outcome(run, run.train(threads)) == finished


def test_the_seed_and_the_cut_into_pieces_matter(tmp_path, text, finished):
    """Were they ignored, the tests above would prove little."""
    for i, other in enumerate(({"seed": 4}, {"pieces": 2}, {"dropout": 0.0}, {"accumulate": 1})):
        run = Run.start(tmp_path / str(i), TextSettings(text=(str(text),), **{**TINY, **other}))
        assert outcome(run, run.train()) != finished


# ----------------------------------------------------------------------------------------------- killed for good

KILL = """
import json, os, signal, sys
import minitransformer.files as files
import minitransformer.training.checkpoint as checkpoints
import minitransformer.training.run as runs
from minitransformer.training.tasks import TextSettings

place, nth, folder, settings = sys.argv[1], int(sys.argv[2]), sys.argv[3], json.loads(sys.argv[4])

def killing(module, name):
    do, calls = getattr(module, name), [0]
    def wrapped(*args):
        calls[0] += 1
        if calls[0] == nth:
            if name == "write_synced":              # half of the file reaches the disk
                do(args[0], args[1][: len(args[1]) // 2])
            os.kill(os.getpid(), signal.SIGKILL)
        return do(*args)
    setattr(module, name, wrapped)

module, _, name = place.rpartition(":")
killing({"checkpoints": checkpoints, "runs": runs, "files.os": files.os}[module], name)
for event in runs.Run.start(folder, TextSettings(**settings)).train():
    pass
"""

PLACES = [
    ("checkpoints:write_synced", n) for n in (5, 6, 7, 8, 10)
]  # each file of the second checkpoint, one of the third
PLACES += [("checkpoints:publish_folder", 2), ("files.os:rename", 2)]
PLACES += [("checkpoints:remove_folder", 1), ("runs:save_checkpoint", 2), ("runs:mean_loss", 1)]


@pytest.mark.parametrize(("place", "nth"), PLACES, ids=[f"{place}-{n}" for place, n in PLACES])
def test_killed_in_the_middle_of_a_checkpoint(tmp_path, settings, finished, place, nth):
    folder = tmp_path / "run"
    asked = {**TINY, "text": settings.text}
    killed = subprocess.run([sys.executable, "-c", KILL, place, str(nth), str(folder), json.dumps(asked)])
    assert killed.returncode == -signal.SIGKILL
    run = Run.resume(folder)
    assert run.training.step in (0, 4, 8)
    _, *rest = outcome(run, run.train())
    assert rest == list(finished[1:])
    assert not list(folder.rglob(f"*{TEMPORARY}"))


@pytest.fixture(scope="module")
def long_run(tmp_path_factory):
    """What a run of 150 steps is asked for, and what it gives when nobody kills it."""
    folder = tmp_path_factory.mktemp("long")
    text = write_text(folder / "text.txt")
    asked = dict(TINY, steps=150, evaluate_every=3, text=(str(text),))
    use_backend("reference")
    whole = Run.start(folder / "whole", TextSettings(**asked))
    return asked, outcome(whole, whole.train())[1:]


@pytest.mark.parametrize("seed", range(3))
def test_killed_at_any_moment(tmp_path, long_run, seed):
    asked, expected = long_run
    folder = tmp_path / "run"
    child = subprocess.Popen([sys.executable, "-c", KILL, "runs:mean_loss", "0", str(folder), json.dumps(asked)])
    while not (folder / "config.json").exists():
        time.sleep(0.005)
    time.sleep(random.Random(seed).uniform(0, 0.5))
    child.kill()
    child.wait()
    run = Run.resume(folder)
    assert outcome(run, run.train())[1:] == expected


# ------------------------------------------------------------------------------------------- what is kept, and refused


def test_two_checkpoints_are_kept_and_the_newest_counts(tmp_path, settings, finished):
    folder = tmp_path / "finished" / "checkpoint"
    assert [path.name for path in checkpoints.complete_checkpoints(folder)] == ["step-00000008", "step-00000009"]
    assert checkpoints.find_checkpoint(tmp_path / "finished").name == "step-00000009"
    (folder / "step-00000009" / "tokenizer.json").unlink()
    assert checkpoints.find_checkpoint(folder).name == "step-00000008"
    run = Run.resume(tmp_path / "finished")
    _, *rest = outcome(run, run.train())
    assert rest == list(finished[1:])


def test_metrics_are_cut_back_to_the_checkpoint(tmp_path, settings, finished):
    metrics = tmp_path / "finished" / "metrics.jsonl"
    lines = metrics.read_text(encoding="utf-8").splitlines()
    late = json.dumps(json.loads(lines[0]) | {"step": 99})
    metrics.write_text("\n".join([*lines, late, '{"step": 1, "train']), encoding="utf-8")
    run = Run.resume(tmp_path / "finished")
    assert [record.step for record in run.records()] == [4, 8, 9]
    assert metrics.read_text(encoding="utf-8").splitlines() == lines


def test_another_text_is_refused_and_a_moved_one_is_not(tmp_path, settings, text, finished):
    moved = text.rename(tmp_path / "moved.txt")
    with pytest.raises(FileNotFoundError, match="text.txt"):
        Run.resume(tmp_path / "finished")
    assert Run.resume(tmp_path / "finished", [moved]).training.step == 9
    text.write_text(moved.read_text(encoding="utf-8") + "!", encoding="utf-8")
    with pytest.raises(ValueError, match="trained on another text: 648 characters .* this one has 649"):
        Run.resume(tmp_path / "finished")


@pytest.mark.parametrize(
    "damage, message",
    [
        ({"data": {}}, "config.json is not of a training run"),
        ({"data": {"size": 3}}, "config.json is not of a training run"),
        ({"data": [1]}, "config.json is not of a training run"),
        ({"data": {"sha256": 7, "size": None}}, "trained on another text: None with the hash 7…, this one has"),
        ({"machine": 3}, "config.json is not of a training run"),
        ({"machine": {"numpy": [[1]]}}, None),
    ],
)
def test_what_is_remembered_of_data_and_machine_may_be_damaged(damage, message, tmp_path, finished, capsys):
    path = tmp_path / "finished" / "checkpoint" / "step-00000009" / "config.json"
    path.write_text(json.dumps(json.loads(path.read_text(encoding="utf-8")) | damage), encoding="utf-8")
    assert main(["train", "--resume", str(tmp_path / "finished"), "--backend", "reference"]) == (message is not None)
    out, err = capsys.readouterr()
    assert message in err and err.count("\n") == 1 if message else "note: numpy was [1], is " in out


def test_another_machine_is_named(tmp_path, settings, finished, monkeypatch):
    assert Run.resume(tmp_path / "finished").differences == {}
    monkeypatch.setattr("minitransformer.training.run.np.__version__", "9.9")
    (changed,) = Run.resume(tmp_path / "finished").differences.items()
    assert changed[0] == "numpy" and changed[1][1] == "9.9"


def test_a_run_is_never_overwritten_unasked(tmp_path, settings, finished):
    (tmp_path / "finished" / "notes.txt").write_text("mine", encoding="utf-8")
    with pytest.raises(FileExistsError, match="already holds a run"):
        Run.start(tmp_path / "finished", settings)
    assert Run.resume(tmp_path / "finished").training.step == 9
    run = Run.start(tmp_path / "finished", settings, overwrite=True)
    assert run.training.step == 0 and run.records() == []
    assert (tmp_path / "finished" / "notes.txt").read_text(encoding="utf-8") == "mine"
    assert outcome(run, run.train()) == finished


def test_interrupted_by_the_signal(tmp_path, text):
    """Ctrl-C in the real command: it saves, says how to resume, and the resumed run is the uninterrupted one."""
    flags = [f"--{name.replace('_', '-')}={value}" for name, value in {**TINY, "steps": 3000}.items()]
    command = [sys.executable, "-m", "minitransformer", "train", "--text", str(text), "--out", "run", *flags]
    child = subprocess.Popen(command, cwd=tmp_path, stdout=subprocess.PIPE, stderr=subprocess.PIPE, encoding="utf-8")
    while not (tmp_path / "run" / "metrics.jsonl").exists():
        time.sleep(0.01)
    os.kill(child.pid, signal.SIGINT)
    out, err = child.communicate(timeout=60)
    assert child.returncode == 130, err
    assert "train --resume run" in out and "Traceback" not in err
    use_backend("cpu")  # as the command does
    run = Run.resume(tmp_path / "run")
    assert "backend" not in run.differences
    assert f"saved at step {run.training.step:,}" in out and 0 < run.training.step < 3000
    stop = run.training.step + 7
    stop_after(run, stop, save=False)
    whole = Run.start(tmp_path / "whole", TextSettings(text=(str(text),), **{**TINY, "steps": 3000}))
    stop_after(whole, stop, save=False)
    assert outcome(run)[1:] == outcome(whole)[1:]


# ------------------------------------------------------------------------------------- what belongs to somebody else


def test_files_of_others_are_never_taken_away(tmp_path, settings):
    other = tmp_path / "project" / "checkpoint" / "weights.bin"
    other.parent.mkdir(parents=True)
    other.write_text("precious", encoding="utf-8")
    with pytest.raises(FileExistsError, match="checkpoint"):
        Run.start(tmp_path / "project", settings)
    (tmp_path / "project" / ".notes.tmp").write_text("mine", encoding="utf-8")
    run = Run.start(tmp_path / "project", settings, overwrite=True)
    list(run.train())
    Run.resume(tmp_path / "project")
    assert other.read_text(encoding="utf-8") == "precious" and (tmp_path / "project" / ".notes.tmp").exists()


def test_an_older_checkpoint_is_not_resumed_past_a_newer_one(tmp_path, settings, finished):
    folder = tmp_path / "finished" / "checkpoint"
    with pytest.raises(ValueError, match="has a newer checkpoint, step-00000009"):
        Run.resume(folder / "step-00000008")
    (folder / "step-00000009").rename(tmp_path / "step-00000009")
    with pytest.raises(ValueError, match="outside of a run"):
        Run.resume(tmp_path / "step-00000009")
    run = Run.resume(folder / "step-00000008")
    _, *rest = outcome(run, run.train())
    assert run.folder == tmp_path / "finished" and rest == list(finished[1:])


def test_two_processes_do_not_train_in_one_folder(tmp_path, settings):
    run = Run.start(tmp_path / "run", settings)
    events = run.train()
    next(events)
    with pytest.raises(BlockingIOError, match="another process is training"):
        next(Run.resume(tmp_path / "run").train())
    events.close()
    assert len(list(Run.resume(tmp_path / "run").train())) > 0


@pytest.mark.parametrize("change", ["lost", "foreign", "shape", "step", "no losses"])
def test_moments_that_do_not_fit_are_refused(tmp_path, settings, finished, change):
    from safetensors.numpy import load, save

    newest = tmp_path / "finished" / "checkpoint" / "step-00000009"
    arrays = load((newest / "training.safetensors").read_bytes())
    if change == "lost":
        del arrays["v.norm.bias"]
    elif change == "foreign":
        arrays["x.foo"] = arrays["losses"]
    elif change == "shape":
        arrays["m.norm.bias"] = arrays["m.norm.bias"][:-1]
    elif change == "no losses":
        del arrays["losses"]
    else:
        config = json.loads((newest / "config.json").read_text(encoding="utf-8"))
        (newest / "config.json").write_text(json.dumps(config | {"step": "9"}), encoding="utf-8")
    (newest / "training.safetensors").write_bytes(save(arrays))
    with pytest.raises(ValueError, match="config.json" if change == "step" else "training.safetensors does not fit"):
        Run.resume(tmp_path / "finished")


def test_parameters_that_are_no_numbers_are_not_saved(tmp_path, settings):
    run = Run.start(tmp_path / "run", settings)
    events = run.train()
    while run.training.step < 5:
        next(events)
    run.training.p["norm"]["weight"][0] = float("nan")
    with pytest.raises(ValueError, match="step 5: norm.weight is no longer finite"):
        run.save()
    assert run.saved_step() == 4


def test_a_lost_description_is_written_again(tmp_path, settings, finished):
    path = tmp_path / "finished" / "config.json"
    before = path.read_bytes()
    path.unlink()
    Run.resume(tmp_path / "finished")
    assert path.read_bytes() == before


def test_a_run_that_is_going_on_is_not_overwritten(tmp_path, settings):
    """Nor are its records cut by somebody who asks to resume it: both are refused before they touch anything."""
    run = Run.start(tmp_path / "run", settings)
    events = run.train()
    while not isinstance(next(events), Evaluation):
        pass
    before = contents(tmp_path / "run")
    flags = [f"--{name.replace('_', '-')}={value}" for name, value in TINY.items()]
    for words in (["--out", "run", "--overwrite", "--text", settings.text[0], *flags], ["--resume", "run"]):
        command = [sys.executable, "-m", "minitransformer", "train", *words]
        child = subprocess.run(command, cwd=tmp_path, capture_output=True, encoding="utf-8")
        assert child.returncode == 1 and "another process is training" in child.stderr, child.stderr
    assert contents(tmp_path / "run") == before
    events.close()


def contents(folder):
    return {path.relative_to(folder): path.read_bytes() for path in folder.rglob("*") if path.is_file()}
