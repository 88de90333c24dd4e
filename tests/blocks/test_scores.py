"""The scores of attention before it had heads: pair by pair as defined, and how one is the other."""

import numpy as np
import pytest

from minitransformer.blocks import bahdanau_scores, concat_scores, general_scores
from minitransformer.gradcheck import Draw
from minitransformer.ops import additive_scores, dot_scores, linear

B, T, S, D, E, A = 2, 3, 5, 4, 6, 7


def set_out(rng):
    draw = Draw(rng)
    return draw, draw(B, T, D), draw(B, S, E)


def close(a, b):
    np.testing.assert_allclose(a, b, rtol=1e-11, atol=1e-12)


def pair_by_pair(score, q, k):
    return np.array([[[score(one, other) for other in k[b]] for one in q[b]] for b in range(len(q))])


def test_dot(rng):
    draw, q, _ = set_out(rng)
    k = draw(B, S, D)
    close(dot_scores(q, k)[0], pair_by_pair(lambda one, other: sum(one * other), q, k))


def test_general(rng):
    draw, q, k = set_out(rng)
    W = draw(D, E)
    close(general_scores({"key": {"weight": W}}, q, k)[0], pair_by_pair(lambda one, other: one @ W @ other, q, k))


def test_bahdanau(rng):
    draw, q, k = set_out(rng)
    W, U, v, b = draw(A, D), draw(A, E), draw(A), draw(A)
    p = {"query": {"weight": W}, "key": {"weight": U, "bias": b}, "score": {"weight": v}}
    expected = pair_by_pair(lambda one, other: v @ np.tanh(W @ one + U @ other + b), q, k)
    close(bahdanau_scores(p, q, k)[0], expected)
    mapped, _ = linear(p["key"], k)  # once, and then query by query
    for t in range(T):
        s, _ = additive_scores(p["score"], linear(p["query"], q[:, t : t + 1])[0], mapped)
        close(s[:, 0], expected[:, t])


def test_concat(rng):
    draw, q, k = set_out(rng)
    W, v, b = draw(A, D + E), draw(A), draw(A)
    p = {"pair": {"weight": W, "bias": b}, "score": {"weight": v}}
    expected = pair_by_pair(lambda one, other: v @ np.tanh(W @ np.concatenate([one, other]) + b), q, k)
    close(concat_scores(p, q, k)[0], expected)


def test_concat_is_bahdanaus_with_one_matrix(rng):
    draw, q, k = set_out(rng)
    W, U, score, ds = draw(A, D), draw(A, E), {"weight": draw(A)}, draw(B, T, S)
    s, saved = concat_scores({"pair": {"weight": np.concatenate([W, U], 1)}, "score": score}, q, k)
    expected, saved_expected = bahdanau_scores({"query": {"weight": W}, "key": {"weight": U}, "score": score}, q, k)
    close(s, expected)
    dq, dk, g = concat_scores.backward(ds, saved)
    dq_expected, dk_expected, g_expected = bahdanau_scores.backward(ds, saved_expected)
    close(dq, dq_expected)
    close(dk, dk_expected)
    close(g["pair"]["weight"], np.concatenate([g_expected["query"]["weight"], g_expected["key"]["weight"]], 1))


def test_large_sums_have_bounded_scores_and_no_gradient(rng):
    draw, q, k = set_out(rng)
    v = draw(D)
    s, saved = additive_scores({"weight": v}, 1e6 * q, 1e6 * draw(B, S, D))
    assert np.abs(s).max() <= np.abs(v).sum() * (1 + 1e-12)
    dq, dk, g = additive_scores.backward(draw(B, T, S), saved)
    assert not dq.any() and not dk.any() and g["weight"].all()


REFUSED = {
    "another width": (lambda q, k: dot_scores(q, k), r"dot_scores: k has shape \(2, 5, 6\), expected \(B S A\) with"),
    "another batch": (lambda q, k: dot_scores(q, q[:1]), r"dot_scores: k has shape \(1, 3, 4\), expected \(B S A\)"),
    "another width of v": (
        lambda q, k: additive_scores({"weight": np.ones(3)}, q, q),
        r"additive_scores: q has shape \(2, 3, 4\), expected \(B T A\) with A = 3",
    ),
    "a pair of another width": (
        lambda q, k: concat_scores({"pair": {"weight": np.ones((7, 9))}, "score": {"weight": np.ones(7)}}, q, k),
        r"concat_scores: pair.weight has shape \(7, 9\), expected \(A, 4 \+ 6\)",
    ),
}


@pytest.mark.parametrize("what", REFUSED)
def test_what_does_not_fit(what, rng):
    _, q, k = set_out(rng)
    call, words = REFUSED[what]
    with pytest.raises(ValueError, match=words):
        call(q, k)
