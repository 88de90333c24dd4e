"""What a model looks back on when a text is longer than its context.

Position embeddings end with the context, so that a full context cannot move on by one token: everything in it would
stand one place earlier, and every key and value would have to be computed again, for every new token. Instead the
older half is forgotten at once. The newest context_length // 2 tokens are read again from position 0 on, and there is
room until the context is full again.

A context of 6, and n tokens so far:

    n           1  2  3  4  5  6  7  8  9  10  11  12  ...
    start       0  0  0  0  0  0  4  4  4   4   8   8        the window is tokens start ... n - 1
    length      1  2  3  4  5  6  3  4  5   6   3   4

The start depends on n alone: a text goes on in the same way whether it was a prompt or has been generated.
"""


def window_start(n, context_length):
    """Where the window begins from which the token after n >= 1 tokens is predicted."""
    stride = context_length + 1 - kept_when_full(context_length)  # from one start to the next
    return -(-max(n - context_length, 0) // stride) * stride  # the first of them from which all n fit


def kept_when_full(context_length):
    """How many tokens a full context begins anew with: half of it, but never none."""
    return max(context_length // 2, 1)
