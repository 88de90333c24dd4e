"""A batch of texts, greedy and drawn."""

import itertools

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from minitransformer.decoding import decode, generate, probabilities
from minitransformer.models import PreNormTransformer, Transformer

from .models import Constant, Prefixes, gpt2, transformer


def listed(texts):
    assert all(text.dtype == np.int64 and text.ndim == 1 for text in texts)
    return [text.tolist() for text in texts]


def run(model, p, prompts, **settings):
    return listed(decode(model, p, model.start(p, len(prompts)), prompts, **{"max_tokens": 9, "end": 0} | settings))


def greedy_by_forward(model, p, prompt, max_tokens, end):
    ids = list(prompt)
    for _ in range(max_tokens):
        id = int(model.forward(p, np.array([ids]))[0][0, -1].argmax())
        if id == end:
            break
        ids.append(id)
    return ids[len(prompt) :]


PROMPTS = st.lists(st.lists(st.integers(0, 4), min_size=1, max_size=4), min_size=1, max_size=6)
SETTINGS = st.fixed_dictionaries(
    {"max_tokens": st.integers(0, 9)},
    optional={
        "end": st.none() | st.integers(0, 4),
        "temperature": st.sampled_from([0.0, 0.7, 2.0]),
        "top_k": st.just(3),
        "repetition_penalty": st.sampled_from([0.5, 2.0]),
        "min_p": st.just(0.1),
    },
)


@given(PROMPTS, SETTINGS, st.integers(0, 10**6))
def test_a_batch_is_its_rows_one_by_one(prompts, settings, seed):
    """Of any lengths, greedy or drawn; the number of the row is what it draws with."""
    model = Prefixes(5, seed)
    together = run(model, None, prompts, seed=seed, **settings)
    for n, (prompt, text) in enumerate(zip(prompts, together)):
        assert run(model, None, [prompt], seed=seed, row_numbers=[n], **settings) == [text]
        assert len(text) <= settings["max_tokens"]
        assert settings.get("end", 0) not in text


@pytest.mark.parametrize("seed", [1, 2, 3])
@pytest.mark.parametrize("temperature", [0.0, 1.0])
def test_so_it_is_with_a_gpt(seed, temperature):
    """Prompts of unequal lengths, and an end that comes early in some rows."""
    model, p = gpt2(24, seed, vocab_size=29)
    rng = np.random.default_rng(seed)
    prompts = [rng.integers(0, 29, n) for n in (3, 1, 7, 7, 2, 5)]
    settings = {"max_tokens": 17, "end": None, "temperature": temperature, "seed": seed}
    settings["end"] = run(model, p, prompts, **settings)[0][5]
    together = run(model, p, prompts, **settings)
    assert len(set(map(len, together))) > 1
    for n, (prompt, text) in enumerate(zip(prompts, together)):
        assert run(model, p, [prompt], row_numbers=[n], **settings) == [text]
        if temperature == 0:
            assert text == greedy_by_forward(model, p, prompt, 17, settings["end"])


@pytest.mark.parametrize("kind", [Transformer, PreNormTransformer])
@pytest.mark.parametrize("seed", range(3))
def test_so_it_is_with_a_transformer(kind, seed):
    """Sources of unequal lengths, one of them all padding."""
    model, p = transformer(kind, seed)
    rng = np.random.default_rng(seed)
    source = rng.integers(0, 7, (5, 6))
    source_mask = (np.arange(6) < np.array([6, 3, 0, 1, 5])[:, None])[:, None, None]

    def translate(rows, n):
        caches = model.start(p, source[rows, :n], source_mask=source_mask[rows, ..., :n], length=12)
        return listed(decode(model, p, caches, np.ones((len(rows), 1), np.int64), max_tokens=12, end=3))

    def by_forward(row):
        ids = [1]
        while len(ids) <= 12:
            logits, _ = model.forward(p, source[[row]], np.array([ids]), source_mask=source_mask[[row]])
            if (id := int(logits[0, -1].argmax())) == 3:
                break
            ids.append(id)
        return ids[1:]

    together = translate(np.arange(5), 6)
    assert together == [by_forward(row) for row in range(5)]
    assert together == [translate([row], n)[0] for row, n in enumerate([6, 3, 1, 1, 5])]


def all_texts(model, prompt, max_tokens, end, settings):
    """{text: its probability}: every text there is, each followed by every token"""
    found, growing = {}, {(): 1.0}
    for _ in range(max_tokens):
        longer = {}
        for text, share in growing.items():
            p = probabilities(model.logits(*prompt, *text), [*prompt, *text], **settings)
            for id in np.flatnonzero(p).tolist():
                if id == end:
                    found[text] = share * p[id]
                else:
                    longer[*text, id] = share * p[id]
        growing = longer
    return found | growing


@pytest.mark.parametrize(
    "settings",
    [{}, {"temperature": 0.5}, {"top_k": 2}, {"top_p": 0.8}, {"min_p": 0.3}, {"repetition_penalty": 3.0}],
)
def test_every_text_comes_as_often_as_it_should(settings):
    """Of every text that there is with three tokens, one of them the end, 3,000 rows draw each its share.

    The statistic Σ (n - Np)²/Np has one degree of freedom less than there are texts; it exceeds its mean by more than
    five of its deviations √2k, and 10, for no seed that chance would give.
    """
    model, N, settings = Prefixes(3, seed=7), 3000, {"temperature": 1.0} | settings
    expected = all_texts(model, (1,), 3, 0, settings)
    assert abs(sum(expected.values()) - 1) < 1e-12
    texts = run(model, None, [[1]] * N, max_tokens=3, seed=0, **settings)
    counts = dict.fromkeys(expected, 0)
    for text in texts:
        counts[tuple(text)] += 1
    common = [text for text in expected if N * expected[text] >= 5]
    k = len(common) - 1
    statistic = sum((counts[text] - N * expected[text]) ** 2 / (N * expected[text]) for text in common)
    assert k > 1
    assert statistic < k + 5 * np.sqrt(2 * k) + 10


def test_what_has_ended_is_not_computed():
    model = Prefixes(4, seed=3)
    prompts = [[1], [2], [3], [1, 2], [3, 3]]
    texts = run(model, None, prompts, max_tokens=12)
    lengths = [len(text) + 1 for text in texts]  # with the end
    assert len(set(lengths)) > 2
    assert model.rows == [sum(length > t for length in lengths) for t in range(min(max(lengths), 12))]


def test_alone_and_greedy_it_is_generate():
    model, p = gpt2(24)
    assert run(model, p, [[3, 1]], max_tokens=20, end=None) == [
        list(generate(model, p, [3, 1], max_tokens=20, temperature=0))
    ]


def test_the_same_seed_the_same_texts():
    model = Prefixes(9, seed=0)

    def drawn(seed):
        return run(model, None, [[1]] * 4, end=None, temperature=1.0, seed=seed)

    assert drawn(7) == drawn(7)
    assert drawn(7) != drawn(8)
    assert drawn(None) != drawn(None)
    for one, other in itertools.combinations(drawn(7), 2):  # equal prompts, keys of their own
        assert one != other


def test_what_was_read_before_counts_as_repeated():
    """The prompt and what was said: with a large penalty, nothing comes twice as long as there is anything else."""
    (text,) = run(Constant([2.0, 1.9, 1.8, 1.7, 1.6]), None, [[3, 3]], max_tokens=4, end=None, repetition_penalty=9.0)
    assert text == [0, 1, 2, 4]


def test_no_rows_and_no_tokens():
    model = Prefixes(4, seed=3)
    assert run(model, None, []) == []
    assert run(model, None, [[1], [2, 3]], max_tokens=0) == [[], []]
    assert model.rows == []
    assert run(model, None, [[1, 0]], max_tokens=0) == [[]]  # a prompt may have said `end`


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"prompts": [[1], []]}, "a prompt of at least one token is needed, not none as in row 1"),
        ({"max_tokens": -1}, "max_tokens must be 0 or more, not -1"),
        ({"seed": -1}, "the seed must be 0 or more, not -1"),
        ({"end": 4}, "the id 4 is to end a text, but is outside the vocabulary of 4"),
        ({"end": -1}, "the id -1 is to end a text, but is outside the vocabulary of 4"),
        ({"temperature": -1.0}, r"the temperature must be 0 \(greedy\) or more, not -1.0"),
        ({"temperature": np.nan}, r"the temperature must be 0 \(greedy\) or more, not nan"),
        ({"min_p": 2.0}, "min_p must be from 0 to 1"),
    ],
)
def test_what_makes_no_sense_is_refused(change, message):
    """Before anything is computed, but for the size of the vocabulary, which the first logits tell."""
    model, arguments = Prefixes(4, seed=0), {"prompts": [[1], [2]]} | change
    with pytest.raises(ValueError, match=message):
        run(model, None, **arguments)
    assert model.rows == ([2] if "end" in change else [])


def test_nan_and_foreign_ids_are_refused():
    with pytest.raises(ValueError, match="the largest of the logits is nan"):
        run(Constant([1.0, np.nan]), None, [[0]])
    model, p = gpt2(8)
    with pytest.raises(ValueError, match="outside the vocabulary of 13"):
        run(model, p, [[1, 13]])


def test_a_context_that_is_too_short_is_refused():
    model, p = gpt2(8)
    assert len(run(model, p, [[1, 2, 3]], max_tokens=6, end=None)[0]) == 6  # the last is not read
    with pytest.raises(ValueError, match="outside the context of 8"):
        run(model, p, [[1, 2, 3]], max_tokens=7, end=None)


@pytest.mark.parametrize("numbers", [[], [0], [0, 1, 2]])
def test_a_number_for_each_row(numbers):
    model, p = gpt2(8)
    with pytest.raises(ValueError, match=f"{len(numbers)} row numbers for 2 prompts"):
        decode(model, p, model.start(p, 2), [[1], [2]], max_tokens=1, row_numbers=numbers)
