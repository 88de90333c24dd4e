"""Many texts through a model, some at a time: those of like length together, so that little is padding."""

import numpy as np

from ..ops import softmax
from ..tokenizers import batch_of, framed

BATCH = 16  # texts at once


def frames_of(model, tokenizer, texts, *, truncate=False):
    """[Framed] of texts, or of pairs of them. ValueError naming the text that is longer than the model's context."""
    frames = []
    for number, text in enumerate(texts, 1):
        pair = text if isinstance(text, tuple) else (text,)
        try:
            found = framed(tokenizer, *pair, length=model.body.context_length, cut="longer" if truncate else None)
        except ValueError as error:
            more = "" if truncate else "; what is cut off is lost, where that is allowed (truncate)"
            raise ValueError(f"text {number} does not fit into the model's context: {error}{more}") from None
        frames += found
    return frames


def outputs(model, p, frames, pad):
    """For each frame in its order, what the model makes of it: an array of its own, or rows (T, ...) without padding"""
    found = [None] * len(frames)
    order = sorted(range(len(frames)), key=lambda i: len(frames[i].ids))
    for start in range(0, len(order), BATCH):
        rows = order[start : start + BATCH]
        ids, types, mask = batch_of([frames[i] for i in rows], pad)
        y, _ = model.forward(p, ids, types=types, mask=mask)
        for i, row in zip(rows, y, strict=True):
            found[i] = row
    return found


def probabilities(logits):
    """Softmax over the last axis. ValueError where the model gave no number."""
    if not np.isfinite(logits).all():
        raise ValueError("the model gave logits that are NaN or infinite: its parameters are damaged")
    return softmax(logits)[0]
