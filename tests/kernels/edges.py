"""What stands at an edge for the kernels of every backend: each of these runs under the one that is chosen."""

import numpy as np
import pytest

from minitransformer import ops

from .cpu.agreement import hold_to_reference
from .cpu.calls import Call


def moments_keep_their_digits():
    """A share of a thousandth, as the squares have: 1 - β₂ of a β₂ in float32 would be off by a hundred-thousandth."""
    w, g = np.zeros((2, 3), np.float32), np.ones((2, 3), np.float32)
    settings = {"t": 1, "learning_rate": 0.1, "eps": 1e-8, "weight_decay": 0.0}
    _, m, v = ops.adamw(w, g, w, w, **settings, beta1=0.9, beta2=0.999)
    np.testing.assert_allclose(m, 0.1, rtol=2e-7)
    np.testing.assert_allclose(v, 0.001, rtol=2e-7)


def lengths_whose_squares_float32_has_not():
    g = {"a": np.array([3e25, 4e25], np.float32), "b": np.ones(3)}
    assert ops.global_norm(g) == pytest.approx(5e25, rel=1e-6)
    assert ops.global_norm(g | {"c": np.array([np.inf, 1])}) == np.inf


def ids_however_they_lie(layout, by, rng):
    """Each is that of the row at its own place."""
    ids, weight = rng.integers(0, 7, (2, 3)), {"weight": rng.normal(size=(7, 5))}
    for op, args in {
        ops.embedding: {"p": weight, "ids": ids},
        ops.cross_entropy: {"logits": rng.normal(size=(2, 3, 7)), "targets": ids},
        ops.linear_cross_entropy: {"p": weight, "x": rng.normal(size=(2, 3, 5)), "targets": ids},
    }.items():
        if by in op.implementations:
            hold_to_reference(Call(op, args, {}, layout), by=by)
