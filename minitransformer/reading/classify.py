"""The class of each text."""

from ..models import TextClassifier
from .batches import expect, frames_of, outputs, probabilities, whole


def classify(model, p, tokenizer, texts, *, length=None, truncate=False):
    """model, a TextClassifier; texts, or pairs of them   ->   [probabilities (C)], one for each

    length: the most tokens that it is to read, where that is less than its context
    """
    expect(model, TextClassifier)
    frames = frames_of(model, tokenizer, texts, length=length, truncate=truncate)
    return [probabilities(logits) for logits in outputs(model, p, frames, tokenizer.pad, whole)]
