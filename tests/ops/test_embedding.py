import numpy as np
import pytest

from minitransformer.ops import embedding, embedding_backward


def test_rows_of_the_table(rng):
    weight, ids = rng.normal(size=(5, 3)), np.array([[4, 0, 4], [1, 1, 1]])
    y, saved = embedding({"weight": weight}, ids)
    assert np.array_equal(y, [[weight[4], weight[0], weight[4]], [weight[1]] * 3])


def test_equal_ids_add_up(rng):
    ids = np.array([[4, 0, 4], [1, 1, 1]])
    y, saved = embedding({"weight": rng.normal(size=(5, 3))}, ids)
    dy = rng.normal(size=y.shape)
    dweight = embedding_backward(dy, saved)["weight"]
    expected = [dy[0, 1], dy[1, 0] + dy[1, 1] + dy[1, 2], [0] * 3, [0] * 3, dy[0, 0] + dy[0, 2]]
    np.testing.assert_allclose(dweight, expected, rtol=1e-14)


@pytest.mark.parametrize("shape", [(), (1,), (2, 1, 3)], ids=str)
def test_ids_of_any_shape(shape, rng):
    weight, ids = rng.normal(size=(5, 3)), np.array(rng.integers(0, 5, shape))
    y, saved = embedding({"weight": weight}, ids)
    assert y.shape == (*shape, 3)
    assert embedding_backward(rng.normal(size=y.shape), saved)["weight"].shape == (5, 3)


@pytest.mark.parametrize("kind", ["uint8", "int32", "uint64"])
def test_ids_of_any_integer_kind(kind, rng):
    weight, ids = rng.normal(size=(300, 2)), np.array([0, 255, 7])
    y, saved = embedding({"weight": weight}, ids.astype(kind))
    assert np.array_equal(y, weight[ids])
    assert embedding_backward(rng.normal(size=y.shape), saved)["weight"][255].all()
