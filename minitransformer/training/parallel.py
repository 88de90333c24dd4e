"""A batch in pieces: over threads, or one after another where the whole does not fit.

    loss = Σ n_i/N loss_i        g = Σ n_i/N g_i        n_i targets count in piece i, N in all of them

Every piece goes forward and backward on its own, so its loss is a mean over its own n_i targets; the mean of those
means would be another loss. A loss may have several terms, each a mean over targets of its own: then it is their sum,
and each is weighted by its own n_i. Pieces are added in their order and BLAS has one thread, so that the result has the
same bits for any number of threads: how a batch is cut is a setting, how many work on it is not.
"""

import numpy as np

from ..threads import spread
from ..trees import leaves, n_bytes


def cut(batch, n_pieces):
    """A batch (a tuple of arrays) in at most so many pieces of nearly equal numbers of rows."""
    n_pieces = min(n_pieces, len(batch[0]))
    return list(zip(*(np.array_split(part, n_pieces) for part in batch), strict=True))


def value_and_gradient(loss, p, pieces, keys=None, map=map):
    """The loss over all pieces together and its gradient.

    pieces: a list of batches, each the arguments of `loss` after p   keys: a key for each, None for no randomness
    map: who does the work, `workers(threads)` or the built-in one
    """

    def one(piece, share, key):
        with np.errstate(all="ignore"):  # a loss that is no number is found where the pieces are added up
            value, saved = loss(p, *piece, key=key)
            g = loss.backward(*share, saved)  # linear in what is felt of the loss: with n_i/N for 1, g is weighted
            return weighted(value, share), g  # only now: on a device, who asks for the number waits for it

    total, g = 0.0, None
    for value, g_piece in map(one, pieces, shares_of(loss, pieces), keys or [None] * len(pieces)):
        total += value
        g = g_piece if g is None else add_to(g, g_piece)
    return total, g


def add_to(g, more):
    """g + more, in the memory of g: every array of a backward is fresh, and nobody else has this one."""
    ours, theirs = leaves(g), leaves(more)
    pairs = [(a, b) for (_, a), (_, b) in zip(ours, theirs, strict=True)]
    spread(lambda pair: np.add(*pair, out=pair[0]), pairs, n_bytes(ours))
    return g


def shares_of(loss, pieces):
    """[[n_i/N, ...], ...]: of each piece, for each term of the loss, its share of the targets"""
    counts = [terms_of(loss.count(*piece)) for piece in pieces]
    wholes = [max(sum(each), 1) for each in zip(*counts)]
    return [[count / whole for count, whole in zip(each, wholes, strict=True)] for each in counts]


def weighted(value, share):
    return sum(float(term) * part for term, part in zip(terms_of(value), share, strict=True))


def terms_of(value):
    return value if isinstance(value, tuple) else (value,)


def mean_loss(loss, p, pieces, map=map):
    """The loss over all pieces together, without a gradient."""
    values = map(lambda piece, share: weighted(loss(p, *piece)[0], share), pieces, shares_of(loss, pieces))
    return sum(values)
