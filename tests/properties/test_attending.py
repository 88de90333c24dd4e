"""What must hold of everything that attends, on every path through it, and what no gradient check can see.

Wrong forwards have right gradients: heads cut by a bare reshape, a mask applied after the softmax, an unaligned
causal corner. They fall here. Where shapes are equal, equal bits are demanded; where a matrix product has another
shape, its sums may be added in another order, and 1e-12 is.
"""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from . import paths as gpt_paths
from .recurrent_paths import RECURRENT_PATHS
from .transformer_paths import TRANSFORMER_PATHS

PATHS = gpt_paths.PATHS | TRANSFORMER_PATHS | RECURRENT_PATHS

MOVED = 1e-6  # far above rounding, far below anything that is really felt
seeds = st.integers(0, 2**32 - 1)
batches = st.integers(1, 3)
lengths = st.integers(3, 7)


def paths(**true):
    """Parametrize by the paths of which all this is true."""
    names = [name for name, path in PATHS.items() if all(getattr(path, key) == value for key, value in true.items())]
    return pytest.mark.parametrize("name", names)


def set_out(name, seed):
    rng, path = np.random.default_rng(seed), PATHS[name]
    return rng, path, path.make(rng)


def moved(a, b):
    """(T,) by how much the outputs at each position differ, in the row and the feature where they do most."""
    return np.abs(a - b).max(axis=(0, *range(2, a.ndim)))


def close(a, b):
    np.testing.assert_allclose(a, b, rtol=1e-12, atol=1e-12)


@paths(causal=True)
@given(seed=seeds, B=batches, T=lengths, data=st.data())
def test_a_change_moves_everything_later_and_nothing_earlier(name, seed, B, T, data):
    t = data.draw(st.integers(0, T - 1), "t")
    rng, path, outputs = set_out(name, seed)
    inputs = path.inputs(rng, B, T)
    before, after = outputs(inputs), outputs(path.change(rng, inputs, t))
    assert np.array_equal(before[:, :t], after[:, :t]), "a later token was seen"
    assert moved(before, after)[t:].min() > MOVED, "an earlier token does not matter"


@paths(causal=False)
@given(seed=seeds, B=batches, T=lengths, data=st.data())
def test_without_the_causal_mask_a_change_moves_everything(name, seed, B, T, data):
    t = data.draw(st.integers(0, T - 1), "t")
    rng, path, outputs = set_out(name, seed)
    inputs = path.inputs(rng, B, T)
    assert moved(outputs(inputs), outputs(path.change(rng, inputs, t))).min() > MOVED


@paths(causal=True, random=False)
@given(seed=seeds, B=batches, T=lengths, more=st.integers(1, 4))
def test_appending_leaves_the_prefix(name, seed, B, T, more):
    rng, path, outputs = set_out(name, seed)
    inputs = path.inputs(rng, B, T + more)
    close(outputs(inputs)[:, :T], outputs(inputs[:, :T]))


def last_outputs_with_the_earlier_reversed(name, seed, B, T):
    rng, path, outputs = set_out(name, seed)
    inputs = path.inputs(rng, B, T)
    inputs[0] = path.change(rng, inputs[:1], 0)[0] if np.array_equal(inputs[0, 0], inputs[0, -2]) else inputs[0]
    back = np.concatenate([inputs[:, -2::-1], inputs[:, -1:]], 1)
    return outputs(inputs)[:, -1:], outputs(back)[:, -1:]


@paths(order=True)
@given(seed=seeds, B=batches, T=lengths)
def test_reversing_what_came_earlier_moves_the_last_output(name, seed, B, T):
    assert moved(*last_outputs_with_the_earlier_reversed(name, seed, B, T)) > MOVED


@paths(order=False, random=False)
@given(seed=seeds, B=batches, T=lengths)
def test_one_layer_of_attention_sees_a_set(name, seed, B, T):
    """Without positions, order comes from a causal layer below: the keys of one layer are a set."""
    close(*last_outputs_with_the_earlier_reversed(name, seed, B, T))


@paths(causal=False, random=False)
@given(seed=seeds, B=batches, T=lengths)
def test_without_positions_permuting_them_permutes_the_outputs(name, seed, B, T):
    rng, path, outputs = set_out(name, seed)
    inputs, order = path.inputs(rng, B, T), rng.permutation(T)
    close(outputs(inputs[:, order]), outputs(inputs)[:, order])


@paths(random=False)
@given(seed=seeds, B=batches, T=lengths)
def test_the_rows_of_a_batch_do_not_feel_each_other(name, seed, B, T):
    rng, path, outputs = set_out(name, seed)
    inputs, order = path.inputs(rng, B, T), rng.permutation(B)
    together = outputs(inputs)
    close(outputs(inputs[order]), together[order])
    close(outputs(inputs[:1]), together[:1])


def padded(path, rng, B, T, side):
    """inputs (B, T); what is real (B, T): at least one position of every row, at its right end or at its left."""
    real = np.arange(T) < rng.integers(1, T + 1, (B, 1))
    if side == "left":
        real = real[:, ::-1]
    more = {"positions": np.maximum(real.cumsum(1) - 1, 0)} if path.ids else {}
    return path.inputs(rng, B, T), real, {"mask": real[:, None, None], **more}


@pytest.mark.parametrize("side", ["left", "right"])
@paths(masks=True, random=False)
@given(seed=seeds, B=batches, T=lengths)
def test_padding_changes_nothing(name, side, seed, B, T):
    rng, path, outputs = set_out(name, seed)
    inputs, real, more = padded(path, rng, B, T, side)
    together = outputs(inputs, **more)
    for row in range(B):
        close(together[row, real[row]], outputs(inputs[row : row + 1, real[row]])[0])


@pytest.mark.parametrize("side", ["left", "right"])
@paths(masks=True)
@given(seed=seeds, B=batches, T=lengths)
def test_nobody_feels_what_stands_in_the_padding(name, side, seed, B, T):
    rng, path, outputs = set_out(name, seed)
    inputs, real, more = padded(path, rng, B, T, side)
    other = path.inputs(rng, B, T)
    other[real] = inputs[real]
    assert np.array_equal(outputs(inputs, **more)[real], outputs(other, **more)[real])
