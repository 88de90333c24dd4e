"""What can be trained, by the name that a checkpoint remembers.

A task knows its data, tokenizer, model and loss, and of a run nothing. It is made from its settings; when resuming,
the tokenizer and the model that are there are handed in, and the `data` that it must find again. It has

    name, settings_class    settings, data (a hash and a size), tokenizer, model, loss
    pieces(key, i)          the pieces of the i-th batch of a step, from the step's key alone: arguments of the loss
    validation              the held-out batches
    scores(p, map)          what else is measured at an evaluation, by name
    signatures              how, by the same name, where that is not plain: config.json keeps it
    optimizer(), schedule()
    about(), notes, sample(p, seed), next_command(folder)      what people are shown
"""

from .text import TextSettings, TextTask
from .translation import TranslationSettings, TranslationTask

TASKS = {task.name: task for task in (TextTask, TranslationTask)}

__all__ = ["TASKS", "TextSettings", "TextTask", "TranslationSettings", "TranslationTask"]
