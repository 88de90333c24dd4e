"""Recurrent operations in both directions and in layers."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from minitransformer.blocks import attentive, bidirectional, cell_of, recompute, recurrence
from minitransformer.convention import fold
from minitransformer.gradcheck import Draw
from minitransformer.ops import dropout, gru, lstm, relu, rnn
from minitransformer.trees import leaves

from ..arrays import same_bits

GATES, STATES = {rnn: 1, gru: 3, lstm: 4}, {rnn: 1, gru: 1, lstm: 2}
each_cell = pytest.mark.parametrize("cell", GATES, ids=lambda cell: cell.name)
B, T, D, H, L = 4, 5, 3, 2, 3


def close(a, b):
    np.testing.assert_allclose(a, b, rtol=1e-9, atol=1e-11)


def both_ways(draw, cell, width):
    return {way: draw.cell(GATES[cell], width, H) for way in ("forward", "backward")}


def set_out(cell, rng):
    """Two directions in three layers: what runs, its parameters, x, states."""
    draw = Draw(rng)
    p = [both_ways(draw, cell, width) for width in (D, 2 * H, 2 * H)]
    return recurrence(bidirectional(cell)), p, draw(B, T, D), [draw(L, 2, B, H) for _ in range(STATES[cell])]


def upstream(rng, outputs):
    return [rng.normal(size=part.shape) for part in outputs]


def total(trees):
    """{path: the sum of these leaves}"""
    return {path: sum(dict(leaves(tree))[path] for tree in trees) for path, _ in leaves(trees[0])}


def hold(found, expected):
    found, expected = dict(leaves(found)), dict(leaves(expected))
    assert found.keys() == expected.keys()
    for path in expected:
        np.testing.assert_allclose(found[path], expected[path], rtol=1e-9, atol=1e-11, err_msg=path)


@each_cell
def test_both_directions_are_two_runs_side_by_side(cell, rng):
    draw = Draw(rng)
    p, x, mask = both_ways(draw, cell, D), draw(B, T, D), draw.tokens(B, T)
    states = [draw(2, B, H) for _ in range(STATES[cell])]
    (y, *last), saved = bidirectional(cell)(p, x, *states, mask=mask)
    dy, *dlast = upstream(rng, (y, *last))
    dx, *dstates, g = bidirectional(cell).backward(dy, *dlast, saved)
    dx_expected = np.zeros_like(x)
    for i, way in enumerate(("forward", "backward")):
        (y_one, *last_one), saved = cell(p[way], x, *(part[i] for part in states), mask=mask, reverse=way == "backward")
        half = slice(i * H, i * H + H)
        assert same_bits([y[..., half], *(part[i] for part in last)], [y_one, *last_one])
        dx_one, *dstates_one, g_one = cell.backward(dy[..., half], *(part[i] for part in dlast), saved)
        hold([*(part[i] for part in dstates), g[way]], [*dstates_one, g_one])
        dx_expected += dx_one
    close(dx, dx_expected)


@each_cell
def test_layer_upon_layer(cell, rng):
    draw = Draw(rng)
    p, x = [draw.cell(GATES[cell], width, H) for width in (D, H, H)], draw(B, T, D)
    states, random = [draw(L, B, H) for _ in range(STATES[cell])], draw.key()
    mask = draw.tokens(B, T)
    for rate, key in ((0.4, random), (0.4, None), (0.0, random)):
        (y, *last), _ = recurrence(cell)(p, x, *states, mask=mask, dropout_rate=rate, key=key)
        h = x
        for i in range(L):
            if i:
                h, _ = dropout(h, rate=rate, key=fold(key, i))
            (h, *last_layer), _ = cell(p[i], h, *(part[i] for part in states), mask=mask)
            assert same_bits([part[i] for part in last], last_layer)
        assert np.array_equal(y, h)


def test_the_dropouts_drop_different_things(rng):
    draw = Draw(rng)
    p = [draw.cell(1, width, 6) for width in (D, 6, 6)]
    _, saved = recurrence(rnn)(p, draw(B, T, D), dropout_rate=0.5, key=draw.key())
    kept = [layer["dropout"].values[0] for layer in saved[1:]]
    assert "dropout" not in saved[0] and not np.array_equal(*kept)


def test_a_key_without_a_rate_drops_nothing(rng):
    draw = Draw(rng)
    p, x = [draw.cell(1, width, 6) for width in (D, 6, 6)], draw(B, T, D)
    assert same_bits(recurrence(rnn)(p, x, key=draw.key())[0], recurrence(rnn)(p, x)[0])


def test_settings_reach_every_layer(rng):
    draw = Draw(rng)
    p = [draw.cell(1, width, H) for width in (D, H)]
    (y, h), _ = recurrence(rnn)(p, draw(B, T, D), activation=relu, reverse=True)
    assert y.min() == 0 and np.array_equal(h[-1], y[:, 0])


@each_cell
def test_without_states_they_are_zero(cell, rng):
    thing, p, x, states = set_out(cell, rng)
    zeros = [np.zeros_like(part) for part in states]
    (outputs, saved), (expected, saved_zeros) = thing(p, x), thing(p, x, *zeros)
    assert same_bits(outputs, expected)
    dy = upstream(rng, outputs)
    dx, *dstates, g = thing.backward(*dy, saved)
    dx_zeros, *_, g_zeros = thing.backward(*dy, saved_zeros)
    assert dstates == [None] * len(states) and same_bits([dx, g], [dx_zeros, g_zeros])


@each_cell
def test_whoever_looks_step_by_step(cell, rng):
    draw, S, E, A = Draw(rng), 6, 4, 7
    look = {"query": draw.linear(A, H), "key": {"weight": draw(A, E)}, "score": {"weight": draw(A)}}
    p, x, memory = {"cross_attention": look, "cell": draw.cell(GATES[cell], D + E, H)}, draw(B, T, D), draw(B, S, E)
    states, mask = [draw(B, H) for _ in range(STATES[cell])], draw.tokens(B, S)
    (y, contexts, *last), _ = attentive(cell)(p, x, memory, *states, mask=mask)
    for t in range(T):
        query = states[0] @ look["query"]["weight"].T + look["query"]["bias"]
        scores = np.tanh(query[:, None] + memory @ look["key"]["weight"].T) @ look["score"]["weight"]  # (B,S)
        weights = np.where(mask, np.exp(scores), 0)
        z = (weights / weights.sum(1, keepdims=True))[:, None] @ memory  # (B,1,E)
        (expected, *states), _ = cell(p["cell"], np.concatenate([x[:, t : t + 1], z], -1), *states)
        close(contexts[:, t : t + 1], z)
        close(y[:, t : t + 1], expected)
    for found, expected in zip(last, states, strict=True):
        close(found, expected)


@each_cell
def test_whoever_looks_begins_with_zeros_too(cell, rng):
    draw, thing, S, E = Draw(rng), attentive(cell), 6, 4
    look = {"query": draw.linear(7, H), "key": {"weight": draw(7, E)}, "score": {"weight": draw(7)}}
    p, x, memory = {"cross_attention": look, "cell": draw.cell(GATES[cell], D + E, H)}, draw(B, T, D), draw(B, S, E)
    zeros = [np.zeros((B, H)) for _ in range(STATES[cell])]
    (outputs, saved), (expected, saved_zeros) = thing(p, x, memory), thing(p, x, memory, *zeros)
    assert same_bits(outputs, expected)
    dy = upstream(rng, outputs)
    dx, dmemory, *dstates, g = thing.backward(*dy, saved)
    dx_zeros, dmemory_zeros, *dzeros, g_zeros = thing.backward(*dy, saved_zeros)
    assert dstates == [None] * len(zeros) and all(dzero.any() for dzero in dzeros)
    assert same_bits([dx, dmemory, g], [dx_zeros, dmemory_zeros, g_zeros])


@each_cell
def test_what_nothing_was_felt_of_may_be_none(cell, rng):
    thing, p, x, states = set_out(cell, rng)
    outputs, saved = thing(p, x, *states)
    dy = upstream(rng, outputs)
    for i in range(len(dy)):
        felt = [part if j == i else None for j, part in enumerate(dy)]
        zeros = [part if j == i else np.zeros_like(part) for j, part in enumerate(dy)]
        assert same_bits(thing.backward(*felt, saved), thing.backward(*zeros, saved))


@each_cell
@given(seed=st.integers(0, 2**32 - 1))
def test_padding_changes_nothing(cell, seed):
    """A batch with padding anywhere is each of its sequences without it: outputs, states, and every gradient."""
    rng = np.random.default_rng(seed)
    thing, p, x, states = set_out(cell, rng)
    mask = Draw(rng).tokens(B, T)
    outputs, saved = thing(p, x, *states, mask=mask)
    dy = upstream(rng, outputs)
    dx, *dstates, g = thing.backward(*dy, saved)
    each = []
    for b in range(B):
        one = slice(b, b + 1)
        alone, saved = thing(p, x[one, mask[b]], *(part[:, :, one] for part in states))
        hold([outputs[0][one, mask[b]], *(part[:, :, one] for part in outputs[1:])], list(alone))
        felt = dy[0][one, mask[b]], *(part[:, :, one] for part in dy[1:])
        dx_one, *dstates_one, g_one = thing.backward(*felt, saved)
        hold([dx[one, mask[b]], *(part[:, :, one] for part in dstates)], [dx_one, *dstates_one])
        each.append(g_one)
    hold(dict(leaves(g)), total(each))


@each_cell
@given(seed=st.integers(0, 2**32 - 1))
def test_the_rows_of_a_batch_do_not_feel_each_other(cell, seed):
    rng = np.random.default_rng(seed)
    thing, p, x, states = set_out(cell, rng)
    mask, order = Draw(rng).tokens(B, T), rng.permutation(B)
    (y, *last), _ = thing(p, x, *states, mask=mask)
    found, _ = thing(p, x[order], *(part[:, :, order] for part in states), mask=mask[order])
    hold(list(found), [y[order], *(part[:, :, order] for part in last)])


@each_cell
def test_the_last_state_is_what_was_said_of_the_last_token(cell, rng):
    """Not what stands at the last place: there may be padding."""
    thing, p, x, states = set_out(cell, rng)
    mask = np.arange(T) < np.array([5, 2, 1, 4])[:, None]
    (y, h, *_), _ = thing(p, x, *states, mask=mask)
    assert np.array_equal(h[-1, 0], y[np.arange(B), [4, 1, 0, 3], :H])
    assert np.array_equal(h[-1, 1], y[:, 0, H:]) and not y[1:3, -1].any()


@each_cell
def test_every_position_knows_both_sides(cell, rng):
    thing, p, x, states = set_out(cell, rng)
    (before, *_), _ = thing(p, x, *states)
    for t in range(T):
        other = x.copy()
        other[:, t] += 1
        (after, *_), _ = thing(p, other, *states)
        assert np.abs(after - before).max((0, 2)).min() > 1e-9


@each_cell
@pytest.mark.parametrize("n", [1, 2, 4])
def test_layers_are_cut_at_the_same_places(cell, n, rng):
    draw = Draw(rng)
    p, x, at = [draw.cell(GATES[cell], width, H) for width in (D, H)], draw(B, T, D), ()
    thing = recurrence(cell)
    (y, *last), saved = thing(p, x, truncate=n)
    dy, *dlast = upstream(rng, (y, *last))
    dx, *_, g = thing.backward(dy, *dlast, saved)
    pieces, parts = [slice(begin, begin + n) for begin in range(0, T, n)], []
    for piece in pieces:
        (_, *at), saved = thing(p, x[:, piece], *at)
        felt = dlast if piece is pieces[-1] else [None] * len(dlast)
        dx_piece, *_, g_piece = thing.backward(dy[:, piece], *felt, saved)
        close(dx[:, piece], dx_piece)
        parts.append(g_piece)
    hold(dict(leaves(g)), total(parts))


@each_cell
def test_recomputing_gives_the_same_bits(cell, rng):
    thing, p, x, states = set_out(cell, rng)
    static = {"dropout_rate": 0.3, "key": Draw(rng).key()}
    outputs, saved = thing(p, x, *states, **static)
    dy = upstream(rng, outputs)
    expected = thing.backward(*dy, saved)
    for way in (recompute(thing), recurrence(recompute(bidirectional(cell)))):
        found, saved = way(p, x, *states, **static)
        assert same_bits([found, way.backward(*dy, saved)], [outputs, expected])


def test_what_does_not_fit(rng):
    thing, p, x, (h,) = set_out(rnn, rng)
    with pytest.raises(ValueError, match="recurrence: there is no layer"):
        thing([], x)
    with pytest.raises(ValueError, match=r"recurrence: states have shape \(2, 2, 4, 2\), expected 3 of them"):
        thing(p, x, h[:2])
    with pytest.raises(ValueError, match=r"bidirectional: states have shape \(1, 4, 2\), expected 2 of them"):
        thing(p, x, h[:, :1])
    with pytest.raises(ValueError, match=r"rnn: input.weight has shape \(2, 3\), expected \(H D\) with .* D = 4"):
        thing([p[0], p[0]], x)


def test_cells_by_name():
    assert [cell_of(name) for name in ("rnn", "gru", "lstm")] == [rnn, gru, lstm]
    with pytest.raises(ValueError, match="unknown cell 'linear'; there are: rnn, gru, lstm"):
        cell_of("linear")
