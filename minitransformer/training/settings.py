"""What a training run is asked for. Two runs of the same settings on the same text are the same run, bit for bit.

How many pieces a batch is cut into is such a setting, for it decides in which order numbers are added, and what each
piece's dropout draws. By default they are as many as this machine has cores, so that another machine's run is the same
with that number as its `--pieces`; a run that is resumed elsewhere keeps those that it began with.
"""

import math
from dataclasses import dataclass, field, fields

from ..threads import available_cores
from ..tokenizers import WRITING


def option(default, meaning, least=None, above=None, below=None):
    return field(default=default, metadata={"meaning": meaning, "least": least, "above": above, "below": below})


def check_options(settings):
    """ValueError for a setting that is of another type, or out of range."""
    for setting in options(type(settings)):
        value = getattr(settings, setting.name)
        least, above, below = (setting.metadata[bound] for bound in ("least", "above", "below"))
        if type(value) is not setting.type and not (setting.type is float and type(value) is int):
            raise ValueError(f"{setting.name} must be of type {setting.type.__name__}, not {value!r}")
        if least is not None and not value >= least:
            raise ValueError(f"{setting.name} must be at least {least}, not {value}")
        if above is not None and not value > above:
            raise ValueError(f"{setting.name} must be above {above}, not {value}")
        if below is not None and not value < below:
            raise ValueError(f"{setting.name} must be below {below}, not {value}")


@dataclass(frozen=True)
class Settings:
    """What every kind of run has; the defaults are the main job of the README. ValueError for what is out of range."""

    text: tuple = ()  # paths; none: what the task makes or finds by itself
    tokenizer: str = option("char", "char or bpe (byte-level, trained on the text)")
    vocab_size: int = option(512, "tokens of a BPE; those of char follow from the text", least=257)
    layers: int = option(4, "layers", least=1)
    heads: int = option(4, "attention heads a layer", least=1)
    width: int = option(128, "d_model, the width of the model", least=1)
    batch: int = option(12, "sequences a batch", least=1)
    accumulate: int = option(1, "batches a step", least=1)
    pieces: int = option(
        available_cores(), "pieces that a batch is cut into, one for each core of this machine", least=1
    )
    steps: int = option(2000, "steps of the optimizer", least=1)
    warmup: int = option(100, "steps until the learning rate is reached", least=0)
    learning_rate: float = option(1e-3, "the highest learning rate", above=0, below=math.inf)
    beta1: float = option(0.9, "Adam's memory of the gradient", least=0, below=1)
    beta2: float = option(0.99, "Adam's memory of its square", least=0, below=1)
    weight_decay: float = option(0.1, "AdamW's decay, of matrices only", least=0, below=math.inf)
    clip: float = option(1.0, "the longest gradient", above=0)
    dropout: float = option(0.0, "dropout rate", least=0, below=1)
    seed: int = option(0, "what all randomness follows from", least=0)
    evaluate_every: int = option(250, "steps between evaluations, each with a checkpoint", least=1)

    def __post_init__(self):
        check_options(self)
        if self.tokenizer not in WRITING:
            raise ValueError(f"unknown tokenizer {self.tokenizer!r}; there are: {', '.join(WRITING)}")


def options(settings):
    """The settings of a class that are single values: what the command line offers."""
    return [setting for setting in fields(settings) if setting.metadata]
