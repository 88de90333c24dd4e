import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from minitransformer.convention import fold
from minitransformer.ops import attention, attention_backward, dropout, softmax


def by_hand(q, k, v, bias=None, mask=None, causal=False):
    """Query by query, key by key, as the definition reads."""
    (B, H, T, K), (G, S) = q.shape, k.shape[1:3]
    bias = np.zeros((B, H, T, S)) if bias is None else np.broadcast_to(bias, (B, H, T, S))
    mask = np.ones((B, H, T, S), bool) if mask is None else np.broadcast_to(mask, (B, H, T, S))
    y = np.zeros(q.shape)
    for b, h, t in np.ndindex(B, H, T):
        g = h // (H // G)
        keys = [s for s in range(S) if mask[b, h, t, s] and (not causal or s - (S - T) <= t)]
        scores = {s: sum(q[b, h, t] * k[b, g, s]) / math.sqrt(K) + bias[b, h, t, s] for s in keys}
        weights = {s: math.exp(score - max(scores.values())) for s, score in scores.items()}
        for s in keys:
            y[b, h, t] += weights[s] / sum(weights.values()) * v[b, g, s]
    return y


@given(data=st.data())
def test_query_by_query(data):
    """Lengths of 1, more queries than keys, groups, bias and mask broadcast in every way, rows without a key."""
    length = st.integers(1, 4)
    B, G, group, T, S, K = (data.draw(length, name) for name in ("B", "G", "group", "T", "S", "K"))
    rng = np.random.default_rng(data.draw(st.integers(0, 2**32 - 1), "seed"))
    H = G * group
    q, k, v = rng.normal(size=(B, H, T, K)), rng.normal(size=(B, G, S, K)), rng.normal(size=(B, G, S, K))
    static = {"causal": data.draw(st.booleans(), "causal")}
    ones = data.draw(st.tuples(*[st.booleans()] * 4), "which axes are 1")
    shape = [1 if one else length for one, length in zip(ones, (B, H, T, S))]
    if data.draw(st.booleans(), "mask"):
        static["mask"] = rng.random((*shape[:3], S)) < 0.5
    bias = rng.normal(size=shape) if data.draw(st.booleans(), "bias") else None
    y, saved = attention(q, k, v, bias, **static)
    np.testing.assert_allclose(y, by_hand(q, k, v, bias, **static), rtol=1e-11, atol=1e-13)
    dbias = attention_backward(rng.normal(size=y.shape), saved)[3]
    assert dbias is None if bias is None else dbias.shape == bias.shape


def test_two_keys_by_hand():
    q, k = np.array([[[[2.0, 0.0]]]]), np.array([[[[0.0, 1.0], [np.log(3) / np.sqrt(2), 5.0]]]])
    v = np.array([[[[1.0, 0.0], [0.0, 1.0]]]])
    y, _ = attention(q, k, v)  # scores 0 and 2 ln 3 / √2 / √2 = ln 3
    np.testing.assert_allclose(y, [[[[0.25, 0.75]]]], rtol=1e-14)


def test_scores_of_random_queries_have_deviation_one(rng):
    """Which no other scale than 1/√K gives, whatever the width of a head."""
    for K in (4, 64):
        q, k = rng.normal(size=(2, 1, 3, 100, K))
        weights = attention(q, k, k)[1].values[4]
        scores = np.log(weights)
        spread = np.std(scores - scores.mean(-1, keepdims=True))
        assert 0.95 < spread < 1.05


def test_a_query_that_may_attend_to_nothing(rng, dtype):
    q, k, v = rng.normal(size=(3, 2, 2, 3, 4)).astype(dtype)
    mask = np.ones((2, 1, 3, 3), bool)
    mask[0, :, 1] = False
    mask[1] = False  # a whole sequence
    y, saved = attention(q, k, v, mask=mask)
    assert not y[0, :, 1].any() and not y[1].any() and y[0, :, [0, 2]].all()
    dq, dk, dv, _ = attention_backward(rng.normal(size=y.shape).astype(dtype), saved)
    assert not dq[0, :, 1].any() and not any(d[1].any() for d in (dq, dk, dv))
    assert all(np.isfinite(d).all() and d[0].any() for d in (dq, dk, dv))


def test_fewer_keys_than_queries_leave_the_first_queries_nothing(rng):
    q, (k, v) = rng.normal(size=(1, 1, 5, 4)), rng.normal(size=(2, 1, 1, 2, 4))
    y, saved = attention(q, k, v, causal=True)
    assert not y[:, :, :3].any()
    np.testing.assert_allclose(y[0, 0, 3], v[0, 0, 0], rtol=1e-15)
    assert not attention_backward(rng.normal(size=y.shape), saved)[0][:, :, :3].any()


@pytest.mark.parametrize("T, S", [(0, 3), (2, 0), (0, 0)])
@pytest.mark.parametrize("causal", [False, True])
def test_no_queries_or_no_keys(T, S, causal, rng):
    q, k, v = rng.normal(size=(2, 3, T, 4)), rng.normal(size=(2, 3, S, 4)), rng.normal(size=(2, 3, S, 4))
    y, saved = attention(q, k, v, rng.normal(size=(1, 3, T, S)), causal=causal)
    gradients = attention_backward(rng.normal(size=y.shape), saved)
    assert y.shape == q.shape and not y.any()
    assert [d.shape for d in gradients] == [q.shape, k.shape, v.shape, (1, 3, T, S)]
    assert not any(d.any() for d in gradients)


def test_large_scores(rng, dtype):
    """Scores of ±1e4, also where the masked one is the largest: no weight goes to it."""
    q, v = np.full((1, 1, 2, 1), 100, dtype), rng.normal(size=(1, 1, 3, 2)).astype(dtype)
    k = np.array([[[[100], [-100], [0]]]], dtype)
    mask = np.array([[[[True, True, True], [False, True, True]]]])
    v = rng.normal(size=(1, 1, 3, 1)).astype(dtype)
    y, saved = attention(q, k, v, mask=mask)
    np.testing.assert_allclose(y[0, 0], v[0, 0, [0, 2]], rtol=1e-6)
    gradients = attention_backward(rng.normal(size=y.shape).astype(dtype), saved)
    assert all(np.isfinite(d).all() for d in gradients[:3])


def test_a_very_negative_live_score_beats_a_masked_one(rng, dtype):
    """Where masking adds -1e4 or -1e9, a live score of -1e4 meets its match."""
    q, k = np.full((1, 1, 1, 1), -1e5, dtype), np.array([[[[1e5], [0]]]], dtype)
    v = np.array([[[[1], [7]]]], dtype)
    y, _ = attention(q, k, v, mask=np.array([[[[True, False]]]]))
    assert y.item() == 1


def test_rows_of_equal_keys_share_the_weight(rng, dtype):
    q, v = rng.normal(size=(2, 1, 1, 3, 4)).astype(dtype)
    k = np.ones_like(q) * 50
    y, _ = attention(q, k, v)
    np.testing.assert_allclose(y[0, 0], np.broadcast_to(v.mean((0, 1, 2)), (3, 4)), rtol=1e-5)


def test_query_heads_share_key_heads_in_groups_side_by_side(rng):
    """Of four query heads, 0 and 1 ask key head 0, and 2 and 3 ask key head 1: repeated, not tiled."""
    q, (k, v) = rng.normal(size=(1, 4, 3, 2)), rng.normal(size=(2, 1, 2, 3, 2))
    y, saved = attention(q, k, v)
    expected, saved_all = attention(q, k[:, [0, 0, 1, 1]], v[:, [0, 0, 1, 1]])
    np.testing.assert_allclose(y, expected, rtol=1e-14)
    dy = rng.normal(size=y.shape)
    dk, dk_all = attention_backward(dy, saved)[1], attention_backward(dy, saved_all)[1]
    np.testing.assert_allclose(dk, np.stack([dk_all[:, :2].sum(1), dk_all[:, 2:].sum(1)], 1), rtol=1e-12)


def test_dropout_acts_on_the_weights(rng):
    q, k, v = rng.normal(size=(3, 2, 1, 4, 3))
    key = fold(np.random.SeedSequence(5), 1)
    y, _ = attention(q, k, v, dropout_rate=0.4, key=key)
    weights, _ = softmax(q @ k.swapaxes(-1, -2) / np.sqrt(3))
    np.testing.assert_allclose(y, dropout(weights, rate=0.4, key=key)[0] @ v, rtol=1e-13)
    assert np.array_equal(attention(q, k, v, dropout_rate=0.4)[0], attention(q, k, v)[0])  # without a key
