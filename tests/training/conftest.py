"""A run so small that it takes a fraction of a second, on text that the test makes."""

import numpy as np
import pytest

from minitransformer.training.run import Run
from minitransformer.training.tasks import TextSettings
from minitransformer.trees import leaves

TINY = dict(layers=1, heads=2, width=8, context=8, batch=5, accumulate=2, pieces=3, dropout=0.1)
TINY |= dict(steps=9, warmup=2, evaluate_every=4, seed=3)


def write_text(path):
    path.write_text("the quick brown fox jumps over the lazy dog, naïvely. " * 12, encoding="utf-8")
    return path


@pytest.fixture
def text(tmp_path):
    return write_text(tmp_path / "text.txt")


@pytest.fixture
def settings(text):
    return TextSettings(text=(str(text),), **TINY)


@pytest.fixture
def finished(tmp_path, settings):
    """What the run gives when nobody interrupts it."""
    run = Run.start(tmp_path / "finished", settings)
    return outcome(run, run.train())


def outcome(run, events=()):
    """The losses of every step, what the metrics say (but for the speed), and the parameters and moments, as bytes."""
    losses = [event.loss for event in events if not hasattr(event, "validation_loss")]
    metrics = [record[:3] for record in run.records()]
    optimizer = run.training.optimizer
    arrays = dict(leaves(run.training.p)) | {f"m.{path}": m for path, m in optimizer.m.items()}
    arrays |= {f"v.{path}": v for path, v in optimizer.v.items()}
    return losses, metrics, {name: np.asarray(array).tobytes() for name, array in sorted(arrays.items())}
