"""The two ends of an answer, in a text behind its question (Devlin et al. 2019, section 4.2).

What is longer than a row is read in windows. A window that does not hold the whole answer is told its first place,
[CLS], for both ends, as in the authors' code: so that it does not claim what another window knows.
"""

import numpy as np

from ...data.pairs import IGNORED
from ...data.questions import read_questions
from ...models import SpanFinder
from ...reading import answers
from ...tokenizers import framed
from ...training.label_metrics import answers_exact, answers_f1
from ...training.losses import label_loss
from .labelled import label_batch


class Answering:
    head, loss, best = SpanFinder, label_loss, ("f1", True)

    def __init__(self, tokenizer, length, labels=()):
        self.tokenizer, self.length, self.labels = tokenizer, length, labels

    @staticmethod
    def read(path, tokenizer, length):
        return read_questions(path)

    @staticmethod
    def group(example):
        return example.text

    @staticmethod
    def labels_in(examples):
        return []

    def rows(self, example):
        begin, end = example.span
        how = {"length": self.length, "stride": stride(self.length), "cut": "second"}
        try:
            frames = framed(self.tokenizer, example.question, example.text, **how)
        except ValueError as error:
            what = f"the question {example.question[:60]!r} leaves too little room for its text"
            raise ValueError(f"{what} in the {self.length} tokens that are read at once: {error}") from None
        inside = [np.flatnonzero((x.texts == 1) & (x.offsets[:, 1] > begin) & (x.offsets[:, 0] < end)) for x in frames]
        if not any(map(len, inside)):  # characters of which there is no token
            return [(frame, (IGNORED, IGNORED)) for frame in frames]
        first = min(x.offsets[i[0], 0] for x, i in zip(frames, inside) if len(i))
        last = max(x.offsets[i[-1], 1] for x, i in zip(frames, inside) if len(i))
        rows = []
        for frame, i in zip(frames, inside):
            whole = len(i) and frame.offsets[i[0], 0] == first and frame.offsets[i[-1], 1] == last
            rows.append((frame, (i[0], i[-1]) if whole else (0, 0)))
        return rows

    def batch(self, rows):
        return label_batch(rows, self.tokenizer.pad)

    def scores(self, model, p, examples, loss):
        asked = [(example.question, example.text) for example in examples]
        said = answers(model, p, self.tokenizer, asked, length=self.length, stride=stride(self.length))
        found = [each.text for each in said]
        there = [[text for text, _ in example.answers] for example in examples]
        return {"exact": answers_exact(found, there), "f1": answers_f1(found, there)}


def stride(length):
    """How many tokens windows of this length have in common: of 384, the published 128"""
    return length // 3
