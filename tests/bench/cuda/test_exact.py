"""The answer that every contender is held to."""

import numpy as np
import pytest

from bench.cuda import attention
from bench.cuda.contenders import by_backend
from bench.cuda.exact import exact, expected, known_heads, off_by
from minitransformer.ops.attention import attention as operation

from .made_up import TINY


@pytest.mark.parametrize("causal", [True, False])
def test_the_exact_answer_is_the_references(causal):
    q, k, v, dy = np.random.default_rng(0).normal(size=(4, 1, 1, 23, 5))
    y, saved = operation.__wrapped__(q, k, v, causal=causal)
    theirs = y, *operation.implementations["reference"][1](dy, saved)[:3]
    mine = exact(*(part[0, 0] for part in (q, k, v, dy)), causal, rows=7)
    for one, other in zip(mine, theirs, strict=True):
        assert np.abs(one - other[0, 0]).max() < 1e-13


def test_the_exact_answer_is_that_of_every_head_it_is_known_of():
    inputs = attention.inputs_of(TINY)
    exact = expected(inputs, TINY)
    work = by_backend("reference")(inputs, TINY, "float32")
    work.forward(), work.backward()
    answer = work.answer(list(exact))
    assert set(exact) == {(0, 0), (1, 1)} and off_by(answer, exact) < 1e-6
    for name in ("y", "dq", "dk", "dv"):
        damaged = {head: {part: array.copy() for part, array in parts.items()} for head, parts in answer.items()}
        damaged[1, 1][name][-1, -1] = np.nan
        assert not off_by(damaged, exact) <= 1
    assert known_heads(attention.Size(4096)) == [(1, 31)]
