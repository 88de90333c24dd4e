"""A batch of texts, each until it ends: greedy or drawn.

What has ended leaves the batch. Nothing that stands beside a text changes it, up to rounding in the logits, and each
draws from a key of its own: alone or in a batch, a text is the same.
"""

import numpy as np

from ..convention import fold, generator
from .batch import Batch, check_end, check_max_tokens
from .sampling import check_settings, choose, key_of, probabilities


def decode(
    model, p, caches, prompts, *, max_tokens, end=None, temperature=0.0, seed=None, row_numbers=None, **settings
):
    """prompts, B sequences of ids   ->   B arrays of the ids that follow: at most max_tokens, up to `end`, left out

    caches: as `model.start` gives them for B rows, and used up by this   end: an id; None: nothing ends a text early
    temperature, 0 is greedy, and settings as in `probabilities`   seed: an integer; None for others every time
    row_numbers (B), by default 0 ... B - 1: a text is drawn with the seed and the number of its row
    ValueError for settings that make no sense, an empty prompt, and ids outside the vocabulary; and where logits are
    NaN. Prompts of unequal lengths need a model whose `step` takes `positions` and `mask`.
    """
    settings["temperature"] = temperature
    check_settings(**settings)
    check_max_tokens(max_tokens)
    key = key_of(seed)
    batch = Batch(model, p, caches, prompts)
    if row_numbers is not None and len(row_numbers) != len(prompts):
        raise ValueError(f"{len(row_numbers)} row numbers for {len(prompts)} prompts")
    rngs = [generator(fold(key, int(n))) for n in (range(len(prompts)) if row_numbers is None else row_numbers)]
    texts = [list(prompt) for prompt in prompts]
    writing = np.arange(len(texts))  # which text each row of the batch writes
    ids = batch.prompts
    for _ in range(max_tokens):
        if not len(writing):
            break
        logits = batch.step(ids)  # (rows,V)
        check_end(end, logits.shape[1])
        for text, of_text in zip(writing, logits):
            texts[text].append(choose(probabilities(of_text, texts[text], **settings), rngs[text].random()))
        going_on = [row for row, text in enumerate(writing) if texts[text][-1] != end]
        batch.keep(going_on)
        writing = writing[going_on]
        ids = np.array([[texts[text][-1]] for text in writing], np.int64)
    new = [text[len(prompt) :] for text, prompt in zip(texts, prompts)]
    return [np.array(text[:-1] if text and text[-1] == end else text, np.int64) for text in new]
