"""Training: gradient, clip, step, again. It knows of the model only what the convention says.

Everything random in step s follows from the key of that step, so nothing but the parameters, the optimizer's moments
and the number of the step must be kept to go on bit for bit.
"""

import math
from dataclasses import dataclass, field
from typing import Any

from .clipping import clipping_factor
from .parallel import value_and_gradient


class Diverged(ValueError):
    """The loss or its gradient is no longer a finite number. The parameters are those before the step."""


@dataclass
class Training:
    """What changes while training."""

    p: Any
    optimizer: Any
    step: int = 0  # steps done
    losses: list = field(default_factory=list)  # of the steps since the last evaluation


def train_step(training, loss, pieces, keys, learning_rate, *, clip, map=map):
    """One step of the optimizer on one batch (in pieces); returns the loss."""
    value, g = value_and_gradient(loss, training.p, pieces, keys, map)
    factor, norm = clipping_factor(g, clip)
    if not (math.isfinite(value) and math.isfinite(norm)):
        raise Diverged(f"step {training.step + 1}: the loss is {value} and the length of its gradient {norm}")
    training.optimizer.step(training.p, g, learning_rate, factor)
    training.step += 1
    training.losses.append(value)
    return value
