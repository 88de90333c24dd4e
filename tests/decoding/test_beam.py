"""Beam search, beside every text there is and beside a search without batches, caches and early ends."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from minitransformer.decoding import Hypothesis, beam_search, decode
from minitransformer.decoding.beam import largest
from minitransformer.models import PreNormTransformer, Transformer

from .models import Constant, Prefixes, gpt2, transformer

ALPHAS = st.sampled_from([0.0, 0.6, 1.0, 3.0, -1.0])


def lp(length, alpha):
    return (5 + length) ** alpha / (5 + 1) ** alpha


def search(model, p, prompts, **how):
    """[[(ids, score), ...], ...] as lists, and each hypothesis checked for its form."""
    found = beam_search(model, p, model.start(p, len(prompts)), prompts, **{"max_tokens": 4, "end": 0} | how)
    assert all(type(each) is Hypothesis and type(each.score) is float for beam in found for each in beam)
    assert all(each.ids.dtype == np.int64 and each.ids.ndim == 1 for beam in found for each in beam)
    return [[(each.ids.tolist(), each.score) for each in beam] for beam in found]


def same(found, expected):
    """The same texts in the same order, with the same scores."""
    assert [ids for ids, _ in found] == [ids for ids, _ in expected]
    np.testing.assert_allclose([score for _, score in found], [score for _, score in expected], rtol=1e-12)


def all_texts(model, prompt, max_tokens, end, alpha):
    """Every text there is, best first, by recursion."""

    def follow(ids, log_p):
        if len(ids) == max_tokens:
            return [(ids, log_p / lp(len(ids), alpha))]
        found = []
        for id, step in enumerate(model.log_p(*prompt, *ids)):
            if step == -np.inf:
                continue
            if id == end:
                found.append((ids, (log_p + step) / lp(len(ids) + 1, alpha)))
            else:
                found += follow([*ids, id], log_p + step)
        return found

    return sorted(follow([], 0.0), key=lambda pair: -pair[1])


def slow_search(model, prompt, *, width, max_tokens, end, length_penalty, early_stopping, n_best):
    """What the docstring says, text by text, and to the last token: it does not know when nothing better comes."""
    running, complete = [([], 0.0)], []
    for t in range(1, max_tokens + 1):
        if early_stopping and len(complete) >= width:
            running = []
        followers = [
            (ids, id, log_p + step)
            for ids, log_p in running
            for id, step in enumerate(model.log_p(*prompt, *ids))
            if step > -np.inf
        ]
        followers.sort(key=lambda follower: -follower[2])
        complete += [(ids, log_p / lp(t, length_penalty)) for ids, id, log_p in followers[:width] if id == end]
        running = [([*ids, id], log_p) for ids, id, log_p in followers if id != end][:width]
    complete += [(ids, log_p / lp(max_tokens, length_penalty)) for ids, log_p in running]
    return sorted(complete, key=lambda pair: -pair[1])[:n_best]


@given(
    V=st.integers(1, 4), max_tokens=st.integers(0, 4), alpha=ALPHAS, end=st.none() | st.just(0), seed=st.integers(0, 99)
)
def test_wide_enough_it_finds_every_text(V, max_tokens, alpha, end, seed):
    """Width V^max_tokens, two prompts at once: all the texts, in their order, and no other."""
    model, prompts = Prefixes(V, seed), [[0], [V - 1, 0, V // 2]]
    width = V**max_tokens
    how = {"width": width, "n_best": width, "max_tokens": max_tokens, "end": end, "length_penalty": alpha}
    for prompt, found in zip(prompts, search(model, None, prompts, **how)):
        expected = all_texts(model, prompt, max_tokens, end, alpha)
        same(found, expected)
        if alpha == 0:
            assert abs(sum(np.exp(score) for _, score in found) - 1) < 1e-12


@settings(max_examples=100)
@given(
    V=st.integers(1, 5),
    width=st.integers(1, 6),
    n_best=st.integers(1, 6),
    max_tokens=st.integers(0, 7),
    alpha=ALPHAS,
    early=st.booleans(),
    forbidden=st.sampled_from([0.0, 0.6]),
    end=st.none() | st.just(0),
    seed=st.integers(0, 10**6),
)
def test_it_is_the_search_that_it_says_it_is(V, width, n_best, max_tokens, alpha, early, forbidden, end, seed):
    """Narrow or wider than the vocabulary; batches of prompts of any lengths, and tokens that may not come."""
    rng = np.random.default_rng(seed)
    model = Prefixes(V, seed, forbidden)
    prompts = [rng.integers(0, V, n) for n in rng.integers(1, 4, rng.integers(1, 4))]
    how = {
        "width": width,
        "n_best": min(n_best, width),
        "max_tokens": max_tokens,
        "end": end,
        "length_penalty": alpha,
        "early_stopping": early,
    }
    for prompt, found in zip(prompts, search(model, None, prompts, **how)):
        same(found, slow_search(model, prompt.tolist(), **how))


@pytest.mark.parametrize("kind", [Transformer, PreNormTransformer])
@pytest.mark.parametrize("alpha", [0.0, 0.6])
@pytest.mark.parametrize("seed", range(2))
def test_scores_of_a_transformer_are_those_of_a_forward(kind, alpha, seed):
    """Every text is read again as a whole, with its source: the caches followed their beams."""
    model, p = transformer(kind, seed)
    rng = np.random.default_rng(seed)
    source = rng.integers(0, 7, (3, 5))
    source_mask = (np.arange(5) < np.array([5, 2, 4])[:, None])[:, None, None]
    caches = model.start(p, source, source_mask=source_mask, length=9)
    found = beam_search(
        model, p, caches, np.ones((3, 1), np.int64), width=5, n_best=5, max_tokens=9, end=3, length_penalty=alpha
    )
    lengths = set()
    for row, beam in enumerate(found):
        assert len(beam) == 5
        assert len({tuple(ids) for ids, _ in beam}) == 5
        for ids, score in beam:
            said = ids if len(ids) == 9 else np.append(ids, 3)
            logits, _ = model.forward(
                p, source[[row]], np.array([[1, *said[:-1]]]), source_mask=source_mask[[row]]
            )  # (1,T,V)
            log_p = logits[0] - np.log(np.exp(logits[0]).sum(-1, keepdims=True))
            expected = log_p[np.arange(len(said)), said].sum() / lp(len(said), alpha)
            assert abs(score - expected) < 1e-10
            assert 3 not in ids
            lengths.add(len(ids))
    assert len(lengths) > 1


@pytest.mark.parametrize("seed", range(3))
def test_scores_of_a_gpt_are_those_of_a_forward(seed):
    """With prompts of unequal lengths, whose lengths do not count."""
    model, p = gpt2(20, seed, vocab_size=6)
    rng = np.random.default_rng(seed)
    prompts = [rng.integers(0, 6, n) for n in (4, 1, 7)]
    how = {"width": 4, "n_best": 4, "max_tokens": 9, "end": 2}
    together = search(model, p, prompts, **how)
    for prompt, beam in zip(prompts, together):
        for ids, score in beam:
            said = ids if len(ids) == 9 else [*ids, 2]
            logits = model.forward(p, np.array([[*prompt, *said[:-1]]]))[0][0, len(prompt) - 1 :]
            log_p = logits - np.log(np.exp(logits).sum(-1, keepdims=True))
            assert abs(score - log_p[np.arange(len(said)), said].sum() / lp(len(said), 0.6)) < 1e-10
        same(search(model, p, [prompt], **how)[0], beam)  # alone


@pytest.mark.parametrize("early", [True, False])
@given(st.integers(0, 10**6))
def test_of_width_one_it_is_greedy(early, seed):
    model, prompts = Prefixes(5, seed), [[1], [2, 3], [4, 4, 0]]
    how = {"max_tokens": 8, "end": 0}
    found = search(model, None, prompts, width=1, length_penalty=0.0, early_stopping=early, **how)
    greedy = decode(model, None, model.start(None, 3), prompts, **how)
    assert [beam[0][0] for beam in found] == [ids.tolist() for ids in greedy]


class Bigrams:
    """log p of each token after each, known by heart."""

    def __init__(self, table):
        with np.errstate(divide="ignore"):
            self.table = np.log(np.array(table))
        self.rows = []

    def start(self, p, batch):
        return []

    def step(self, p, ids, caches):
        self.rows.append(len(ids))
        return self.table[ids[:, -1]]


END, A, B = 0, 1, 2


def test_the_likeliest_beginning_is_not_that_of_the_likeliest_text():
    """By hand: greedy says A (0.6) and has nothing good to follow; B and then the end have 0.4 · 0.9."""
    model = Bigrams([[0.0, 0.6, 0.4], [0.5, 0.25, 0.25], [0.9, 0.05, 0.05]])
    how = {"max_tokens": 3, "length_penalty": 0.0}
    (greedy,) = search(model, None, [[END]], width=1, **how)
    (beam,) = search(model, None, [[END]], width=2, n_best=2, **how)
    same(greedy, [([A], np.log(0.6 * 0.5))])
    same(beam, [([B], np.log(0.4 * 0.9)), ([A], np.log(0.6 * 0.5))])


def test_the_penalty_weighs_length_against_probability():
    """By hand: the end at once has 0.3; A A end has 0.7 · 0.5 · 0.7, said in three tokens. ln 0.3 = -1.204 and
    ln 0.245 = -1.406, over (6/6)^α and (8/6)^α: the longer one is better from α = 0.54 on. A prompt counts nothing."""
    model = Bigrams([[0.3, 0.7, 0.0], [0.0, 0.5, 0.5], [0.7, 0.3, 0.0]])
    for prompt in ([END], [A, B, B, END]):
        for alpha, best in [(0.0, []), (0.5, []), (0.58, [A, B]), (1.0, [A, B])]:
            (beam,) = search(model, None, [prompt], width=3, n_best=2, length_penalty=alpha, max_tokens=3)
            assert beam[0][0] == best
            scores = dict((tuple(ids), score) for ids, score in beam)
            assert abs(scores[()] - np.log(0.3)) < 1e-12
            assert abs(scores[A, B] - np.log(0.245) / (8 / 6) ** alpha) < 1e-12


def test_early_stopping_takes_what_is_complete():
    """By hand, α = 2, width 1: the end (0.5) at once; B after B would have led to a better score."""
    model = Bigrams([[0.5, 0.1, 0.4], [1.0, 0.0, 0.0], [0.05, 0.0, 0.95]])
    how = {"width": 1, "max_tokens": 8, "length_penalty": 2.0}
    (early,) = search(model, None, [[END]], early_stopping=True, **how)
    assert model.rows == [1]
    (patient,) = search(model, None, [[END]], early_stopping=False, **how)
    same(early, [([], np.log(0.5))])
    same(patient, [([B] * 8, (np.log(0.4) + 7 * np.log(0.95)) / (13 / 6) ** 2)])
    assert model.rows == [1] + [1] * 8


def test_early_stopping_waits_for_as_many_as_the_beam_is_wide():
    """One that ends does not stop the others, whatever n_best is."""
    model = Bigrams([[0.5, 0.1, 0.4], [1.0, 0.0, 0.0], [0.05, 0.0, 0.95]])
    how = {"width": 2, "max_tokens": 8, "length_penalty": 9.0}
    (beam,) = search(model, None, [[END]], early_stopping=True, **how)
    assert [ids for ids, _ in beam] == [[A]]  # complete second, and better for its length
    assert model.rows == [1, 2]


def test_early_stopping_does_not_forget_what_is_cut_off():
    """By hand: with the last token two are complete, and so is the third, A A, which is better than both."""
    model = Bigrams([[0.3, 0.7, 0.0], [0.2, 0.8, 0.0], [1.0, 0.0, 0.0]])
    how = {"width": 2, "n_best": 2, "max_tokens": 2, "length_penalty": 0.0}
    (beam,) = search(model, None, [[END]], early_stopping=True, **how)
    same(beam, [([A, A], np.log(0.7 * 0.8)), ([], np.log(0.3))])


def test_it_goes_on_while_one_of_the_n_best_may_change():
    """By hand: the best is found at once; A and then the end (0.12) is complete when A B (0.24) goes on to its end."""
    model = Bigrams([[0.5, 0.4, 0.1], [0.3, 0.1, 0.6], [0.9, 0.05, 0.05]])
    (beam,) = search(model, None, [[END]], width=2, n_best=2, max_tokens=8, length_penalty=0.0)
    same(beam, [([], np.log(0.5)), ([A, B], np.log(0.4 * 0.6 * 0.9))])


def test_where_length_is_punished_the_next_token_is_the_best_time_to_end():
    """By hand, α = -1: the end at once has ln 0.4, less than A and then the end, 7/6 ln 0.6. At max_tokens, 13/6 ln 0.6
    would not have been enough."""
    model = Bigrams([[0.4, 0.6, 0.0], [1.0, 0.0, 0.0], [1.0, 0.0, 0.0]])
    (beam,) = search(model, None, [[END]], width=2, max_tokens=8, length_penalty=-1.0)
    same(beam, [([A], np.log(0.6) * 7 / 6)])


def test_it_ends_when_nothing_better_can_come():
    """Of a thousand tokens allowed it asks for two: what goes on has less than what is complete."""
    model = Bigrams([[0.0, 0.9, 0.1], [0.98, 0.01, 0.01], [0.98, 0.01, 0.01]])
    (beam,) = search(model, None, [[END]], width=2, max_tokens=1000, length_penalty=0.0)
    same(beam, [([A], np.log(0.9 * 0.98))])
    assert model.rows == [1, 2]


def test_only_what_goes_on_is_computed():
    """Three prompts, the first of which ends at once and the second after two steps; no more rows than texts."""
    model = Bigrams([[1.0, 0.0, 0.0], [0.0, 0.0, 1.0], [0.5, 0.25, 0.25]])
    search(model, None, [[END], [A], [B]], width=4, max_tokens=3, length_penalty=0.0, n_best=1)
    assert model.rows[0] == 3
    assert model.rows[1] == 1 + 0  # [A] is followed by B alone; [B] ended with 0.5, more than the others can have


def test_what_may_not_come_does_not_come():
    """Two texts have any probability; five are asked for."""
    model = Bigrams([[0.0, 0.5, 0.5], [1.0, 0.0, 0.0], [1.0, 0.0, 0.0]])
    (beam,) = search(model, None, [[END]], width=5, n_best=5, max_tokens=6, length_penalty=1.0)
    same(beam, [([A], np.log(0.5) * 6 / 7), ([B], np.log(0.5) * 6 / 7)])


def test_equals_come_in_the_order_of_the_ids():
    """Many of them: few are in order by chance."""
    (beam,) = search(Constant(np.zeros(50)), None, [[0]], width=120, n_best=120, max_tokens=2, end=None)
    assert [ids for ids, _ in beam] == [[i // 50, i % 50] for i in range(120)]


def test_no_rows_and_no_tokens():
    model = Prefixes(4, seed=3)
    assert search(model, None, [], width=2) == []
    assert search(model, None, [[1], [2, 3]], width=2, n_best=2, max_tokens=0) == [[([], 0.0)], [([], 0.0)]]
    assert model.rows == []


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"prompts": [[1], []]}, "a prompt of at least one token is needed, not none as in row 1"),
        ({"max_tokens": -1}, "max_tokens must be 0 or more, not -1"),
        ({"width": 0}, r"the beam width must be at least 1 \(greedy\), not 0"),
        ({"n_best": 3}, "n_best must be from 1 to the beam width of 2, not 3"),
        ({"n_best": 0}, "n_best must be from 1 to the beam width of 2, not 0"),
        ({"length_penalty": np.nan}, r"the length penalty must be from -10 to 10 \(0 is none\), not nan"),
        ({"length_penalty": 10.5}, r"the length penalty must be from -10 to 10 \(0 is none\), not 10.5"),
        ({"length_penalty": -1e308}, r"the length penalty must be from -10 to 10 \(0 is none\), not -1e\+308"),
        ({"end": 4}, "the id 4 is to end a text, but is outside the vocabulary of 4"),
        ({"end": -1}, "the id -1 is to end a text, but is outside the vocabulary of 4"),
    ],
)
def test_what_makes_no_sense_is_refused(change, message):
    """Before anything is computed, but for the size of the vocabulary, which the first logits tell."""
    model, arguments = Prefixes(4, seed=0), {"prompts": [[1], [2]], "width": 2} | change
    with pytest.raises(ValueError, match=message):
        search(model, None, **arguments)
    assert model.rows == ([2] if "end" in change else [])


def test_nan_is_refused():
    with pytest.raises(ValueError, match="the largest of the logits is nan"):
        search(Constant([1.0, np.nan]), None, [[0]], width=2)


@pytest.mark.parametrize("n, k", [(3, 5), (7, 4), (5000, 8), (5000, 4000)])
def test_the_largest_of_few_and_of_many(n, k, rng):
    """Beside a sort, with equals and -∞ among them: of many, a selection takes another way than of few."""
    x = rng.integers(0, n, n).astype(np.float64)
    x[rng.random(n) < 0.3] = -np.inf
    expected = sorted(np.flatnonzero(x > -np.inf).tolist(), key=lambda i: (-x[i], i))[:k]
    assert largest(x, k).tolist() == expected
