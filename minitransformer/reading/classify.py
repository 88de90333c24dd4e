"""The class of each text."""

from ..models import TextClassifier
from .batches import expect, frames_of, outputs, probabilities, whole


def classify(model, p, tokenizer, texts, *, truncate=False):
    """model, a TextClassifier; texts, or pairs of them   ->   [probabilities (C)], one for each"""
    expect(model, TextClassifier)
    frames = frames_of(model, tokenizer, texts, truncate=truncate)
    return [probabilities(logits) for logits in outputs(model, p, frames, tokenizer.pad, whole)]
