"""One long text as several streams, read side by side: what a state is carried through.

    ids     0 1 2 3 4 5 6 7 8 9         two streams     0 1 2 3 4       two pieces      0 1     2 3
                                                        5 6 7 8 9                       5 6     7 8

Row i of a piece goes on where row i of the piece before has ended, so the state in which a model left the one is that
in which it begins the next. Targets are the same ids one place on.
"""

import numpy as np


def streams(ids, n):
    """ids (N)   ->   (n, ⌊N/n⌋): n pieces of the text, one a row. ValueError for a text that is too short."""
    ids = np.asarray(ids)
    if n < 1:
        raise ValueError(f"n={n} must be at least 1")
    if len(ids) < 2 * n:
        raise ValueError(f"the text has {len(ids)} tokens, too short for {n} streams of a token and the one after it")
    return ids[: len(ids) // n * n].reshape(n, -1)


def pieces(rows, length, jitter=None):
    """rows (B, N)   ->   [(ids, targets), ...], each (B, T) with T = length, but for the last, which is what is left

    jitter: a NumPy generator by which lengths vary, so that a text is not cut at the same places in every epoch: about
    5 less or more, and one in twenty about half as long (Merity, Keskar & Socher 2018, section 5)
    """
    if length < 1:
        raise ValueError(f"length={length} must be at least 1")
    cuts, end = [0], rows.shape[1] - 1
    while cuts[-1] < end:
        T = length
        if jitter is not None:
            mean = length if jitter.random() < 0.95 else length / 2
            T = max(5, int(jitter.normal(mean, 5)))
        cuts.append(min(cuts[-1] + T, end))
    return [(rows[:, a:b], rows[:, a + 1 : b + 1]) for a, b in zip(cuts, cuts[1:])]
