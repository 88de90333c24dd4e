"""A label for every word (Devlin et al. 2019, section 5.3): its first piece is told it, and the others do not count.

A word of the data may be several words to the tokenizer, which parts what stands between marks: "St." is two. Then
those behind the first go on with its label: B-X with I-X, and any other one with itself.
"""

import numpy as np

from ...data.labelled_words import read_labelled_words
from ...data.pairs import IGNORED
from ...models import TokenClassifier
from ...reading import tag
from ...reading.tag import BEGINS, spans
from ...tokenizers import framed
from ...training.label_metrics import span_f1
from ...training.losses import label_loss
from .labelled import label_batch


class Tagging:
    head, loss, best = TokenClassifier, label_loss, ("span_f1", True)

    def __init__(self, tokenizer, length, labels):
        self.tokenizer, self.length, self.labels = tokenizer, length, labels
        self.numbers = {label: number for number, label in enumerate(labels)}

    @staticmethod
    def read(path, tokenizer, length):
        return read_labelled_words(path)

    @staticmethod
    def group(example):
        return example.words

    @staticmethod
    def labels_in(examples):
        return sorted({label for example in examples for label in example.labels})

    def rows(self, example):
        (frame,) = framed(self.tokenizer, example.text, length=self.length)
        targets = np.full(len(frame.ids), IGNORED)
        begins, word, last = [begin for begin, _ in example.places], None, None
        for i, (id, number, (begin, _)) in enumerate(zip(frame.ids, frame.texts, frame.offsets.tolist())):
            if number < 0:
                continue
            inside, last = last is not None and self.tokenizer.continues(last, id), id
            if inside:
                continue
            before, word = word, np.searchsorted(begins, begin, "right") - 1
            label = example.labels[word]
            targets[i] = self.numbers.get(label if word != before else going_on(label), IGNORED)
        return [(frame, targets)]

    def batch(self, rows):
        return label_batch(rows, self.tokenizer.pad)

    def scores(self, model, p, examples, loss):
        texts = [example.text for example in examples]
        said = tag(model, p, self.tokenizer, self.labels, texts, length=self.length, truncate=True)
        found = [[(span.label, span.begin, span.end) for span in those] for those in said]
        return {"span_f1": span_f1(found, [there(example) for example in examples])}


def there(example):
    """[(label, begin, end), ...] of the spans that the data gives"""
    words = [(label, 1.0, *place) for label, place in zip(example.labels, example.places)]
    return [(span.label, span.begin, span.end) for span in spans(example.text, words, "O")]


def going_on(label):
    """The label of what goes on with a word of this label."""
    letter, dash, kind = label.partition("-")
    return f"I-{kind}" if dash and letter in BEGINS else label
