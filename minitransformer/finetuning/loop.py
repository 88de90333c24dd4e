"""Fine-tuning, epoch after epoch, each through all data in an order of its own (Devlin et al. 2019, appendix A.3).

The learning rate rises over the first tenth of the steps and falls along a line. After every epoch the loss and the
scores are measured on what is held out, from which nothing is learnt. All randomness follows from the seed: what is
held out, a new head, the order of an epoch, and, with the number of pieces, dropout.
"""

import math
import time
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np

from ..convention import fold, generator
from ..threads import available_cores, workers
from ..training.loop import Diverged, Training, train_step
from ..training.optimizer import AdamW
from ..training.parallel import mean_loss
from ..training.schedules import warmup_linear
from ..training.settings import check_options, option
from ..trees import leaves, tree_map
from .freezing import frozen, path_of_body, without_frozen
from .layer_decay import layer_decay

HELD_OUT, HEAD, ORDER, DROPOUT = range(4)  # what the keys folded from the seed are for


@dataclass(frozen=True)
class Settings:
    """The defaults are among those of Devlin et al. 2019, appendix A.3. ValueError for what is out of range."""

    epochs: int = option(3, "how often all data is gone through", least=1)
    batch: int = option(16, "rows a batch", least=1)
    accumulate: int = option(1, "batches a step", least=1)
    pieces: int = option(
        available_cores(), "pieces that a batch is cut into, one for each core of this machine", least=1
    )
    learning_rate: float = option(5e-5, "the highest learning rate", above=0, below=math.inf)
    layer_decay: float = option(1.0, "what the rate of each layer is, times that of the layer above", above=0)
    warmup: float = option(0.1, "the share of the steps until the learning rate is reached", least=0, below=1)
    weight_decay: float = option(0.01, "AdamW's decay, of matrices only", least=0, below=math.inf)
    clip: float = option(1.0, "the longest gradient", above=0)
    heldout_share: float = option(0.1, "the share of the data that is held out, where no file is", above=0, below=1)
    seed: int = option(0, "what all randomness follows from", least=0)

    def __post_init__(self):
        check_options(self)


class Step(NamedTuple):
    """A step was done."""

    step: int
    loss: float


class Epoch(NamedTuple):
    """All data was gone through once more, and what is held out was measured."""

    epoch: int  # from 1
    step: int
    training_loss: float
    heldout_loss: float
    scores: dict  # by name
    seconds: float

    def as_dict(self):
        """One level deep, as it stands in metrics.jsonl."""
        plain = self._asdict()
        return plain | plain.pop("scores")


def key_of(seed, *numbers):
    key = np.random.SeedSequence(seed)
    for number in numbers:
        key = fold(key, number)
    return key


def hold_out(examples, share, seed, group=None):
    """The examples in two: to learn from, and about a share to see how well. ValueError for too few.

    group: what an example has in common with others, such as its text; the seed chooses among groups, and none is
    parted. Without, examples go on with each other, and the last ones are held out.
    """
    n = max(1, round(share * len(examples)))
    if n >= len(examples):
        raise ValueError(f"of {len(examples)} example(s), {n} would be held out, and nothing is left to learn from")
    if group is None:
        return examples[:-n], examples[-n:]
    groups = {}
    for i, example in enumerate(examples):
        groups.setdefault(group(example), []).append(i)
    groups, chosen = list(groups.values()), set()
    if len(groups) == 1:
        raise ValueError(f"all {len(examples)} examples have one text: what is held out must be a file of its own")
    for i in generator(key_of(seed, HELD_OUT)).permutation(len(groups)):
        if len(chosen) + len(groups[i]) <= n:
            chosen.update(groups[i])
    chosen = chosen or set(min(groups, key=len))
    learnt = [example for i, example in enumerate(examples) if i not in chosen]
    return learnt, [example for i, example in enumerate(examples) if i in chosen]


class Finetuning:
    """A model and its parameters, which change in place, on a task's examples; frozen: names of parts that do not."""

    def __init__(self, task, model, p, examples, heldout, settings, freeze=()):
        self.task, self.settings, self.heldout = task, settings, heldout
        self.model, inside = frozen(model, p, freeze), path_of_body(model)
        self.loss = without_frozen(task.loss(self.model), [inside + name for name in freeze])
        self.rows = [row for example in examples for row in task.rows(example)]
        self.heldout_rows = [row for example in heldout for row in task.rows(example)]
        for what, rows in (("the data", self.rows), ("what is held out", self.heldout_rows)):
            if not any(self.loss.count(*task.batch([row])) for row in rows):
                raise ValueError(f"nothing in {what} counts: the tokenizer has no token where something is told")
        factor = layer_decay(model, settings.layer_decay)
        self.training = Training(p, AdamW(weight_decay=settings.weight_decay, rate_factor=factor))
        self.steps = settings.epochs * -(-len(self.rows) // (settings.batch * settings.accumulate))

    def train(self, threads=1):
        """Yields a `Step` after each step and an `Epoch` after each epoch. Diverged where a loss is no number."""
        settings, training = self.settings, self.training
        # The step behind the last is the one whose rate is 0.
        warmup = math.ceil(settings.warmup * self.steps)
        rate = warmup_linear(peak=settings.learning_rate, end=0.0, warmup=warmup, steps=self.steps + 1)
        for epoch in range(1, settings.epochs + 1):
            begin = time.perf_counter()
            with workers(threads) as map:
                for rows in self.batches(epoch):
                    pieces = self.pieces(rows)
                    keys = [key_of(settings.seed, DROPOUT, training.step, i) for i in range(len(pieces))]
                    loss = train_step(
                        training, self.loss, pieces, keys, rate(training.step), clip=settings.clip, map=map
                    )
                    yield Step(training.step, loss)
                heldout_loss = mean_loss(self.loss, training.p, self.pieces(self.heldout_rows), map)
            yield self.measured(epoch, heldout_loss, begin)

    def batches(self, epoch):
        """[[row, ...], ...]: those of each step of an epoch"""
        order = generator(key_of(self.settings.seed, ORDER, epoch)).permutation(len(self.rows))
        n = self.settings.batch * self.settings.accumulate
        return [[self.rows[i] for i in order[begin : begin + n]] for begin in range(0, len(order), n)]

    def pieces(self, rows):
        """Rows as arguments of the loss: batch by batch, each in pieces, and each piece padded by itself."""
        n = self.settings.batch
        batches = [rows[begin : begin + n] for begin in range(0, len(rows), n)]
        return [self.task.batch(piece) for batch in batches for piece in parted(batch, self.settings.pieces)]

    def measured(self, epoch, heldout_loss, begin):
        training = self.training
        if not math.isfinite(heldout_loss):
            raise Diverged(f"epoch {epoch}: the held-out loss is {heldout_loss}")
        scores = self.task.scores(self.model, training.p, self.heldout, heldout_loss)
        loss = float(np.mean(training.losses))
        training.losses.clear()
        return Epoch(epoch, training.step, loss, heldout_loss, scores, round(time.perf_counter() - begin, 2))


def parted(rows, n):
    """The rows in at most n parts of nearly equal size, in their order."""
    n = min(n, len(rows))
    ends = [len(rows) * i // n for i in range(n + 1)]
    return [rows[begin:end] for begin, end in zip(ends, ends[1:])]


class Keeper:
    """Which epoch counts: the last one, or with `best` the one of the best score, of which a copy is made."""

    def __init__(self, task, best=False):
        (self.score, self.more_is_better), self.best = task.best, best
        self.p = self.epoch = self.value = None

    def see(self, epoch, p):
        value = epoch.scores[self.score] * (1 if self.more_is_better else -1)
        if not self.best:
            self.p, self.epoch = p, epoch
        elif self.value is None or value > self.value:
            self.p, self.epoch, self.value = tree_map(np.copy, p), epoch, value


def n_trained(finetuning):
    """How many parameters there are, and how many of them are trained."""
    sizes = {path: leaf.size for path, leaf in leaves(finetuning.training.p)}
    fixed = tuple(f"{path}." for path in finetuning.loss.paths)
    return sum(sizes.values()), sum(size for path, size in sizes.items() if not path.startswith(fixed))
