import numpy as np
import pytest

from minitransformer.ops import linear, linear_backward

from ..arrays import shares_memory


def test_by_hand():
    p = {"weight": np.array([[1.0, 2.0], [0.0, -1.0], [3.0, 0.5]]), "bias": np.array([10.0, 20.0, 30.0])}
    y, saved = linear(p, np.array([[1.0, 1.0], [2.0, 0.0]]))
    assert np.array_equal(y, [[13, 19, 33.5], [12, 20, 36]])
    dx, g = linear_backward(np.array([[1.0, 0.0, 0.0], [0.0, 1.0, 2.0]]), saved)
    assert np.array_equal(dx, [[1, 2], [6, 0]])
    assert np.array_equal(g["weight"], [[1, 1], [2, 0], [4, 0]])
    assert np.array_equal(g["bias"], [1, 1, 2])


@pytest.mark.parametrize("bias", [False, True])
@pytest.mark.parametrize("shape", [(), (1,), (3,), (2, 1, 3)], ids=str)
def test_every_row_alike(shape, bias, rng):
    p = {"weight": rng.normal(size=(4, 5))} | ({"bias": rng.normal(size=4)} if bias else {})
    x = rng.normal(size=(*shape, 5))
    y, saved = linear(p, x)
    dy = rng.normal(size=(*shape, 4))
    dx, g = linear_backward(dy, saved)
    for row in np.ndindex(shape):
        np.testing.assert_allclose(y[row], p["weight"] @ x[row] + p.get("bias", 0), rtol=1e-12)
        np.testing.assert_allclose(dx[row], p["weight"].T @ dy[row], rtol=1e-12, atol=1e-14)
    rows = list(np.ndindex(shape))
    np.testing.assert_allclose(g["weight"], sum(np.outer(dy[row], x[row]) for row in rows), rtol=1e-11, atol=1e-14)
    assert g.keys() == p.keys()
    assert not any(shares_memory(leaf, [x, dy, *p.values()]) for leaf in g.values())  # of a single row neither
