"""Many texts through a model, some at a time: those of like length together, so that little is padding.

Several such batches are shared out over threads, as in training: each goes through the whole model on one.
"""

import numpy as np

from ..ops import softmax
from ..threads import available_cores, workers
from ..tokenizers import batch_of, framed

TOKENS = 1024  # at once, padding among them; a text that is longer goes alone


def several(texts):
    """The texts as a list. ValueError for a single one, of which each letter would be a text."""
    if isinstance(texts, str):
        raise ValueError("a list of texts is needed, not one text")
    return list(texts)


def expect(model, kind):
    if not isinstance(model, kind):
        raise ValueError(f"this takes a {kind.__name__}, not a {type(model).__name__}")


def frames_of(model, tokenizer, texts, *, truncate=False, length=None):
    """[Framed] of texts, or of pairs of them. ValueError naming a text that is longer than `length` or the context."""
    length = model.body.context_length if length is None else min(length, model.body.context_length)
    frames = []
    for number, text in enumerate(several(texts), 1):
        pair = text if isinstance(text, tuple) else (text,)
        try:
            found = framed(tokenizer, *pair, length=length, cut="longer" if truncate else None)
        except ValueError as error:
            more = "" if truncate else "; what is cut off is lost, where that is allowed (truncate)"
            raise ValueError(f"text {number} is longer than the {length} tokens of the model: {error}{more}") from None
        frames += found
    return frames


def outputs(model, p, frames, pad, pick):
    """[pick(frame, what the model says of it, with padding behind), ...] in the order of the frames

    What is picked is copied, so that no more of a batch stays in memory.
    """
    found, portions = [None] * len(frames), batches([len(frame.ids) for frame in frames])

    def read(rows):
        ids, types, mask = batch_of([frames[i] for i in rows], pad)
        y, _ = model.forward(p, ids, types=types, mask=mask)
        for i, row in zip(rows, y, strict=True):
            found[i] = np.array(pick(frames[i], row))

    if len(portions) < 2:  # BLAS has all cores
        for rows in portions:
            read(rows)
        return found
    with workers(available_cores()) as map:
        list(map(read, portions))
    return found


def batches(lengths):
    """[[number of a text, ...], ...]: as many at once as TOKENS allows, and the longest first, so that none is last"""
    found = []
    for i in sorted(range(len(lengths)), key=lengths.__getitem__):
        if not found or (len(found[-1]) + 1) * lengths[i] > TOKENS:
            found.append([])
        found[-1].append(i)
    return found[::-1]


def whole(frame, row):
    return row


def probabilities(logits):
    """Softmax over the last axis. ValueError where the model gave no number."""
    if not np.isfinite(logits).all():
        raise ValueError("the model gave logits that are NaN or infinite: its parameters are damaged")
    return softmax(logits)[0]
