"""Rows of a text and its targets, as one batch of `label_loss`."""

import numpy as np

from ...data.pairs import IGNORED
from ...tokenizers import batch_of


def label_batch(rows, pad):
    """[(Framed, targets), ...]   ->   ids, types (B, T), mask (B, 1, 1, T), targets

    targets: a number a text, or a row of numbers; where rows are of unequal lengths, what is missing does not count
    """
    frames, targets = zip(*rows)
    targets = [np.asarray(each, np.int64) for each in targets]
    whole = np.full((len(rows), *np.max([each.shape for each in targets], axis=0).astype(int)), IGNORED)
    for place, each in enumerate(targets):
        whole[(place, *map(slice, each.shape))] = each
    return *batch_of(frames, pad), whole
