import numpy as np
import pytest

from minitransformer.ops import global_norm


@pytest.mark.parametrize("dtype", ["float32", "float64", "longdouble"])
def test_the_norm_of_everything_in_one_vector(dtype, rng):
    g = {"b": rng.normal(size=(2, 3)), "a": [rng.normal(size=4), {"c": rng.normal(size=(1, 2, 2)).T}]}
    g = {"b": g["b"].astype(dtype), "a": [g["a"][0].astype(dtype), {"c": g["a"][1]["c"].astype(dtype)}]}
    flat = np.concatenate([g["b"].ravel(), g["a"][0], g["a"][1]["c"].ravel()]).astype(float)
    assert global_norm(g) == pytest.approx(np.linalg.norm(flat), rel=1e-14)
    assert type(global_norm(g)) is float


def test_the_same_bits_in_whatever_order_the_tree_was_built(rng):
    parts = {name: rng.normal(size=50).astype("f") for name in "abcdefg"}
    assert global_norm(parts) == global_norm(dict(reversed(parts.items())))


def test_squares_that_do_not_fit_float32():
    assert global_norm({"a": np.full(4, 1e30, "f")}) == pytest.approx(2e30, rel=1e-6)
    assert global_norm({"a": np.full(4, 1e-30, "f")}) == pytest.approx(2e-30, rel=1e-6)


def test_no_gradients_at_all():
    assert global_norm({}) == global_norm({"a": np.zeros((0, 3))}) == 0
