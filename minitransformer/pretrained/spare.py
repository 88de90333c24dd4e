"""Spare rows: a published vocabulary is often padded to a multiple of 64, such as GPT-2's 50257 tokens to 50304.

They are set aside at the door. The model has an id for each token of its tokenizer and no other, so that it says
nothing that cannot be decoded, and learns from what it can say.

    folder → model      the rows of the tokens
    model → folder      the same, and behind them the spare ones as they were, where they are handed over
"""

from dataclasses import replace

import numpy as np

from ..training.checkpoint import vocab_size_of
from ..trees import leaves, tree_with_paths

VOCABULARIES = ("token.weight", "head.weight", "body.token.weight", "table.bias")  # parameters of a row for each id
MOST = 1024  # spare rows, or a sixteenth of all; with more, the tokenizer is another model's, or not whole


def check_tokenizer(tokenizer, model):
    """ValueError unless each id of the tokenizer has a row in the model's embedding, and few rows are spare."""
    n, rows = tokenizer.vocab_size, vocab_size_of(model)
    if n > rows or rows - n > max(MOST, rows // 16):
        more = "" if n > rows else ": too many are spare"
        raise ValueError(f"its tokenizer has {n} tokens, but the model's embedding {rows} rows{more}")


def without_spare(model, p, n):
    """The model of the first n ids and its parameters, of which nothing is copied."""
    if n == vocab_size_of(model):
        return model, p
    return of_vocabulary(model, n), tree_with_paths(lambda path, leaf: leaf[:n] if path in VOCABULARIES else leaf, p)


def with_spare(model, p, spare):
    """The model and its parameters with these rows, {path: rows}, behind those of its ids.

    ValueError unless each of its vocabularies gets as many.
    """
    if not (n := max(map(len, spare.values()), default=0)):
        return model, p
    longer = {path: leaf for path, leaf in leaves(p) if path in VOCABULARIES}
    for path, leaf in longer.items():
        rows, expected = spare.get(path, leaf[:0]), (n, *leaf.shape[1:])
        if rows.shape != expected:
            raise ValueError(f"the spare rows of {path} have shape {rows.shape}, expected {expected}")
        longer[path] = np.concatenate([leaf, rows.astype(leaf.dtype)])
    return of_vocabulary(model, vocab_size_of(model) + n), tree_with_paths(lambda path, leaf: longer.get(path, leaf), p)


def of_vocabulary(model, n):
    """The model with so many ids, or under a head its body."""
    if hasattr(model, "body"):
        return replace(model, body=of_vocabulary(model.body, n))
    return replace(model, vocab_size=n)
