"""What is forgotten when the context is full."""

import pytest

from minitransformer.decoding import window_start


@pytest.mark.parametrize(
    ("context_length", "starts"),  # of n = 1, 2, 3, ...
    [
        (1, [0, 1, 2, 3, 4, 5]),
        (2, [0, 0, 2, 2, 4, 4, 6]),
        (3, [0, 0, 0, 3, 3, 3, 6]),
        (4, [0, 0, 0, 0, 3, 3, 3, 6, 6, 6, 9]),
        (6, [0, 0, 0, 0, 0, 0, 4, 4, 4, 4, 8, 8]),
    ],
)
def test_known_starts(context_length, starts):
    assert [window_start(n, context_length) for n in range(1, len(starts) + 1)] == starts


@pytest.mark.parametrize("context_length", range(1, 12))
def test_the_rule(context_length):
    """One token after another: the window grows while it can; full, it begins anew with its newer half."""
    start = 0
    for n in range(1, 6 * context_length + 5):
        if n - start > context_length:
            start = n - max(context_length // 2, 1)
        assert window_start(n, context_length) == start
