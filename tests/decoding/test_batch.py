"""Prompts of unequal lengths in one batch: a row is what it would be alone."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from minitransformer.decoding import Batch
from minitransformer.models import PreNormTransformer, Transformer

from .models import gpt2, transformer

LENGTHS = st.lists(st.integers(1, 7), min_size=1, max_size=5)


def draw_prompts(rng, lengths, vocab_size=13):
    return [rng.integers(0, vocab_size, n) for n in lengths]


def alone(model, p, ids):
    """logits (V) after these, by a forward of one row"""
    return model.forward(p, ids[None])[0][0, -1]


@given(LENGTHS, st.integers(0, 10**6))
def test_a_row_of_a_batch_is_that_row_alone(lengths, seed):
    """Prompts, then some tokens one by one, then several at once: always the logits of a forward without padding."""
    model, p = gpt2(16)
    rng = np.random.default_rng(seed)
    texts = draw_prompts(rng, lengths)
    batch = Batch(model, p, model.start(p, len(texts)), texts)
    new = batch.prompts
    for T in (1, 1, 3, 1, 0):
        logits = batch.step(new)
        for row, text in zip(logits, texts):
            expected = alone(model, p, text)
            assert np.ptp(expected) > 0.1
            assert np.max(np.abs(row - expected)) < 1e-12
            assert row.argmax() == expected.argmax()
        new = rng.integers(0, model.vocab_size, (len(texts), T))
        texts = [np.append(text, ids) for text, ids in zip(texts, new)]


@pytest.mark.parametrize("kind", [Transformer, PreNormTransformer])
@given(lengths=LENGTHS, seed=st.integers(0, 10**6))
def test_a_row_of_answers_is_that_answer_alone(kind, lengths, seed):
    """The same of a decoder: beginnings of answers of unequal lengths, each to a source of its own."""
    model, p = transformer(kind)
    rng = np.random.default_rng(seed)
    targets, source = draw_prompts(rng, lengths, 7), rng.integers(0, 7, (len(lengths), 5))
    mask = (np.arange(5) < rng.integers(1, 6, (len(lengths), 1)))[:, None, None]
    batch = Batch(model, p, model.start(p, source, source_mask=mask, length=12), targets)
    new = batch.prompts
    for T in (1, 3, 0):
        logits = batch.step(new)
        for row, (answer, target) in enumerate(zip(logits, targets)):
            here = slice(row, row + 1)
            expected = model.forward(p, source[here], target[None], source_mask=mask[here])[0][0, -1]
            assert np.ptp(expected) > 0.1
            assert np.max(np.abs(answer - expected)) < 1e-12
        new = rng.integers(0, 7, (len(targets), T))
        targets = [np.append(target, ids) for target, ids in zip(targets, new)]


@given(LENGTHS, st.data())
def test_rows_are_left_out_change_places_and_multiply(lengths, data):
    model, p = gpt2(16)
    rng = np.random.default_rng(1)
    texts = draw_prompts(rng, lengths)
    batch = Batch(model, p, model.start(p, len(texts)), texts)
    batch.step(batch.prompts)
    for _ in range(3):
        rows = data.draw(st.lists(st.integers(0, len(texts) - 1), min_size=1, max_size=6))
        batch.keep(rows)
        new = rng.integers(0, model.vocab_size, (len(rows), 1))
        texts = [np.append(texts[row], ids) for row, ids in zip(rows, new)]
        for row, text in zip(batch.step(new), texts):
            assert np.max(np.abs(row - alone(model, p, text))) < 1e-12


def test_what_stands_in_the_padding_is_not_seen():
    model, p = gpt2(16)
    prompts = [[3, 1, 4], [5]]
    logits = []
    for padding in (0, 12):
        batch = Batch(model, p, model.start(p, 2), prompts)
        assert batch.prompts.tolist() == [[3, 1, 4], [0, 0, 5]]
        batch.prompts[1, :2] = padding
        logits.append([batch.step(batch.prompts), batch.step(np.array([[1], [2]]))])
    assert np.array_equal(*logits)


def test_the_layout_and_its_masks():
    """What the model is given, as drawn in the docstring."""
    given = []

    class Listening:
        def step(self, p, ids, caches, **there):
            given.append((ids.tolist(), {name: array.tolist() for name, array in there.items()}))
            caches[0].length += ids.shape[1]

    class Cache:
        length = 0

        def reorder(self, rows):
            pass

    batch = Batch(Listening(), None, [Cache()], [[3, 1, 4, 1], [5, 9]])
    batch.step(batch.prompts)
    batch.step(np.array([[7], [8]]))
    batch.keep([0])
    batch.step(np.array([[6]]))
    assert given == [
        (
            [[3, 1, 4, 1], [0, 0, 5, 9]],
            {"positions": [[0, 1, 2, 3], [0, 0, 0, 1]], "mask": [[[[True] * 4]], [[[False, False, True, True]]]]},
        ),
        ([[7], [8]], {"positions": [[4], [2]], "mask": [[[[True] * 5]], [[[False, False, True, True, True]]]]}),
        ([[6]], {}),  # no padding is left
    ]


def test_caches_that_have_read_something_take_prompts_of_one_length():
    model, p = gpt2(16)
    caches = model.start(p, 2)
    model.step(p, np.array([[1, 2], [3, 4]]), caches)
    batch = Batch(model, p, caches, [[5], [6]])
    np.testing.assert_allclose(batch.step(batch.prompts)[1], alone(model, p, np.array([3, 4, 6])), atol=1e-12)
    with pytest.raises(ValueError, match="unequal lengths need caches that have read nothing yet"):
        Batch(model, p, caches, [[5], [6, 7]])


@pytest.mark.parametrize(
    ("prompts", "error", "message"),
    [
        ([[1], []], ValueError, "a prompt of at least one token is needed, not none as in row 1"),
        ([[1.5]], TypeError, "Cannot cast"),
        ([["1"]], TypeError, "Cannot cast"),
    ],
)
def test_prompts_that_are_none_are_refused(prompts, error, message):
    model, p = gpt2(16)
    with pytest.raises(error, match=message):
        Batch(model, p, model.start(p, len(prompts)), prompts)
