"""A label for every word (Devlin et al. 2019, section 5.3): its first piece is told it, and the others do not count.

A word of the data may be several words to the tokenizer, which parts what stands between marks: "St." is two. Then
each part is told a label, such that the word begins and ends what it did before: two that are B-X are B-X I-X, and two
that are S-X are B-X E-X.
"""

import numpy as np

from ...data.labelled_words import read_labelled_words
from ...data.pairs import IGNORED
from ...models import TokenClassifier
from ...reading import tag
from ...reading.tag import BEGINS, GOES_ON, spans
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
        begins, parts, last = [begin for begin, _ in example.places], {}, None
        for i, (id, number, (begin, _)) in enumerate(zip(frame.ids, frame.texts, frame.offsets.tolist())):
            if number < 0:
                continue
            inside, last = last is not None and self.tokenizer.continues(last, id), id
            if not inside:
                parts.setdefault(int(np.searchsorted(begins, begin, "right")) - 1, []).append(i)
        for word, first_pieces in parts.items():
            label = example.labels[word]
            labels = labels_of_parts(label, len(first_pieces))
            known = labels if self.numbers.keys() >= set(labels) else [label]  # or the first part alone is told
            targets[first_pieces[: len(known)]] = [self.numbers.get(each, IGNORED) for each in known]
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


ENDING = {"S": "E", "U": "L", "E": "E", "L": "L"}  # the letter of a last part, where the word ends something


def labels_of_parts(label, n):
    """The labels of the n parts of a word: what began with the word begins with the first, and ends with the last."""
    letter, dash, kind = label.partition("-")
    if n == 1 or not dash or letter not in (*BEGINS, *GOES_ON):
        return [label] * n
    return [f"{'B' if letter in BEGINS else 'I'}-{kind}", *[f"I-{kind}"] * (n - 2), f"{ENDING.get(letter, 'I')}-{kind}"]
