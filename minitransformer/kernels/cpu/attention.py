"""Attention as a kernel, tile by tile: the T × S matrix of weights never exists (Dao et al. 2022, algorithm 1).

The reference writes scores and weights of every query and key to memory and reads them back six times. Here a tile of
queries meets a tile of keys, small enough to stay in a core's cache, and whole tiles of what may not be seen are never
computed, those above a causal mask's diagonal. The products keep their sums in registers (attention_tiles.py); what
stands between them is one pass over the tile.

A tile lies in memory with a key to a row, and its queries side by side: what is added up and compared over the keys,
each query for itself, is then done for all queries of a vector at once.

    forward     for each tile of queries:  m = -∞, l = 0, y = 0        the largest score, the sum, the weighted values
                    for each tile of keys:
                        s = (q/√K) kᵀ + bias
                        m' = max(m, max s)        p = exp(s - m')
                        l = l exp(m - m') + Σ p        y = y exp(m - m') + dropout(p) v
                    y = y / l        m and l are kept, two numbers a row: its weights are w = p / l

    backward    dy = dy / l                        once for a row, for all that is felt of p instead of w
                δ = Σ_K dy y                       = Σ_keys dp w, with dropout too: Σ w dropout'(dy vᵀ) = dy y
                for each tile of queries and each of keys:
                    p = exp((q/√K) kᵀ + bias - m)        computed again
                    dv += dropout(p)ᵀ dy        dp = dropout'(dy vᵀ)
                    ds = p (dp - δ)
                    dq += ds k / √K        dk += dsᵀ (q/√K)        dbias += ds

The usual log-sum-exp m + log l is one number instead of two. But in float32 it is rounded as numbers of the size of the
scores are: to a millionth at 14, and every weight of the row is off by that, all in the same direction.

Dropped weights are drawn as the reference draws them, head after head and query after query. Groups of heads are
independent of one another: each worker has some of them (threads.py), and it does not matter how many there are.
"""

import numpy as np
from numba.extending import register_jitable

from ... import ops
from ...ops.attention import check_heads
from ...ops.broadcasting import sum_to
from ...ops.dropout import check_rate, limit_of
from ...philox import identity
from ...threads import helping, spread
from .attention_tiles import (
    add_over_keys,
    add_over_keys_of_one,
    add_over_queries,
    from_rows,
    keys_by_one_query,
    keys_by_queries,
    to_panels,
    to_strips,
    to_transposed,
)
from .compiled import compiled
from .functions import exp_negative
from .philox import draw_kept
from .tile import ROWS, columns, whole

QUERIES, KEYS = 128, 96  # of a tile, made whole tiles of registers
MANY = 1 << 15  # scores that are worth another worker's start


def attention(q, k, v, bias=None, *, mask=None, causal=False, dropout_rate=0.0, key=None):
    check_heads(q, k)
    check_rate(dropout_rate)
    (B, H, T, K), (G, S) = q.shape, k.shape[1:3]
    drops = key is not None and dropout_rate > 0
    given = (
        *(by_position(x) for x in (q, k, v)),
        np.ascontiguousarray(np.empty((0, 0, 0, 0), q.dtype) if bias is None else bias),
        np.ascontiguousarray(np.empty((0, 0, 0, 0), bool) if mask is None else mask),
        causal,
        identity(key) if drops else np.empty(0, np.uint32),
        limit_of(dropout_rate),
        dropout_rate,
        K**-0.5,
        (QUERIES, KEYS),
    )
    y, m, l = np.empty((B, T, H, K), q.dtype), np.empty((B, H, T), q.dtype), np.empty((B, H, T), q.dtype)

    def work(groups):
        forward_heads(*given, groups.start, groups.stop, y, m, l)

    spread(work, parts(B * G, B * H * T * S))
    return y.swapaxes(1, 2), (given, None if bias is None else bias.shape, y, m, l)


@compiled
def forward_heads(q, k, v, bias, mask, causal, key, limit, rate, scale, tile, begin, end, y, m_all, l_all):
    """Some groups of heads, all of their queries: writes their y (B, T, H, K), and m and l (B, H, T)"""
    (_, T, _, K), (_, S, G, _), R = q.shape, k.shape, q.shape[2] // k.shape[2]
    dtype, width = q.dtype, columns(q)
    tile_T, tile_S, wide = size_of(tile[0], T, width), size_of(tile[1], S, ROWS), whole(K, width)
    layouts = S if T > 1 else 0  # a single query reads keys and values where they are
    keys = np.zeros((whole(layouts, ROWS) // ROWS, K, ROWS), dtype)
    values = np.zeros((wide // width, layouts, width), dtype)
    queries = np.empty((tile_T // width, K, width), dtype)
    room = np.zeros(tile_S * tile_T + ROWS, dtype)  # for a tile, and what is read behind it
    total = np.empty((whole(tile_T, ROWS), wide), dtype)
    m, l, rescale = np.empty(tile_T, dtype), np.empty(tile_T, dtype), np.empty(tile_T, dtype)
    kept = np.empty((tile_T if key.size else 0, S), np.bool_)
    for group in range(begin, end):
        b, g = divmod(group, G)
        if T > 1:
            to_strips(k, b, g, keys)
            to_panels(v, b, g, 1.0, values)
        for h in range(g * R, (g + 1) * R):
            for t in range(0, T, tile_T):
                n = min(tile_T, T - t)
                N = 1 if T == 1 else whole(n, width)  # queries that fill registers up are 0 and find no reader
                m[:], l[:], total[:] = -np.inf, 0, 0
                if T > 1:
                    to_transposed(q, b, h, t, n, scale, queries)
                if key.size:
                    draw_kept(key, ((b * G * R + h) * T + t) * S, limit, kept[:n].reshape(n * S))
                seen = seen_of(t + n, T, S, causal)
                for j in range(0, seen, tile_S):
                    J = min(tile_S, seen - j)
                    diagonal = t + S - T - j if causal else S  # query a of the tile sees its keys c ≤ a + diagonal
                    p = room[: J * N].reshape(J, N)
                    if T > 1:
                        keys_by_queries(keys[j // ROWS :], queries, p, diagonal)
                    else:
                        keys_by_one_query(k[b, j:, g], q[b, 0, h], scale, p)
                    add_bias_and_mask(p, bias, mask, causal, b, h, t, n, j, S - T)
                    online_softmax(p, m[:N], l[:N], rescale[:N], diagonal, width)
                    if key.size:
                        drop(p, kept[:n], j, rate)
                    multiply_rows(total[:N], rescale[:N])
                    if T > 1:
                        add_over_keys(p, values, j, total, diagonal)
                    else:
                        add_over_keys_of_one(p, v[b, j:, g], total)
                finish(total, l, y, b, h, t, n)
                m_all[b, h, t : t + n], l_all[b, h, t : t + n] = m[:n], l[:n]


def attention_backward(dy, saved):
    """dq, dk, dv, dbias (None where there was no bias); the mathematics is in `backward_heads`"""
    given, bias_shape, y, m, l = saved
    q, k, v, bias, *_ = given
    (B, T, H, _), (S, G) = q.shape, k.shape[1:3]
    dq, dk, dv = (np.empty(x.shape, x.dtype) for x in (q, k, v))
    dbias = np.zeros((0, 0, 0, 0) if bias_shape is None else (B, H, *bias.shape[2:]), q.dtype)
    dy = by_position(dy) * share_of(l).swapaxes(1, 2)[..., None]  # y = total / l

    def work(groups):
        backward_heads(dy, *given, groups.start, groups.stop, y, m, dq, dk, dv, dbias)

    spread(work, parts(B * G, B * H * T * S))
    dq, dk, dv = (x.swapaxes(1, 2) for x in (dq, dk, dv))
    return dq, dk, dv, None if bias_shape is None else sum_to(bias_shape, dbias)


@compiled
def backward_heads(dy, q, k, v, bias, mask, causal, key, limit, rate, scale, tile, begin, end, y, m, dq, dk, dv, dbias):
    """Some groups of heads, all of their queries: writes their dq, dk, dv, and adds to dbias; dy is divided by l"""
    (_, T, _, K), (_, S, G, _), R = q.shape, k.shape, q.shape[2] // k.shape[2]
    dtype, width = q.dtype, columns(q)
    tile_T, tile_S, wide = size_of(tile[0], T, width), size_of(tile[1], S, ROWS), whole(K, width)
    key_strips, keys = np.zeros((whole(S, ROWS) // ROWS, K, ROWS), dtype), np.zeros((wide // width, S, width), dtype)
    value_strips = np.zeros_like(key_strips)
    all_queries = np.zeros((wide // width, whole(T, width), width), dtype)
    all_dy, queries = np.zeros_like(all_queries), np.empty((tile_T // width, K, width), dtype)
    dy_tile, dkeys = np.empty_like(queries), np.empty((whole(S, ROWS), wide), dtype)
    dvalues = np.empty_like(dkeys)
    dqueries = np.empty((whole(tile_T, ROWS), wide), dtype)
    delta, shift = np.empty(tile_T, dtype), np.empty(tile_T, dtype)
    room, droom = np.zeros(tile_S * tile_T + ROWS, dtype), np.zeros(tile_S * tile_T + ROWS, dtype)
    kept = np.empty((tile_T if key.size else 0, S), np.bool_)
    for group in range(begin, end):
        b, g = divmod(group, G)
        to_strips(k, b, g, key_strips)
        to_strips(v, b, g, value_strips)
        to_panels(k, b, g, 1.0, keys)
        dkeys[:], dvalues[:] = 0, 0
        for h in range(g * R, (g + 1) * R):  # heads that share a key: add
            to_panels(q, b, h, scale, all_queries)
            to_panels(dy, b, h, 1.0, all_dy)
            for t in range(0, T, tile_T):
                n = min(tile_T, T - t)
                N = whole(n, width)  # queries that fill registers up are 0, and so is what is felt of them
                dqueries[:] = 0
                row_delta(dy, y, m, b, h, t, n, delta, shift)
                to_transposed(q, b, h, t, n, scale, queries)
                to_transposed(dy, b, h, t, n, 1.0, dy_tile)
                if key.size:
                    draw_kept(key, ((b * G * R + h) * T + t) * S, limit, kept[:n].reshape(n * S))
                seen = min(whole(seen_of(t + n, T, S, causal), ROWS), S)  # whole strips: other numbers would go to keys
                for j in range(0, seen, tile_S):
                    J = min(tile_S, seen - j)
                    diagonal = t + S - T - j if causal else S  # query a of the tile sees its keys c ≤ a + diagonal
                    s, dp = room[: J * N].reshape(J, N), droom[: J * N].reshape(J, N)
                    keys_by_queries(key_strips[j // ROWS :], queries, s, diagonal)  # once more, as in the forward
                    add_bias_and_mask(s, bias, mask, causal, b, h, t, n, j, S - T)
                    keys_by_queries(value_strips[j // ROWS :], dy_tile, dp, diagonal)  # y = p v / l
                    if key.size:
                        drop(dp, kept[:n], j, rate)
                    softmax_backward(s, dp, shift[:N], delta[:N], diagonal, width)
                    p, ds = s, dp  # which have become these, in place
                    if key.size:
                        drop(p, kept[:n], j, rate)
                    add_over_queries(p, n, all_dy, t, dvalues, j, diagonal)  # y = dropout(p) v / l
                    add_over_queries(ds, n, all_queries, t, dkeys, j, diagonal)  # s = (q/√K) kᵀ
                    add_over_keys(ds, keys, j, dqueries, diagonal)  # s = (q/√K) kᵀ
                    if dbias.size:
                        add_to_bias(dbias[b, h], ds, n, t, j)  # s = ... + bias
                from_rows(dqueries, scale, dq, b, h, t, n)
        from_rows(dkeys, 1.0, dk, b, g, 0, S)
        from_rows(dvalues, 1.0, dv, b, g, 0, S)


# -------------------------------------------------------------------------------------- the softmax, a tile at a time


@compiled
def online_softmax(s, m, l, rescale, diagonal, width):
    """s (keys, queries) becomes p = exp(s - m) with the new m; m and l (queries) become those of all tiles so far

    rescale (queries) becomes exp(m - m'), what the sums before this tile are to be multiplied by.
    """
    real = s.dtype.type
    for a in range(m.size):
        rescale[a] = m[a]
    for c in range(s.shape[0]):
        first = first_to_see(c, diagonal, width, m.size)
        row, most = s[c, first:], m[first:]
        for a in range(row.size):
            most[a] = row[a] if row[a] > most[a] else most[a]
    for a in range(m.size):
        largest = m[a] if m[a] > real(-np.inf) else real(0)  # where all are -∞ or NaN: exp gives 0 and NaN
        rescale[a] = exp_negative(rescale[a] - largest)  # 0 for the first tile, where m was -∞
        l[a] *= rescale[a]
    for c in range(s.shape[0]):
        first = first_to_see(c, diagonal, width, m.size)
        row, most, total = s[c, first:], m[first:], l[first:]
        for a in range(row.size):
            row[a] = exp_negative(row[a] - (most[a] if most[a] > real(-np.inf) else real(0)))
            total[a] += row[a]
        s[c, :first] = 0


@compiled
def multiply_rows(total, factor):
    for a in range(total.shape[0]):
        for i in range(total.shape[1]):
            total[a, i] *= factor[a]


@compiled
def finish(total, l, y, b, h, t, n):
    """n queries of y from t on = total / l, and 0 where nothing was seen"""
    real = total.dtype.type
    for a in range(n):
        share = real(0) if l[a] == 0 else real(1) / l[a]
        for i in range(y.shape[3]):
            y[b, t + a, h, i] = total[a, i] * share


@compiled
def softmax_backward(s, dp, shift, delta, diagonal, width):
    """s (keys, queries) becomes p = exp(s - m), and dp becomes ds = p (dp - δ)"""
    for c in range(s.shape[0]):
        first = first_to_see(c, diagonal, width, shift.size)
        s_c, dp_c, shift_c, delta_c = s[c, first:], dp[c, first:], shift[first:], delta[first:]
        for a in range(s_c.size):
            p = exp_negative(s_c[a] - shift_c[a])
            s_c[a], dp_c[a] = p, p * (dp_c[a] - delta_c[a])
        s[c, :first], dp[c, :first] = 0, 0


@compiled(sums=True)
def row_delta(dy, y, m, b, h, t, n, delta, shift):
    """δ = Σ_K dy y of n queries; and what is taken from scores before exp: m, or ∞ where nothing was seen or none is"""
    real = y.dtype.type
    delta[:], shift[:] = 0, np.inf
    for a in range(n):
        total, largest = real(0), m[b, h, t + a]
        for i in range(y.shape[3]):
            total += dy[b, t + a, h, i] * y[b, t + a, h, i]
        delta[a] = total
        shift[a] = real(np.inf) if largest == -np.inf else largest


def share_of(l):
    """1 / l, and 0 where nothing was seen"""
    return np.divide(1, l, out=np.zeros_like(l), where=l != 0)


# ------------------------------------------------------------------------------ what may be seen, and with which bias


@compiled
def add_bias_and_mask(s, bias, mask, causal, b, h, t, n, j, ahead):
    """Add the bias to a tile s (keys from j on, n queries from t on), and write -∞ where a query may not attend."""
    J, N = s.shape
    if bias.size:
        here = bias[within(b, bias.shape[0]), within(h, bias.shape[1])]
        for a in range(n):
            row = here[within(t + a, here.shape[0])]
            for c in range(J):
                s[c, a] += row[within(j + c, row.size)]
    if mask.size:
        seen = mask[within(b, mask.shape[0]), within(h, mask.shape[1])]
        for a in range(n):
            row = seen[within(t + a, seen.shape[0])]
            for c in range(J):
                if not row[j + c]:
                    s[c, a] = -np.inf
    if causal:
        for c in range(max(t + ahead - j + 1, 0), J):  # the first query sees the keys up to its own position
            s[c, : min(j + c - ahead - t, N)] = -np.inf


@compiled
def add_to_bias(dbias, ds, n, t, j):
    for a in range(n):
        row = dbias[within(t + a, dbias.shape[0])]
        for c in range(ds.shape[0]):
            row[within(j + c, row.size)] += ds[c, a]


@register_jitable
def size_of(tile, n, registers):
    """A side of a tile: no more than there is, and whole tiles of registers"""
    return whole(max(min(tile, n), 1), registers)


@register_jitable
def within(i, length):
    """The index on an axis that may have been broadcast: 0 where it is one."""
    return i if length > 1 else 0


@register_jitable
def first_to_see(c, diagonal, width, n):
    """The first query, of a tile's n, of the registers in which one may see its key c."""
    return min(max(c - diagonal, 0) // width * width, n)


@register_jitable
def seen_of(t, T, S, causal):
    """How many keys the queries before t may see at most."""
    return min(max(t + S - T, 0), S) if causal else S


# ------------------------------------------------------------------------- how heads lie in memory, and who has which


def by_position(x):
    """x (B, H, T, K) as (B, T, H, K), which is how the heads of a model lie in memory; only others are copied."""
    return np.ascontiguousarray(x.swapaxes(1, 2))


def parts(n, n_scores):
    """n groups of heads in slices, one for each worker; one for all where there is little to do, as in decoding."""
    many = min(n, helping()) if n_scores > MANY else min(n, 1)
    return [slice(i * n // many, (i + 1) * n // many) for i in range(many)]


# ---------------------------------------------------------------------------------------------------- what is dropped


@compiled
def drop(w, kept, j, rate):
    """w (keys from j on, queries) becomes w / (1 - rate) where it is kept, and 0 elsewhere"""
    share = w.dtype.type(1 - rate)
    for c in range(w.shape[0]):
        for a in range(kept.shape[0]):
            w[c, a] = w[c, a] / share if kept[a, j + c] else w.dtype.type(0)


ops.attention.implement("cpu", attention, attention_backward)
