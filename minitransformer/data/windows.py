"""Windows of a long row of ids, each with its targets: the same ids one place on."""

import numpy as np

from ..convention import generator


def check_length(ids, context, what):
    if len(ids) <= context:
        raise ValueError(f"{what} has {len(ids)} tokens, too short for one context of {context} and the token after it")


def random_windows(ids, batch, context, key):
    """ids (N)   ->   inputs, targets (B, T), from places that follow from the key alone."""
    check_length(ids, context, "the text")
    starts = generator(key).integers(0, len(ids) - context, batch)
    return windows_at(ids, starts, context)


def every_window(ids, context, what="the text"):
    """ids (N)   ->   inputs, targets (⌊(N - 1)/T⌋, T): every window of the text, none overlapping another."""
    check_length(ids, context, what)
    return windows_at(ids, np.arange(0, len(ids) - context, context), context)


def windows_at(ids, starts, context):
    places = starts[:, None] + np.arange(context)
    return ids[places], ids[places + 1]
