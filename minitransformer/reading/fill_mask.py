"""What could stand where a text says [MASK], or whatever the tokenizer has for it."""

import numpy as np

from ..models import MaskedLanguageModel
from .batches import expect, frames_of, outputs, probabilities


def fill_mask(model, p, tokenizer, texts, *, top=5, truncate=False):
    """model, a MaskedLanguageModel   ->   of each text, of each mask, [(token, probability), ...], likeliest first

    ValueError for a text without a mask.
    """
    expect(model, MaskedLanguageModel)
    if top < 1:
        raise ValueError(f"of {top} tokens nothing is to be shown")
    frames = frames_of(model, tokenizer, texts, truncate=truncate)
    for number, frame in enumerate(frames, 1):
        if tokenizer.mask not in frame.ids:
            cut = " where it was cut off" if truncate else ""
            raise ValueError(f"text {number} has no {tokenizer.text(tokenizer.mask)} to fill{cut}")
    found = []
    for logits in outputs(model, p, frames, tokenizer.pad, of_masks(tokenizer)):
        guesses = []
        for chances in probabilities(logits):
            best = np.argsort(-chances, kind="stable")[:top]
            guesses.append([(tokenizer.text(id), float(chances[id])) for id in best])
        found.append(guesses)
    return found


def of_masks(tokenizer):
    """Of what is said of a text, what is said of its masks"""
    return lambda frame, logits: logits[np.flatnonzero(frame.ids == tokenizer.mask)]
