"""The recurrent operations: step by step as they are defined, over tokens wherever they stand, and cut into pieces."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from minitransformer.gradcheck import Draw
from minitransformer.ops import gru, lstm, relu, rnn
from minitransformer.trees import leaves, tree_map

from ..arrays import same_bits

GATES, STATES = (
    {rnn: 1, gru: 3, lstm: 4},
    {rnn: 1, gru: 1, lstm: 2},
)  # and how many states a cell hands from step to step
CELLS = list(GATES)
each_cell = pytest.mark.parametrize("cell", CELLS, ids=lambda cell: cell.name)
seeds = st.integers(0, 2**32 - 1)


def close(a, b):
    np.testing.assert_allclose(a, b, rtol=1e-10, atol=1e-12)


def set_out(cell, rng, B=4, T=5, D=3, H=2):
    """Parameters, x, and initial states; all numbers, and lengths, differ."""
    draw = Draw(rng)
    return draw.cell(GATES[cell], D, H), draw(B, T, D), [draw(B, H) for _ in range(STATES[cell])]


def upstream(rng, outputs):
    return [rng.normal(size=part.shape) for part in outputs]


def by_name(gradients):
    """{name: array} of what a backward returned."""
    *due, g = gradients
    return {f"d{i}": part for i, part in enumerate(due) if part is not None} | dict(leaves(g))


def total(parts):
    """The sum of gradients of the parameters."""
    return {name: {leaf: sum(part[name][leaf] for part in parts) for leaf in parts[0][name]} for name in parts[0]}


def hold(found, expected):
    """Gradients by name."""
    assert found.keys() == expected.keys()
    for name in expected:
        np.testing.assert_allclose(found[name], expected[name], rtol=1e-9, atol=1e-11, err_msg=name)


# ------------------------------------------------------------------------------------------------------ as defined


def sigmoid(a):
    return 1 / (1 + np.exp(-a))


def products(p, x, h, gates):
    """What one token and the state give each gate: [(from the input, from the state), ...]"""
    W, b, U, d = (p[name][leaf] for name in ("input", "hidden") for leaf in ("weight", "bias"))
    return list(zip(np.split(W @ x + b, gates), np.split(U @ h + d, gates), strict=True))


def rnn_step(p, x, h):
    ((a, u),) = products(p, x, h, 1)
    return [np.tanh(a + u)]


def gru_step(p, x, h):
    (a_r, u_r), (a_z, u_z), (a_n, u_n) = products(p, x, h, 3)
    z = sigmoid(a_z + u_z)
    return [(1 - z) * np.tanh(a_n + sigmoid(a_r + u_r) * u_n) + z * h]


def lstm_step(p, x, h, c):
    i, f, n, o = (sum(pair) for pair in products(p, x, h, 4))
    c = sigmoid(f) * c + sigmoid(i) * np.tanh(n)
    return [sigmoid(o) * np.tanh(c), c]


STEP = {rnn: rnn_step, gru: gru_step, lstm: lstm_step}


@each_cell
@given(seed=seeds, masked=st.booleans(), reverse=st.booleans(), sizes=st.tuples(*[st.integers(1, 5)] * 4))
def test_step_by_step(cell, seed, masked, reverse, sizes):
    """Sequence by sequence, token by token; where there is none, nothing happens, and nothing is said."""
    rng = np.random.default_rng(seed)
    p, x, states = set_out(cell, rng, *sizes)
    B, T, _ = x.shape
    mask = Draw(rng).tokens(B, T) if masked else None
    (y, *last), _ = cell(p, x, *states, mask=mask, reverse=reverse)
    for b in range(B):
        state = [part[b] for part in states]
        for t in reversed(range(T)) if reverse else range(T):
            there = mask is None or mask[b, t]
            if there:
                state = STEP[cell](p, x[b, t], *state)
            close(y[b, t], state[0] if there else np.zeros_like(state[0]))
        for found, expected in zip(last, state, strict=True):
            close(found[b], expected)


def test_a_network_of_relus(rng):
    p, x, (h,) = set_out(rnn, rng)
    (y, last), _ = rnn(p, x, h, activation=relu)
    for b, t in np.ndindex(y.shape[:2]):
        ((a, u),) = products(p, x[b, t], h[b] if t == 0 else y[b, t - 1], 1)
        close(y[b, t], np.maximum(a + u, 0))
    assert np.array_equal(last, y[:, -1]) and (y == 0).any() and (y > 0).any()


def test_at_the_kink_nothing_comes_back(rng):
    """As of the operation itself."""
    p, x, (h,) = set_out(rnn, rng)
    _, saved = rnn(tree_map(np.zeros_like, p), x, h, activation=relu)
    assert not any(part.any() for part in by_name(rnn.backward(*upstream(rng, (x[..., :2], h)), saved)).values())


@each_cell
def test_without_a_state_it_begins_with_zeros(cell, rng):
    p, x, states = set_out(cell, rng)
    zeros = [np.zeros_like(part) for part in states]
    (outputs, saved), (expected, saved_zeros) = cell(p, x), cell(p, x, *zeros)
    assert same_bits(outputs, expected)
    dy = upstream(rng, outputs)
    dx, *dstates, g = cell.backward(*dy, saved)
    dx_zeros, *dstates_zeros, g_zeros = cell.backward(*dy, saved_zeros)
    assert dstates == [None] * len(states) and all(part.any() for part in dstates_zeros)
    assert same_bits([dx, g], [dx_zeros, g_zeros])


@each_cell
def test_without_biases_they_are_zero(cell, rng):
    p, x, states = set_out(cell, rng)
    none = {name: {"weight": part["weight"]} for name, part in p.items()}
    zero = {name: part | {"bias": 0 * part["bias"]} for name, part in p.items()}
    (outputs, saved), (expected, saved_zero) = cell(none, x, *states), cell(zero, x, *states)
    assert same_bits(outputs, expected)
    dy = upstream(rng, outputs)
    g, g_zero = cell.backward(*dy, saved)[-1], cell.backward(*dy, saved_zero)[-1]
    assert {path for path, _ in leaves(g)} == {"input.weight", "hidden.weight"}
    assert same_bits(g, {name: {"weight": part["weight"]} for name, part in g_zero.items()})


@each_cell
def test_what_nothing_was_felt_of_may_be_none(cell, rng):
    p, x, states = set_out(cell, rng)
    outputs, saved = cell(p, x, *states)
    dy = upstream(rng, outputs)
    for i in range(len(dy)):
        felt = [part if j == i else None for j, part in enumerate(dy)]
        zeros = [part if j == i else np.zeros_like(part) for j, part in enumerate(dy)]
        assert same_bits(cell.backward(*felt, saved), cell.backward(*zeros, saved))


@each_cell
def test_far_from_zero_nothing_overflows(cell, rng, dtype):
    p, x, states = (tree_map(lambda a: (1e4 * a).astype(dtype), part) for part in set_out(cell, rng))
    outputs, saved = cell(p, x, *states)
    gradients = cell.backward(*[part.astype(dtype) for part in upstream(rng, outputs)], saved)
    assert all(np.isfinite(part).all() for part in (*outputs, *by_name(gradients).values()))


# ------------------------------------------------------------------------------------------- tokens and their places


@each_cell
@given(seed=seeds, reverse=st.booleans())
def test_it_is_the_sequence_of_the_tokens_that_counts(cell, seed, reverse):
    """A batch with padding anywhere is each of its sequences without it: outputs, states, and every gradient."""
    rng = np.random.default_rng(seed)
    p, x, states = set_out(cell, rng)
    mask = Draw(rng).tokens(*x.shape[:2])
    outputs, saved = cell(p, x, *states, mask=mask, reverse=reverse)
    dy = upstream(rng, outputs)
    dx, *dstates, g = cell.backward(*dy, saved)
    assert not outputs[0][~mask].any() and not dx[~mask].any()
    each = []
    for b in range(len(x)):
        one = slice(b, b + 1)
        (y, *last), saved = cell(p, x[one, mask[b]], *(part[one] for part in states), reverse=reverse)
        for found, expected in zip((outputs[0][one, mask[b]], *(part[one] for part in outputs[1:])), (y, *last)):
            close(found, expected)
        dx_one, *dstates_one, g_one = cell.backward(dy[0][one, mask[b]], *(part[one] for part in dy[1:]), saved)
        for found, expected in zip((dx[one, mask[b]], *(part[one] for part in dstates)), (dx_one, *dstates_one)):
            np.testing.assert_allclose(found, expected, rtol=1e-9, atol=1e-11)
        each.append(g_one)
    hold(dict(leaves(g)), dict(leaves(total(each))))


@each_cell
@pytest.mark.parametrize("number", [np.nan, np.inf, 1e300])
def test_what_stands_where_no_token_is_may_be_anything(cell, number, rng):
    p, x, states = set_out(cell, rng)
    mask = Draw(rng).tokens(*x.shape[:2])
    mask[-1, 0] = False
    mask[-1, 1] = True
    outputs, saved = cell(p, x, *states, mask=mask)
    dy = upstream(rng, outputs)
    other, dy_other = x.copy(), [dy[0].copy(), *dy[1:]]
    other[~mask] = dy_other[0][~mask] = number
    found, saved_other = cell(p, other, *states, mask=mask)
    assert same_bits(found, outputs)
    assert same_bits(cell.backward(*dy_other, saved_other), cell.backward(*dy, saved))


@each_cell
def test_the_other_way_round(cell, rng):
    """From the end is the same as of the sequence turned round."""
    p, x, states = set_out(cell, rng)
    mask = Draw(rng).tokens(*x.shape[:2])
    (y, *last), saved = cell(p, x, *states, mask=mask, reverse=True)
    (y_turned, *last_turned), saved_turned = cell(p, x[:, ::-1], *states, mask=mask[:, ::-1])
    close(y, y_turned[:, ::-1])
    dy, *dlast = upstream(rng, (y, *last))
    dx, *rest = cell.backward(dy, *dlast, saved)
    dx_turned, *rest_turned = cell.backward(dy[:, ::-1], *dlast, saved_turned)
    assert same_bits(last, last_turned)
    hold(by_name((dx, *rest)), by_name((dx_turned[:, ::-1], *rest_turned)))


@each_cell
@given(seed=seeds, reverse=st.booleans(), t=st.integers(0, 4))
def test_a_change_moves_the_next_step_and_nothing_earlier(cell, seed, reverse, t):
    """Each step feels the one before, and so all before that; but how much is left of it fades, down to rounding."""
    rng = np.random.default_rng(seed)
    p, x, states = set_out(cell, rng)
    changed = x.copy()
    changed[:, t] = rng.normal(size=changed[:, t].shape)
    (y, *_), (y_changed, *_) = (cell(p, one, *states, reverse=reverse)[0] for one in (x, changed))
    moved = np.abs(y - y_changed).max((0, 2))
    moved, t = (moved[::-1], 4 - t) if reverse else (moved, t)
    assert not moved[:t].any(), "a later token was seen"
    assert (moved[t : t + 2] > 0).all(), "an earlier token does not matter"


@each_cell
@given(seed=seeds)
def test_the_rows_of_a_batch_do_not_feel_each_other(cell, seed):
    rng = np.random.default_rng(seed)
    p, x, states = set_out(cell, rng)
    mask, order = Draw(rng).tokens(*x.shape[:2]), rng.permutation(len(x))
    together, _ = cell(p, x, *states, mask=mask)
    permuted, _ = cell(p, x[order], *(part[order] for part in states), mask=mask[order])
    for found, expected in zip(permuted, together, strict=True):
        close(found, expected[order])


# ---------------------------------------------------------------------------------------------------- in pieces


@each_cell
@pytest.mark.parametrize("cut", [1, 2, 4])
def test_two_runs_are_one(cell, cut, rng):
    """The second begins with the state that the first ended with; what it feels of that, the first is told."""
    p, x, states = set_out(cell, rng)
    whole, saved = cell(p, x, *states)
    (y1, *middle), saved1 = cell(p, x[:, :cut], *states)
    (y2, *last), saved2 = cell(p, x[:, cut:], *middle)
    close(whole[0], np.concatenate([y1, y2], 1))
    for found, expected in zip(last, whole[1:], strict=True):
        close(found, expected)
    dy, *dlast = upstream(rng, whole)
    dx2, *dmiddle, g2 = cell.backward(dy[:, cut:], *dlast, saved2)
    dx1, *dstates, g1 = cell.backward(dy[:, :cut], *dmiddle, saved1)
    found = np.concatenate([dx1, dx2], 1), *dstates, total([g1, g2])
    hold(by_name(found), by_name(cell.backward(dy, *dlast, saved)))


@each_cell
@pytest.mark.parametrize("reverse", [False, True], ids=["forwards", "backwards"])
@pytest.mark.parametrize("n", [1, 2, 3, 4])
def test_truncated_gradients_are_those_of_pieces(cell, n, reverse, rng):
    """Each piece is a run of its own whose initial state is a constant."""
    p, x, states = set_out(cell, rng)
    T = x.shape[1]
    outputs, saved = cell(p, x, *states, reverse=reverse, truncate=n)
    whole, saved_whole = cell(p, x, *states, reverse=reverse)
    assert same_bits(outputs, whole)  # forward, nothing is cut
    dy, *dlast = upstream(rng, outputs)
    found = by_name(cell.backward(dy, *dlast, saved))
    order, at, dx, first, pieces = np.arange(T)[:: -1 if reverse else 1], states, np.empty_like(x), None, []
    for begin in range(0, T, n):
        piece = np.sort(order[begin : begin + n])
        (_, *at), saved_piece = cell(p, x[:, piece], *at, reverse=reverse)
        felt = dlast if begin + n >= T else [None] * len(dlast)
        dx[:, piece], *dstates, g = cell.backward(dy[:, piece], *felt, saved_piece)
        first = first or dstates
        pieces.append(g)
    hold(found, by_name((dx, *first, total(pieces))))
    uncut = by_name(cell.backward(dy, *dlast, saved_whole))
    assert np.abs(uncut["hidden.weight"] - found["hidden.weight"]).max() > 1e-9  # the cut is felt


@each_cell
@pytest.mark.parametrize("n", [5, 6, 1000])
def test_a_cut_behind_the_end_cuts_nothing(cell, n, rng):
    p, x, states = set_out(cell, rng)
    (outputs, saved), (_, saved_whole) = cell(p, x, *states, truncate=n), cell(p, x, *states)
    dy = upstream(rng, outputs)
    assert same_bits(cell.backward(*dy, saved), cell.backward(*dy, saved_whole))
