"""What can be trained, by the name that a checkpoint remembers.

A task knows its data, tokenizer, model and loss, and of a run nothing. It is made from its settings; when resuming,
the tokenizer and the model that are there are handed in, and the `data` that it must find again. It has

    name, command           what a checkpoint calls it, and the command that trains it
    settings_class          settings, data (a hash and a size), tokenizer, model, loss
    pieces(key, i)          the pieces of the i-th batch of a step, from the step's key alone: arguments of the loss
    tokens(piece)           how many tokens of it count for tokens/s
    validation              the held-out batches
    scores(p, map)          what else is measured at an evaluation, by name
    signatures              how, by the same name, where that is not plain: config.json keeps it
    optimizer(), schedule()
    about(), notes, sample(p, seed), next_command(folder)      what people are shown
"""

from .pretraining import PretrainingSettings, PretrainingTask
from .text import TextSettings, TextTask
from .translation import TranslationSettings, TranslationTask

TASKS = {task.name: task for task in (TextTask, TranslationTask, PretrainingTask)}

__all__ = [
    "TASKS",
    "PretrainingSettings",
    "PretrainingTask",
    "TextSettings",
    "TextTask",
    "TranslationSettings",
    "TranslationTask",
]
