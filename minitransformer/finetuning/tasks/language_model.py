"""What comes next in a text of another kind (Howard & Ruder 2018, section 3.2). An example is a window of it."""

import numpy as np

from ...data.text import read_text
from ...data.windows import every_window
from ...training.label_metrics import perplexity
from ...training.losses import fused_next_token_loss


class LanguageModel:
    head, group, loss, best = None, None, fused_next_token_loss, ("perplexity", False)

    def __init__(self, tokenizer, length, labels=()):
        self.tokenizer, self.length, self.labels = tokenizer, length, labels

    @staticmethod
    def read(path, tokenizer, length):
        return list(zip(*every_window(tokenizer.encode(read_text([path])), length, str(path)), strict=True))

    @staticmethod
    def labels_in(examples):
        return []

    def rows(self, example):
        return [example]

    def batch(self, rows):
        return tuple(map(np.stack, zip(*rows)))

    def scores(self, model, p, examples, loss):
        return {"perplexity": perplexity(loss)}
