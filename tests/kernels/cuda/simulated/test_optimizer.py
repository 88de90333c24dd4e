"""What an optimizer asks of a device: many leaves moved in one launch, and the length of a gradient."""

import re

import numpy as np
import pytest

import minitransformer.kernels.cuda.backend  # noqa: F401  which brings the kernels
from minitransformer import ops
from minitransformer.kernels.cuda import many
from minitransformer.trees import leaves

from ....arrays import same_bits
from ...cpu.agreement import backend
from ...cpu.calls import LAYOUTS
from ...edges import lengths_whose_squares_float32_has_not, moments_keep_their_digits


@pytest.mark.parametrize("layout", [name for name in LAYOUTS if name != "read-only"])
@pytest.mark.parametrize("shape", [(), (7,), (5, 9)], ids=str)
def test_an_update_in_place(shape, layout, rng):
    """Written where the old w, m and v were, in whatever memory, or elsewhere: the same bits, and g as it was."""
    old = [rng.normal(size=shape) for _ in range(3)] + [np.square(rng.normal(size=shape))]
    rates = {"learning_rate": 0.1, "beta1": 0.9, "beta2": 0.99, "eps": 1e-8, "weight_decay": 0.1}
    settings = {"t": 3, "factor": 0.5} | rates

    def place():
        return [LAYOUTS[layout](np.asarray(array), np.float32) for array in old]

    new = ops.adamw(*place(), **settings)
    w, g, m, v = place()
    out = ops.adamw(w, g, m, v, **settings, out=(w, m, v))
    assert same_bits([w, m, v], [np.asarray(part) for part in new]) and same_bits([g], [place()[1]])
    assert all(part is given for part, given in zip(out, (w, m, v), strict=True))


def test_what_is_new_keeps_its_digits():
    moments_keep_their_digits()


@pytest.mark.parametrize("size", [many.CHUNK - 1, many.CHUNK, many.CHUNK + 1, 3 * many.CHUNK])
def test_leaves_of_any_size_side_by_side(size, rng):
    """Each moves as it does alone: across the borders of chunks, beside leaves with nothing in them, of any dtype."""
    sizes = [0, size, 1, 0, 0, 2 * size + 1, 0]
    leaves = [[np.abs(rng.normal(size=n)).astype(kind) for n in sizes for kind in "fd"] for _ in range(4)]
    settings = {"t": 3, "beta1": 0.9, "beta2": 0.99, "eps": 1e-8}
    each = {name: rng.random(len(leaves[0])).tolist() for name in ("learning_rate", "weight_decay")}
    together = ops.adamw_many(*leaves, **settings, **each)
    own = [dict(zip(each, numbers)) for numbers in zip(*each.values())]
    alone = list(zip(*(ops.adamw(*parts, **settings, **more) for *parts, more in zip(*leaves, own))))
    assert all(same_bits(ours, theirs) for ours, theirs in zip(together, alone, strict=True))


@pytest.mark.parametrize(
    "which, wrong, words",
    [
        ("g", np.ones(2), "adamw: g has shape (2,), expected (...) with ... = (3,)"),
        ("v", np.ones((3, 1)), "adamw: v has shape (3, 1), expected (...) with ... = (3,)"),
        ("m", np.ones(3, np.float32), "adamw: m is float32, but g is float64"),
        ("out", np.ones(2), "adamw: m has shape (2,), expected (...) with ... = (3,)"),
        ("out", np.ones(3, np.float32), "adamw: m is float32, but g is float64"),
    ],
    ids=repr,
)
def test_a_leaf_that_does_not_fit_the_others_is_turned_away(which, wrong, words):
    """Kernels are told where it begins, and would read and write past its end."""
    leaves = {name: [np.ones(4), np.ones(3)] for name in "wgmv"}
    out = [list(leaves[name]) for name in "wmv"]
    (out[1] if which == "out" else leaves[which])[1] = wrong
    settings = {"t": 1, "learning_rate": [0.1] * 2, "weight_decay": [0.1] * 2, "beta1": 0.9, "beta2": 0.99, "eps": 1e-8}
    with pytest.raises((ValueError, TypeError), match=re.escape(words)):
        ops.adamw_many(*leaves.values(), **settings, out=out if which == "out" else None)


def test_half_precision_is_the_references(rng):
    leaves = [[np.abs(rng.normal(size=5)).astype(np.float16)] for _ in range(4)]
    settings = {"t": 1, "learning_rate": [0.1], "weight_decay": [0.1], "beta1": 0.9, "beta2": 0.99, "eps": 1e-3}
    found = ops.adamw_many(*leaves, **settings)
    with backend("reference"):
        expected = ops.adamw_many(*leaves, **settings)
    assert same_bits([part for (part,) in found], [part for (part,) in expected])
    exact = np.sqrt(np.sum(leaves[0][0].astype(np.float64) ** 2))
    assert ops.global_norm({"a": leaves[0][0]}) == pytest.approx(exact, rel=1e-12)


@pytest.mark.parametrize("factor", [1.0, 0.25])
def test_the_length_of_a_gradient(factor, rng):
    g = {"a": factor * rng.normal(size=(5, 9)), "b": [rng.normal(size=17), rng.normal(size=(0, 3))], "c": {}}
    exact = np.sqrt(sum(np.sum(np.square(leaf)) for _, leaf in leaves(g)))
    assert ops.global_norm(g) == pytest.approx(exact, rel=1e-14)
    mixed = {"a": g["a"], "b": g["b"][0].astype(np.float32)}
    assert ops.global_norm(mixed) == pytest.approx(np.sqrt(np.sum(g["a"] ** 2) + np.sum(g["b"][0] ** 2)), rel=1e-6)
    assert ops.global_norm({}) == 0


@pytest.mark.filterwarnings("ignore::RuntimeWarning")  # the squares are ∞ before they are taken again
def test_the_length_of_a_gradient_whose_squares_float32_has_not():
    lengths_whose_squares_float32_has_not()
