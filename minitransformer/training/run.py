"""A training run and its folder: a GPT-2 on text, from settings to checkpoints, to be interrupted and resumed at will.

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

from ..convention import fold
from ..data.text import hold_out, python_reference, read_text, sha256
from ..data.windows import every_window, random_windows
from ..files import TEMPORARY, remove_folder, to_json, write_atomically
from ..models import GPT2
from ..tokenizers import TOKENIZERS
from .checkpoint import complete_checkpoints, load_checkpoint, save_checkpoint
from .loop import Diverged, Training, train_step
from .losses import next_token_loss
from .optimizer import AdamW
from .parallel import cut, mean_loss, workers
from .schedules import warmup_cosine
from .settings import Settings

INIT, SAMPLING, DROPOUT = range(3)  # what the keys folded from the seed are for


class Step(NamedTuple):
    """A step was done."""

    step: int
    loss: float


class Evaluation(NamedTuple):
    """Both losses were measured, and a checkpoint written."""

    step: int
    training_loss: float
    validation_loss: float
    tokens_per_second: float


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
        "minitransformer": __version__,
        "python": platform.python_version(),
        "numpy": np.__version__,
        "blas": sorted(set(blas)),
        "platform": f"{platform.system()} {platform.machine()}",
    }


class Run:
    """One training run. `Run.start` begins one, `Run.resume` goes on with one; `train()` does the work."""

    def __init__(self, folder, settings, text, tokenizer, model, training):
        self.folder, self.settings, self.tokenizer, self.model = Path(folder), settings, tokenizer, model
        self.training = training
        self.loss = next_token_loss(model)
        learn, held_out = hold_out(text)
        self.learn_ids, self.held_out_ids = tokenizer.encode(learn), tokenizer.encode(held_out)
        self.validation = every_window(self.held_out_ids, settings.context)
        random_windows(self.learn_ids, 1, settings.context, np.random.SeedSequence(0))  # too short? now, not later
        self.about = {
            "settings": asdict(settings),
            "text": {"sha256": sha256(text), "characters": len(text)},
            "machine": machine(),
        }
        self.tokens, self.seconds = 0, 0.0  # trained on since the last evaluation, and in what time
        self.differences = {}  # what of the machine is not as it was before, by name: (then, now)

    # ---------------------------------------------------------------------------------------- beginning, going on

    @classmethod
    def start(cls, folder, settings, overwrite=False):
        """A new run in `folder`. FileExistsError where there is one already, unless it may be overwritten."""
        folder = Path(folder)
        there = [name for name in ("config.json", "metrics.jsonl") if (folder / name).exists()]
        there += complete_checkpoints(folder / "checkpoint")
        if there and not overwrite:
            raise FileExistsError(
                f"{folder} already holds a run: --resume {folder} goes on with it, --out names another folder, "
                "--overwrite begins anew in this one"
            )
        text = read_text(settings.text) if settings.text else python_reference()
        tokenizer_class = TOKENIZERS[settings.tokenizer]
        if settings.tokenizer == "bpe":
            tokenizer = tokenizer_class.train(hold_out(text)[0], settings.vocab_size)
        else:
            tokenizer = tokenizer_class.train(text)
        model = GPT2(
            vocab_size=tokenizer.vocab_size,
            context_length=settings.context,
            n_layers=settings.layers,
            n_heads=settings.heads,
            d_model=settings.width,
            dropout_rate=settings.dropout,
        )
        p = model.init(np.random.default_rng(fold(np.random.SeedSequence(settings.seed), INIT)))
        run = cls(folder, settings, text, tokenizer, model, Training(p, cls.optimizer(settings)))
        run.clear()
        run.save()
        write_atomically(folder / "config.json", to_json(run.about | {"model": asdict(model)}))
        return run

    @classmethod
    def resume(cls, folder, text=None):
        """The run in `folder`, where its newest checkpoint stands. `text`: where its text is now, if it moved."""
        folder = Path(folder)
        checkpoint = load_checkpoint(folder)
        about = checkpoint.config
        try:
            settings = Settings(**{**about["settings"], "text": tuple(about["settings"]["text"])})
            expected, trained_on = about["text"]["sha256"], about["machine"]
        except (KeyError, TypeError) as error:
            raise ValueError(f"{checkpoint.folder / 'config.json'} is not of a training run: {error}") from None
        paths = text or settings.text
        text = read_text(paths) if paths else python_reference()
        if sha256(text) != expected:
            raise ValueError(
                f"{folder} was trained on another text: {about['text']['characters']} characters with the hash "
                f"{expected[:12]}…, this one has {len(text)} with {sha256(text)[:12]}…"
            )
        optimizer, losses = cls.optimizer(settings), checkpoint.training.pop("losses", np.zeros(0))
        optimizer.t = checkpoint.config["step"]
        for name, moment in checkpoint.training.items():
            getattr(optimizer, name[0])[name[2:]] = moment
        training = Training(checkpoint.p, optimizer, checkpoint.config["step"], losses.tolist())
        if checkpoint.folder.parent.name == "checkpoint" and not (folder / "checkpoint").is_dir():
            folder = checkpoint.folder.parent.parent  # a checkpoint was named: its run is two floors up
        run = cls(folder, settings, text, checkpoint.tokenizer, checkpoint.model, training)
        run.cut_metrics()
        run.differences = {
            name: (trained_on.get(name), now) for name, now in machine().items() if trained_on.get(name) != now
        }
        return run

    @staticmethod
    def optimizer(settings):
        return AdamW(betas=(settings.beta1, settings.beta2), weight_decay=settings.weight_decay)

    # ------------------------------------------------------------------------------------------------- the folder

    @property
    def metrics(self):
        return self.folder / "metrics.jsonl"

    def clear(self):
        """Take away the files of an older run; nothing else that may lie in the folder."""
        for name in ("config.json", "metrics.jsonl", "loss.png"):
            (self.folder / name).unlink(missing_ok=True)
        if (self.folder / "checkpoint").exists():
            remove_folder(self.folder / "checkpoint")

    def save(self):
        """A checkpoint of this very step."""
        optimizer = self.training.optimizer
        arrays = {f"m.{path}": m for path, m in optimizer.m.items()}
        arrays |= {f"v.{path}": v for path, v in optimizer.v.items()}
        arrays["losses"] = np.array(self.training.losses, np.float64)
        return save_checkpoint(
            self.folder / "checkpoint",
            self.training.step,
            self.model,
            self.training.p,
            self.tokenizer,
            arrays,
            self.about,
        )

    def saved_step(self):
        """The step of the newest complete checkpoint."""
        return int(complete_checkpoints(self.folder / "checkpoint")[-1].name.removeprefix("step-"))

    def cut_metrics(self):
        """Drop the records beyond the checkpoint: those steps are about to be done again."""
        for leftover in self.folder.glob(f".*{TEMPORARY}"):
            leftover.unlink()
        if not self.metrics.exists():
            return
        kept = []
        for line in self.metrics.read_text(encoding="utf-8", errors="replace").splitlines(keepends=True):
            try:
                if line.endswith("\n") and json.loads(line)["step"] <= self.training.step:
                    kept.append(line)
            except (ValueError, KeyError, TypeError):
                continue  # the end of a file whose writer was killed
        write_atomically(self.metrics, "".join(kept).encode("utf-8"))

    def records(self):
        """What metrics.jsonl holds."""
        if not self.metrics.exists():
            return []
        return [Evaluation(**json.loads(line)) for line in self.metrics.read_text(encoding="utf-8").splitlines()]

    # --------------------------------------------------------------------------------------------------- training

    def train(self, threads=1):
        """Yields a `Step` after each step and an `Evaluation` after each evaluation, until all steps are done."""
        settings, training = self.settings, self.training
        schedule = warmup_cosine(
            peak=settings.learning_rate,
            end=settings.final_learning_rate,
            warmup=settings.warmup,
            steps=settings.steps,
        )
        with workers(threads) as map:
            while training.step < settings.steps:
                begin = time.perf_counter()
                pieces, keys = self.batch(training.step)
                rate = schedule(training.step)
                loss = train_step(training, self.loss, pieces, keys, rate, clip=settings.clip, map=map)
                self.seconds += time.perf_counter() - begin
                self.tokens += settings.batch * settings.accumulate * settings.context
                due = training.step % settings.evaluate_every == 0 or training.step == settings.steps
                record = self.evaluate(map) if due else None  # before anybody may stop between the two
                yield Step(training.step, loss)
                if record:
                    yield record

    def batch(self, step):
        """The pieces of the batch of this step, and the key of each. Both follow from the seed and the step alone."""
        settings, root = self.settings, np.random.SeedSequence(self.settings.seed)
        sampling, dropping = fold(fold(root, SAMPLING), step), fold(fold(root, DROPOUT), step)
        pieces = []
        for i in range(settings.accumulate):
            batch = random_windows(self.learn_ids, settings.batch, settings.context, fold(sampling, i))
            pieces += cut(batch, settings.pieces)
        return pieces, [fold(dropping, i) for i in range(len(pieces))]

    def evaluate(self, map=map):
        """Measure, record, save."""
        rows = self.validation[0].shape[0]
        pieces = cut(self.validation, -(-rows // self.settings.batch))
        record = Evaluation(
            self.training.step,
            float(np.mean(self.training.losses)),
            mean_loss(self.loss, self.training.p, pieces, map),
            round(self.tokens / self.seconds, 1),
        )
        if not math.isfinite(record.validation_loss):
            raise Diverged(f"step {record.step}: the validation loss is {record.validation_loss}")
        with open(self.metrics, "a", encoding="utf-8") as file:
            file.write(json.dumps(record._asdict()) + "\n")
            file.flush()
            os.fsync(file.fileno())
        self.training.losses.clear()
        self.tokens, self.seconds = 0, 0.0
        self.save()
        return record
