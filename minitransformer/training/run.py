"""A training run and its folder, whatever the task: from settings to checkpoints, interrupted and resumed at will.

    FOLDER/config.json      what was asked for, and on what it runs
           metrics.jsonl    a line an evaluation: step, training loss, validation loss, tokens/s
           checkpoint/      the newest two checkpoints (checkpoint.py)
           loss.png         drawn at the end

`Run.resume` goes on bit for bit: the same losses and parameters as if nothing had happened. Three things make it so.
The randomness of step s follows from (seed, s); a record reaches metrics.jsonl before the checkpoint of its step, and
what stands there beyond the checkpoint is cut off; and results do not depend on the number of threads.
"""

import json
import math
import os
import platform
import time
from dataclasses import asdict
from pathlib import Path
from typing import NamedTuple

import numpy as np

from ..convention import current_backend, fold
from ..files import TEMPORARY, only_writer, sync_folder, to_json, write_atomically
from ..placing import device_threads, to_device, to_host
from ..threads import workers
from ..trees import leaves
from .checkpoint import complete_checkpoints, described, load_checkpoint, remove_checkpoints, save_checkpoint
from .loop import Diverged, Training, train_step
from .parallel import mean_loss
from .tasks import TASKS

FILES = ("config.json", "metrics.jsonl", "loss.png")  # what a run leaves beside its checkpoints
INIT, SAMPLING, DROPOUT = range(3)  # what the keys folded from the seed are for


class Step(NamedTuple):
    """A step was done."""

    step: int
    loss: float
    tokens_per_second: float


class Evaluation(NamedTuple):
    """Both losses were measured, and a checkpoint written."""

    step: int
    training_loss: float
    validation_loss: float
    tokens_per_second: float
    scores: dict = {}  # what else the task measures, by name

    def as_dict(self):
        """One level deep, as it stands in metrics.jsonl."""
        plain = self._asdict()
        return plain | plain.pop("scores")

    @classmethod
    def from_dict(cls, plain):
        known = {name: plain[name] for name in cls._fields if name != "scores"}
        return cls(**known, scores={name: value for name, value in plain.items() if name not in known})


def machine():
    """What the last bits of a result depend on."""
    from threadpoolctl import threadpool_info

    blas = [
        " ".join(str(library[key]) for key in ("internal_api", "version", "architecture") if library.get(key))
        for library in threadpool_info()
        if library["user_api"] == "blas"
    ]
    from .. import __version__

    return {
        "backend": current_backend(),
        "minitransformer": __version__,
        "python": platform.python_version(),
        "numpy": np.__version__,
        "blas": sorted(set(blas)),
        "platform": f"{platform.system()} {platform.machine()}",
    }


class Run:
    """One training run. `Run.start` begins one, `Run.resume` goes on with one; `train()` does the work.

    task: what is learnt, and from what (tasks/): its settings, tokenizer, model and loss, its batches, its schedule
    """

    def __init__(self, folder, task, training):
        self.folder, self.task, self.training = Path(folder), task, training
        self.settings, self.tokenizer, self.model, self.loss = task.settings, task.tokenizer, task.model, task.loss
        self.about = {
            "task": task.name,
            "settings": asdict(task.settings),
            "data": task.data,
            "signatures": task.signatures,
            "machine": machine(),
        }
        self.tokens, self.seconds = 0, 0.0  # trained on since the last evaluation, and in what time
        self.saved = None  # the step of the newest checkpoint, which holds just what is here
        self.differences = {}  # what of the machine is not as it was before, by name: (then, now)

    # ---------------------------------------------------------------------------------------- beginning, going on

    @classmethod
    def start(cls, folder, settings, overwrite=False, tokenizer=None, model=None, p=None):
        """A new run in `folder`. FileExistsError where there is one already, unless it may be overwritten.

        tokenizer, or that and a model with its parameters: what is there already; by default the task makes them
        """
        folder = Path(folder)
        there = [name for name in (*FILES, "checkpoint") if (folder / name).exists()]
        if there and not overwrite:
            raise FileExistsError(
                f"{folder} already holds a run ({', '.join(there)}): --resume {folder} goes on with it, "
                "--out names another folder, --overwrite begins anew in this one"
            )
        task = TASKS[settings.task](settings, tokenizer, model)
        if p is None:
            p = task.model.init(np.random.default_rng(fold(np.random.SeedSequence(settings.seed), INIT)))
        run = cls(folder, task, Training(to_device(p), task.optimizer()))
        (folder / "checkpoint").mkdir(parents=True, exist_ok=True)
        with only_writer(folder / "checkpoint"):  # nobody's run is taken away while it is still going on
            run.clear()
            run.save()
            run.describe()
        return run

    @classmethod
    def resume(cls, folder, text=None):
        """The run in `folder`, where its newest checkpoint stands. `text`: where its text is now, if it moved."""
        folder, checkpoint = Path(folder), load_checkpoint(folder)
        about = checkpoint.config
        try:
            task_class, known = TASKS[about["task"]], dict(about["settings"])
            settings = task_class.settings_class(**known | {"text": tuple(map(str, text or known["text"]))})
            data = {name: str(about["data"][name]) for name in ("sha256", "size")}
            machine_then = dict(about["machine"])
            if type(about["step"]) is not int or not 0 <= about["step"] <= settings.steps:
                raise ValueError(f"step {about['step']!r} is not among {settings.steps}")
        except (KeyError, TypeError, ValueError, AttributeError) as error:
            raise ValueError(f"{checkpoint.folder / 'config.json'} is not of a training run: {error!r}") from None
        task = task_class(settings, checkpoint.tokenizer, checkpoint.model, data)
        optimizer, arrays, p = task.optimizer(), dict(checkpoint.training), to_device(checkpoint.p)
        try:
            losses = arrays.pop("losses").tolist()
            optimizer.restore(about["step"], to_device(arrays), p)
        except (KeyError, ValueError, TypeError) as error:
            path = checkpoint.folder / "training.safetensors"
            raise ValueError(f"{path} does not fit its model: {error}") from None
        if checkpoint.folder.parent.name != "checkpoint":
            raise ValueError(f"{folder} is a checkpoint outside of a run: RUN or RUN/checkpoint/step-… can be resumed")
        folder = checkpoint.folder.parent.parent
        if newest := [path for path in complete_checkpoints(folder / "checkpoint") if path > checkpoint.folder]:
            raise ValueError(
                f"{folder} has a newer checkpoint, {newest[-1].name}: --resume {folder} goes on from there; "
                f"to go on from {checkpoint.folder.name}, move the newer one away"
            )
        run = cls(folder, task, Training(p, optimizer, about["step"], losses))
        run.saved = about["step"]
        with only_writer(folder / "checkpoint"):  # whoever is still training there may be ahead of its checkpoint
            run.cut_metrics()
            run.describe()
        run.differences = {
            name: (machine_then.get(name), now) for name, now in machine().items() if machine_then.get(name) != now
        }
        return run

    # ------------------------------------------------------------------------------------------------- the folder

    @property
    def metrics(self):
        return self.folder / "metrics.jsonl"

    def describe(self):
        """Write config.json, if it is not there."""
        if not (self.folder / "config.json").exists():
            write_atomically(self.folder / "config.json", to_json(described(self.model) | self.about))

    def clear(self):
        """Take away the files of an older run; nothing else that may lie in the folder."""
        for name in FILES:
            (self.folder / name).unlink(missing_ok=True)
        remove_checkpoints(self.folder / "checkpoint")

    def save(self):
        """A checkpoint of this very step. Diverged where a parameter is no number: the older ones are worth more."""
        training = self.training
        if self.saved == training.step:
            return
        p = to_host(training.p)
        for path, leaf in leaves(p):
            if not np.isfinite(leaf).all():
                raise Diverged(f"step {training.step}: {path} is no longer finite")
        arrays = to_host(training.optimizer.arrays()) | {"losses": np.array(training.losses, np.float64)}
        folder = self.folder / "checkpoint"
        save_checkpoint(folder, training.step, self.model, p, self.tokenizer, arrays, self.about)
        self.saved = training.step

    def saved_step(self):
        """The step of the newest complete checkpoint."""
        return int(complete_checkpoints(self.folder / "checkpoint")[-1].name.removeprefix("step-"))

    def cut_metrics(self):
        """Drop the records beyond the checkpoint: those steps are about to be done again."""
        for name in FILES:
            for leftover in self.folder.glob(f".{name}.*{TEMPORARY}"):
                leftover.unlink()
        if not self.metrics.exists():
            return
        kept = []
        for line in self.metrics.read_text(encoding="utf-8", errors="replace").splitlines(keepends=True):
            try:
                if line.endswith("\n") and Evaluation.from_dict(json.loads(line)).step <= self.training.step:
                    kept.append(line)
            except (ValueError, KeyError, TypeError, RecursionError):
                continue  # the end of a file whose writer was killed
        write_atomically(self.metrics, "".join(kept).encode("utf-8"))

    def records(self):
        """What metrics.jsonl holds."""
        if not self.metrics.exists():
            return []
        return [
            Evaluation.from_dict(json.loads(line)) for line in self.metrics.read_text(encoding="utf-8").splitlines()
        ]

    # --------------------------------------------------------------------------------------------------- training

    def train(self, threads=1):
        """Yields a `Step` after each step and an `Evaluation` after each evaluation, until all steps are done."""
        settings, training = self.settings, self.training
        schedule = self.task.schedule()
        with only_writer(self.folder / "checkpoint"), workers(device_threads(threads)) as map:
            while training.step < settings.steps:
                begin = time.perf_counter()
                pieces, keys = self.batch(training.step)
                tokens = sum(self.task.tokens(piece) for piece in pieces)
                rate = schedule(training.step)
                loss = train_step(training, self.loss, pieces, keys, rate, clip=settings.clip, map=map)
                took = time.perf_counter() - begin
                self.seconds, self.tokens = self.seconds + took, self.tokens + tokens
                due = training.step % settings.evaluate_every == 0 or training.step == settings.steps
                record = self.evaluate(map) if due else None  # before anybody may stop between the two
                yield Step(training.step, loss, tokens / took)
                if record:
                    yield record

    def batch(self, step):
        """The pieces of the batch of this step, and the key of each. Both follow from the seed and the step alone."""
        root = np.random.SeedSequence(self.settings.seed)
        sampling, dropping = fold(fold(root, SAMPLING), step), fold(fold(root, DROPOUT), step)
        pieces = [piece for i in range(self.settings.accumulate) for piece in self.task.pieces(sampling, i)]
        return pieces, [fold(dropping, i) for i in range(len(pieces))]

    def evaluate(self, map=map):
        """Measure, record, save."""
        step, p = self.training.step, self.training.p
        loss = mean_loss(self.loss, p, self.task.validation, map)
        if not math.isfinite(loss):  # before a model is asked to write that can no longer choose a token
            raise Diverged(f"step {step}: the validation loss is {loss}")
        record = Evaluation(
            step,
            float(np.mean(self.training.losses)),
            loss,
            round(self.tokens / self.seconds, 1),
            self.task.scores(p, map),
        )
        new = not self.metrics.exists()
        with open(self.metrics, "a", encoding="utf-8") as file:
            file.write(json.dumps(record.as_dict()) + "\n")
            file.flush()
            os.fsync(file.fileno())
        if new:
            sync_folder(self.folder)
        self.training.losses.clear()
        self.tokens, self.seconds = 0, 0.0
        self.save()
        return record
