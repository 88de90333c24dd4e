"""A label for a text, or for a pair of texts (Devlin et al. 2019, section 4.1)."""

from ...data.labelled_texts import read_labelled_texts
from ...models import TextClassifier
from ...reading import classify
from ...tokenizers import framed
from ...training.label_metrics import accuracy, macro_f1
from ...training.losses import label_loss
from .labelled import label_batch


class Classification:
    head, loss, best = TextClassifier, label_loss, ("accuracy", True)

    def __init__(self, tokenizer, length, labels):
        self.tokenizer, self.length, self.labels = tokenizer, length, labels
        self.numbers = {label: number for number, label in enumerate(labels)}

    @staticmethod
    def read(path, tokenizer, length):
        return read_labelled_texts(path)

    @staticmethod
    def group(example):
        return example.texts

    @staticmethod
    def labels_in(examples):
        """ValueError where some examples are pairs of texts, and others are not."""
        if len({example.pair is None for example in examples}) > 1:
            raise ValueError("the data and what is held out differ: in one of them, examples are pairs of texts")
        return sorted({example.label for example in examples})

    def rows(self, example):
        (frame,) = framed(self.tokenizer, example.text, example.pair, length=self.length)
        return [(frame, self.numbers[example.label])]

    def batch(self, rows):
        return label_batch(rows, self.tokenizer.pad)

    def scores(self, model, p, examples, loss):
        said = classify(
            model, p, self.tokenizer, [example.texts for example in examples], length=self.length, truncate=True
        )
        found = [self.labels[chances.argmax()] for chances in said]
        there = [example.label for example in examples]
        return {"accuracy": accuracy(found, there), "macro_f1": macro_f1(found, there)}
