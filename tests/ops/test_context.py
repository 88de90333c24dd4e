"""What a query sees, beside a plain loop over its keys."""

import numpy as np
import pytest

from minitransformer.ops import context


def test_two_tokens_and_one_that_is_not_there():
    s, v = np.log([[[1.0, 3.0, 5.0]]]), np.array([[[1.0, 0.0], [0.0, 1.0], [7.0, 7.0]]])
    np.testing.assert_allclose(context(s, v, mask=np.array([[True, True, False]]))[0], [[[0.25, 0.75]]], rtol=1e-15)


@pytest.mark.parametrize("masked", [False, True])
def test_query_by_query(rng, masked):
    """Every sequence with tokens of its own, the first without any: there z is 0."""
    s, v = rng.normal(size=(3, 4, 5)), rng.normal(size=(3, 5, 2))
    there = np.array([[0, 0, 0, 0, 0], [1, 0, 1, 1, 0], [0, 1, 1, 1, 1]], bool) if masked else np.ones((3, 5), bool)
    z, _ = context(s, v, mask=there if masked else None)
    for b, t in np.ndindex(3, 4):
        e = np.exp(s[b, t, there[b]])
        expected = e @ v[b, there[b]] / e.sum() if len(e) else np.zeros(2)
        np.testing.assert_allclose(z[b, t], expected, rtol=1e-13)
