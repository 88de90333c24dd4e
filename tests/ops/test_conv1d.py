import numpy as np
import pytest

from minitransformer.gradcheck import Draw
from minitransformer.ops import conv1d, conv1d_backward


def set_out(rng, B=3, T=6, D=2, E=4, K=3):
    draw = Draw(rng)
    return {"weight": draw(E, D, K), "bias": draw(E)}, draw(B, T, D), draw.tokens(B, T)


@pytest.mark.parametrize("before, after", [(0, 0), (2, 0), (0, 2), (1, 3)])
def test_as_it_is_defined(before, after, rng):
    """Place by place, channel by channel."""
    p, x, _ = set_out(rng)
    y, _ = conv1d(p, x, padding=(before, after))
    assert y.shape == (3, 6 + before + after - 2, 4)
    for b, t, e in np.ndindex(y.shape):
        places = [(k, t + k - before) for k in range(3) if 0 <= t + k - before < 6]
        expected = p["bias"][e] + sum(p["weight"][e, d, k] * x[b, s, d] for k, s in places for d in range(2))
        assert y[b, t, e] == pytest.approx(expected, rel=1e-11, abs=1e-12)


def test_what_is_masked_is_zero_whatever_it_was(rng):
    p, x, mask = set_out(rng)
    expected, _ = conv1d(p, np.where(mask[..., None], x, 0))
    y, saved = conv1d(p, np.where(mask[..., None], x, np.nan), mask=mask)
    dx, g = conv1d_backward(rng.normal(size=y.shape), saved)
    assert np.array_equal(y, expected) and not dx[~mask].any() and dx[mask].all()
    assert np.isfinite(g["weight"]).all()


def test_a_place_is_seen_by_its_windows_and_no_others(rng):
    p, x, _ = set_out(rng)
    before, _ = conv1d(p, x)
    x = x.copy()
    x[:, 3] += 1
    after, _ = conv1d(p, x)
    assert (before != after).any((0, 2)).tolist() == [False, True, True, True]  # windows begin at 0, 1, 2, 3


def test_of_one_place_it_is_a_linear_map(rng):
    p, x, _ = set_out(rng, K=1)
    np.testing.assert_allclose(conv1d(p, x)[0], x @ p["weight"][..., 0].T + p["bias"], rtol=1e-12)


def test_what_does_not_fit(rng):
    p, x, _ = set_out(rng)
    with pytest.raises(ValueError, match=r"conv1d: no window of 3 fits into x of shape \(3, 2, 2\)"):
        conv1d(p, x[:, :2])
    with pytest.raises(ValueError, match="no window of 3 fits"):
        conv1d(p, x, padding=(-1, 0))
    with pytest.raises(ValueError, match=r"conv1d: weight has shape \(4, 2, 3\), expected \(E D K\) with .* D = 3"):
        conv1d(p, rng.normal(size=(3, 6, 3)))
