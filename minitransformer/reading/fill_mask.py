"""What could stand where a text says [MASK]."""

import numpy as np

from .batches import frames_of, outputs, probabilities


def fill_mask(model, p, tokenizer, texts, *, top=5, truncate=False):
    """model, a MaskedLanguageModel   ->   of each text, of each mask, [(token, probability), ...], likeliest first

    ValueError for a text without a mask.
    """
    if top < 1:
        raise ValueError(f"of {top} tokens nothing is to be shown")
    frames = frames_of(model, tokenizer, texts, truncate=truncate)
    for number, frame in enumerate(frames, 1):
        if tokenizer.mask not in frame.ids:
            cut = " where it was cut off" if truncate else ""
            raise ValueError(f"text {number} has no {tokenizer.text(tokenizer.mask)} to fill{cut}")
    found = []
    for frame, logits in zip(frames, outputs(model, p, frames, tokenizer.pad), strict=True):
        guesses = []
        for place in np.flatnonzero(frame.ids == tokenizer.mask):
            chances = probabilities(logits[place])
            best = np.argsort(-chances, kind="stable")[:top]
            guesses.append([(tokenizer.text(id), float(chances[id])) for id in best])
        found.append(guesses)
    return found
