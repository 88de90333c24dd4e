"""Decoding token by token: the cache, the window, the randomness."""

import itertools

import numpy as np
import pytest

from minitransformer.decoding import CachedReader, Reader, generate, window_start

from .models import Constant, Remembering, gpt2

CONTEXTS = (1, 2, 5, 8)


def prompts(rng, context_length, vocab_size):
    """A prompt of one token, one shorter than the context, as long, one longer, and several times as long."""
    C = context_length
    return [rng.integers(0, vocab_size, n) for n in sorted({1, max(C - 1, 1), C, C + 1, 3 * C + 2})]


@pytest.mark.parametrize("context_length", CONTEXTS)
@pytest.mark.parametrize("seed", range(2))
def test_cached_logits_are_those_of_a_forward(context_length, seed):
    """To rounding, over several overflows, from every kind of prompt."""
    model, p = gpt2(context_length, seed)
    rng = np.random.default_rng(seed)
    for ids in prompts(rng, context_length, model.vocab_size):
        cached, full = CachedReader(model, p), Reader(model, p)
        for _ in range(3 * context_length + 4):
            expected = full(ids)
            assert np.ptp(expected) > 0.1
            assert expected.shape == (model.vocab_size,)
            assert np.max(np.abs(cached(ids) - expected)) <= 1e-10
            ids = np.append(ids, rng.integers(0, model.vocab_size, rng.integers(1, 3)))  # some tokens, not always one


@pytest.mark.parametrize("cached", [True, False])
@pytest.mark.parametrize("context_length", CONTEXTS)
def test_the_model_sees_the_window_and_nothing_else(cached, context_length):
    """A model whose logits spell out what it has read."""
    model = Remembering(context_length)
    read = CachedReader(model, None) if cached else Reader(model, None)
    rng = np.random.default_rng(context_length)
    for ids in prompts(rng, context_length, 100):
        read = type(read)(model, None)
        for _ in range(3 * context_length + 4):
            window = ids[window_start(len(ids), context_length) :]
            assert read(ids).tolist() == [*window, *[-1] * (context_length + 1 - len(window))]
            ids = np.append(ids, rng.integers(0, 100))


def test_with_a_cache_every_token_is_read_once_until_the_context_is_full():
    model = Remembering(6)
    list(generate(model, None, [1, 0, 2], max_tokens=10, temperature=0))
    assert model.read == [3, 1, 1, 1, 3, 1, 1, 1, 3, 1]
    model.read.clear()
    list(generate(model, None, [1, 0, 2], max_tokens=10, temperature=0, cached=False))
    assert model.read == [3, 4, 5, 6, 3, 4, 5, 6, 3, 4]


@pytest.mark.parametrize("cached", [True, False])
def test_every_token_of_the_window_matters_and_none_before_it(cached):
    model, p = gpt2(6)
    ids = np.random.default_rng(1).integers(0, model.vocab_size, 15)  # 6 + 4 + 4 were too few
    start = window_start(15, 6)
    assert start == 12
    logits = (CachedReader if cached else Reader)(model, p)(ids)
    for i in range(15):
        changed = ids.copy()
        changed[i] = (ids[i] + 5) % model.vocab_size
        moved = np.max(np.abs((CachedReader if cached else Reader)(model, p)(changed) - logits))
        assert moved > 1e-3 if i >= start else moved == 0


@pytest.mark.parametrize("seed", range(3))
@pytest.mark.parametrize(
    "settings", [{}, {"temperature": 0.7}, {"top_k": 3}, {"top_p": 0.6, "temperature": 1.5}, {"min_p": 0.1}]
)
def test_with_and_without_a_cache_the_same_ids(seed, settings):
    model, p = gpt2(5, seed)
    runs = [list(generate(model, p, [3, 1], max_tokens=30, seed=seed, cached=c, **settings)) for c in (True, False)]
    assert runs[0] == runs[1]
    assert len(runs[0]) == 30
    assert len(set(runs[0])) > 1


def test_the_same_seed_the_same_ids():
    model, p = gpt2(5)

    def run(seed):
        return list(generate(model, p, [3, 1], max_tokens=40, seed=seed))

    assert run(7) == run(7)
    assert run(7) != run(8)
    assert run(None) != run(None)


def test_more_tokens_begin_with_the_same_ones():
    model, p = gpt2(5)
    long = list(generate(model, p, [3], max_tokens=25, seed=2))
    assert list(generate(model, p, [3], max_tokens=9, seed=2)) == long[:9]


def test_greedy_takes_the_largest_logit_every_time():
    model, p = gpt2(5)
    ids = [3, 1]
    for id in generate(model, p, ids, max_tokens=20, temperature=0):
        assert id == np.argmax(Reader(model, p)(np.array(ids)))
        ids = [*ids, id]
    assert len(ids) == 22


def test_the_whole_text_counts_as_repeated_not_the_window_alone():
    """Nothing comes twice as long as there is anything else; the context is of 4, and there are 9 to choose from."""
    ids = generate(Constant(np.linspace(2, 1, 9)), None, [8], max_tokens=9, temperature=0, repetition_penalty=9.0)
    assert list(ids) == [0, 1, 2, 3, 4, 5, 6, 7, 0]


@pytest.mark.parametrize("cut", [1, 4, 5, 6, 17])
def test_generated_or_prompt_the_text_goes_on_in_the_same_way(cut):
    model, p = gpt2(5)
    whole = [3, *generate(model, p, [3], max_tokens=30, temperature=0)]
    assert list(generate(model, p, whole[:cut], max_tokens=31 - cut, temperature=0)) == whole[cut:]


def test_ids_come_as_often_as_they_should():
    """20,000 draws: the statistic Σ (n - Np)²/Np has 5 degrees of freedom and exceeds 25.7 once in 10,000 seeds."""
    logits, N = np.array([0.0, 2.0, -1.0, 1.0, -0.5, 0.5]), 20_000
    p = np.exp(logits) / np.exp(logits).sum()
    ids = list(generate(Constant(logits), None, [0], max_tokens=N, seed=0))
    n = np.bincount(ids, minlength=6)
    assert np.sum((n - N * p) ** 2 / (N * p)) < 25.7
    together = np.zeros((6, 6))  # each pair of successive ids as often as two independent draws give it: 35 degrees
    np.add.at(together, (ids[:-1], ids[1:]), 1)
    expected = (N - 1) * np.outer(p, p)
    assert np.sum((together - expected) ** 2 / expected) < 75.2


def test_it_yields_ids_as_they_come():
    model = Remembering(8)
    ids = generate(model, None, [1, 2], max_tokens=10**9, seed=0)
    assert model.read == []
    first = list(itertools.islice(ids, 3))
    assert all(type(id) is int for id in first)
    assert model.read == [2, 1, 1]


@pytest.mark.parametrize(
    "ids", [[4, 2], (4, 2), np.array([4, 2]), np.array([4, 2], np.uint8), np.array([4, 0, 2])[::2]]
)
def test_prompts_of_any_kind(ids):
    model, p = gpt2(3)
    kept = np.array(ids).tolist()
    assert list(generate(model, p, ids, max_tokens=8, seed=1)) == list(generate(model, p, [4, 2], max_tokens=8, seed=1))
    assert np.array(ids).tolist() == kept


def test_no_tokens_asked_for_none_given():
    model, p = gpt2(3)
    assert list(generate(model, p, [1], max_tokens=0)) == []


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"ids": []}, "a prompt of at least one token is needed"),
        ({"ids": np.zeros(0, np.int64)}, "a prompt of at least one token is needed"),
        ({"ids": [[1, 2]]}, r"a prompt of at least one token is needed, not ids of shape \(1, 2\)"),
        ({"max_tokens": -1}, "max_tokens must be 0 or more, not -1"),
        ({"seed": -1}, "the seed must be 0 or more, not -1"),
        ({"temperature": -1.0}, "the temperature must be 0"),
        ({"top_k": 0}, "top_k must be at least 1"),
        ({"top_p": 0.0}, "top_p must be above 0"),
    ],
)
def test_what_makes_no_sense_is_refused_at_the_door(change, message):
    """At the call, before anything is computed or asked for."""
    model, p = gpt2(3)
    arguments = {"ids": [1], "max_tokens": 5} | change
    with pytest.raises(ValueError, match=message):
        generate(model, p, **arguments)


@pytest.mark.parametrize("cached", [True, False])
@pytest.mark.parametrize("ids", [[1, 13], [-1]])
def test_ids_outside_the_vocabulary_are_refused(cached, ids):
    model, p = gpt2(3)
    with pytest.raises(ValueError, match="outside the vocabulary of 13"):
        next(generate(model, p, ids, max_tokens=5, cached=cached))


@pytest.mark.parametrize("temperature", [0, 1])
@pytest.mark.parametrize("cached", [True, False])
def test_nan_is_refused(cached, temperature):
    with pytest.raises(ValueError, match="the largest of the logits is nan"):
        next(generate(Constant([1.0, np.nan, 5.0]), None, [0], max_tokens=5, temperature=temperature, cached=cached))
