"""Attention as a kernel, tile by tile: the T × S matrix of weights never exists (Dao et al. 2022, algorithm 1).

The reference writes scores and weights of every query and key to memory and reads them back six times. Here a tile of
queries meets a tile of keys, small enough to stay in a core's cache, and whole tiles of what may not be seen are never
computed, those above a causal mask's diagonal. The products are BLAS's, as they are everywhere; what stands between
them is one pass over the tile.

A tile lies in memory with a key to a row, and its queries side by side: what is added up and compared over the keys,
each query for itself, is then done for all queries of a vector at once.

    forward     for each tile of queries:  m = -∞, l = 0, y = 0        the largest score, the sum, the weighted values
                    for each tile of keys:
                        s = (q/√K) kᵀ + bias
                        m' = max(m, max s)        p = exp(s - m')
                        l = l exp(m - m') + Σ p        y = y exp(m - m') + dropout(p) v
                    y = y / l        lse = m + log l        one number a row: w = exp(s - lse)

    backward    δ = Σ_K dy y                       = Σ_keys dw w, for dw w = (dy vᵀ) w and y = w v
                for each tile of queries and each of keys:
                    w = exp((q/√K) kᵀ + bias - lse)        computed again
                    dv += dropout(w)ᵀ dy        dw = dropout'(dy vᵀ)
                    ds = w (dw - δ)
                    dq += ds k / √K        dk += dsᵀ (q/√K)        dbias += ds

Dropped weights are drawn as the reference draws them, head after head and query after query. Groups of heads are
independent of one another: each worker has some of them (threads.py), and it does not matter how many there are.
"""

import numpy as np
from numba.extending import register_jitable

from ... import ops
from ...ops.attention import check_groups
from ...ops.broadcasting import sum_to
from ...ops.dropout import check_rate, limit_of
from ...philox import identity
from ...threads import helping, spread
from .compiled import compiled
from .functions import exp_negative
from .philox import draw_kept

QUERIES, KEYS = 48, 512  # of a tile
MANY = 1 << 15  # scores that are worth another worker's start


def attention(q, k, v, bias=None, *, mask=None, causal=False, dropout_rate=0.0, key=None):
    check_groups(q, k)
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
    y, lse = np.empty((B, T, H, K), q.dtype), np.empty((B, H, T), q.dtype)

    def work(groups):
        forward_heads(*given, groups.start, groups.stop, y, lse)

    spread(work, parts(B * G, B * H * T * S))
    return y.swapaxes(1, 2), (given, None if bias is None else bias.shape, y, lse)


@compiled
def forward_heads(q, k, v, bias, mask, causal, key, limit, rate, scale, tile, begin, end, y, lse):
    """Some groups of heads, all of their queries: writes their y (B, T, H, K) and lse (B, H, T)"""
    (_, T, _, K), (_, S, G, _), R = q.shape, k.shape, q.shape[2] // k.shape[2]
    (tile_T, tile_S), dtype = tile, q.dtype
    queries, keys, values = np.empty((T, K), dtype), np.empty((S, K), dtype), np.empty((S, K), dtype)
    room = np.empty(tile_T * tile_S, dtype)  # for a tile, whatever its size
    total_room, product_room = np.empty(tile_T * K, dtype), np.empty(tile_T * K, dtype)
    m, l, rescale = np.empty(tile_T, dtype), np.empty(tile_T, dtype), np.empty(tile_T, dtype)
    kept = np.empty((tile_T if key.size else 0, S), np.bool_)
    for group in range(begin, end):
        b, g = divmod(group, G)
        gather(k, b, g, 1.0, keys)
        gather(v, b, g, 1.0, values)
        for h in range(g * R, (g + 1) * R):
            gather(q, b, h, scale, queries)
            for t in range(0, T, tile_T):
                n = min(tile_T, T - t)
                m[:], l[:], total_room[:] = -np.inf, 0, 0
                total, product = total_room[: n * K].reshape(n, K), product_room[: n * K].reshape(n, K)
                if key.size:
                    draw_kept(key, ((b * G * R + h) * T + t) * S, limit, kept[:n].reshape(n * S))
                for j in range(0, seen_of(t + n, T, S, causal), tile_S):
                    J = min(tile_S, seen_of(t + n, T, S, causal) - j)
                    p = room[: J * n].reshape(J, n)
                    np.dot(keys[j : j + J], queries[t : t + n].T, p)
                    add_bias_and_mask(p, bias, mask, causal, b, h, t, j, S - T)
                    online_softmax(p, m[:n], l[:n], rescale[:n])
                    if key.size:
                        drop(p, kept[:n], j, rate)
                    np.dot(p.T, values[j : j + J], product)
                    rescale_and_add(total, rescale[:n], product)
                finish(total, m[:n], l[:n], y[b, t : t + n, h], lse[b, h, t : t + n])


def attention_backward(dy, saved):
    """dq, dk, dv, dbias (None where there was no bias); the mathematics is in `backward_heads`"""
    given, bias_shape, y, lse = saved
    q, k, v, bias, *_ = given
    (B, T, H, _), (S, G) = q.shape, k.shape[1:3]
    dq, dk, dv = (np.empty(x.shape, x.dtype) for x in (q, k, v))
    dbias = np.zeros((0, 0, 0, 0) if bias_shape is None else (B, H, *bias.shape[2:]), q.dtype)
    dy = by_position(dy)

    def work(groups):
        backward_heads(dy, *given, groups.start, groups.stop, y, lse, dq, dk, dv, dbias)

    spread(work, parts(B * G, B * H * T * S))
    dq, dk, dv = (x.swapaxes(1, 2) for x in (dq, dk, dv))
    return dq, dk, dv, None if bias_shape is None else sum_to(bias_shape, dbias)


@compiled
def backward_heads(
    dy, q, k, v, bias, mask, causal, key, limit, rate, scale, tile, begin, end, y, lse, dq, dk, dv, dbias
):
    """Some groups of heads, all of their queries: writes their dq, dk, dv, and adds to dbias"""
    (_, T, _, K), (_, S, G, _), R = q.shape, k.shape, q.shape[2] // k.shape[2]
    (tile_T, tile_S), dtype = tile, q.dtype
    queries, keys, values = np.empty((T, K), dtype), np.empty((S, K), dtype), np.empty((S, K), dtype)
    dqueries, dkeys, dvalues = np.empty((T, K), dtype), np.empty((S, K), dtype), np.empty((S, K), dtype)
    dy_head, delta, shift = np.empty((T, K), dtype), np.empty(tile_T, dtype), np.empty(tile_T, dtype)
    room, droom = np.empty(tile_T * tile_S, dtype), np.empty(tile_T * tile_S, dtype)
    product_room = np.empty(max(tile_T, tile_S) * K, dtype)
    kept = np.empty((tile_T if key.size else 0, S), np.bool_)
    for group in range(begin, end):
        b, g = divmod(group, G)
        gather(k, b, g, 1.0, keys)
        gather(v, b, g, 1.0, values)
        dkeys[:], dvalues[:] = 0, 0
        for h in range(g * R, (g + 1) * R):  # heads that share a key: add
            gather(q, b, h, scale, queries)
            gather(dy, b, h, 1.0, dy_head)
            dqueries[:] = 0
            for t in range(0, T, tile_T):
                n = min(tile_T, T - t)
                q_rows, dy_rows = queries[t : t + n], dy_head[t : t + n]
                row_delta(dy_rows, y[b, t : t + n, h], lse[b, h, t : t + n], delta, shift)
                if key.size:
                    draw_kept(key, ((b * G * R + h) * T + t) * S, limit, kept[:n].reshape(n * S))
                for j in range(0, seen_of(t + n, T, S, causal), tile_S):
                    J = min(tile_S, seen_of(t + n, T, S, causal) - j)
                    s, dw = room[: J * n].reshape(J, n), droom[: J * n].reshape(J, n)
                    by_key, by_query = product_room[: J * K].reshape(J, K), product_room[: n * K].reshape(n, K)
                    np.dot(keys[j : j + J], q_rows.T, s)  # once more, as in the forward
                    add_bias_and_mask(s, bias, mask, causal, b, h, t, j, S - T)
                    np.dot(values[j : j + J], dy_rows.T, dw)  # y = dropout(w) v
                    if key.size:
                        drop(dw, kept[:n], j, rate)
                    softmax_backward(s, dw, shift[:n], delta[:n])
                    w, ds = s, dw  # which have become these, in place
                    if key.size:
                        drop(w, kept[:n], j, rate)
                    np.dot(w, dy_rows, by_key)  # y = dropout(w) v
                    add(dvalues[j : j + J], by_key)
                    np.dot(ds, q_rows, by_key)  # s = (q/√K) kᵀ
                    add(dkeys[j : j + J], by_key)
                    np.dot(ds.T, keys[j : j + J], by_query)  # s = (q/√K) kᵀ
                    add(dqueries[t : t + n], by_query)
                    if dbias.size:
                        add_to_bias(dbias[b, h], ds, t, j)  # s = ... + bias
            scatter(dqueries, scale, dq, b, h)
        scatter(dkeys, 1.0, dk, b, g)
        scatter(dvalues, 1.0, dv, b, g)


# -------------------------------------------------------------------------------------- the softmax, a tile at a time


@compiled
def online_softmax(s, m, l, rescale):
    """s (keys, queries) becomes p = exp(s - m) with the new m; m and l (queries) become those of all tiles so far

    rescale (queries) becomes exp(m - m'), what the sums before this tile are to be multiplied by.
    """
    real = s.dtype.type
    J, n = s.shape
    for a in range(n):
        rescale[a] = m[a]
    for c in range(J):
        for a in range(n):
            m[a] = s[c, a] if s[c, a] > m[a] else m[a]
    for a in range(n):
        largest = m[a] if m[a] > real(-np.inf) else real(0)  # where all are -∞ or NaN: exp gives 0 and NaN
        rescale[a] = exp_negative(rescale[a] - largest)  # 0 for the first tile, where m was -∞
        l[a] *= rescale[a]
    for c in range(J):
        for a in range(n):
            s[c, a] = exp_negative(s[c, a] - (m[a] if m[a] > real(-np.inf) else real(0)))
            l[a] += s[c, a]


@compiled
def rescale_and_add(total, rescale, product):
    for a in range(total.shape[0]):
        for i in range(total.shape[1]):
            total[a, i] = total[a, i] * rescale[a] + product[a, i]


@compiled
def finish(total, m, l, y, lse):
    real = total.dtype.type
    for a in range(total.shape[0]):
        lse[a] = m[a] + np.log(l[a])
        share = real(0) if l[a] == 0 else real(1) / l[a]
        for i in range(total.shape[1]):
            y[a, i] = total[a, i] * share


@compiled
def softmax_backward(s, dw, shift, delta):
    """s (keys, queries) becomes w = exp(s - lse), and dw becomes ds = w (dw - δ)"""
    for c in range(s.shape[0]):
        for a in range(s.shape[1]):
            w = exp_negative(s[c, a] - shift[a])
            s[c, a], dw[c, a] = w, w * (dw[c, a] - delta[a])


@compiled(sums=True)
def row_delta(dy, y, lse, delta, shift):
    """δ = Σ_K dy y; and what is taken from scores so that exp gives weights: 0 where nothing was seen"""
    real = y.dtype.type
    for a in range(y.shape[0]):
        total = real(0)
        for i in range(y.shape[1]):
            total += dy[a, i] * y[a, i]
        delta[a] = total
        shift[a] = real(np.inf) if lse[a] == -np.inf else lse[a]


# ------------------------------------------------------------------------------ what may be seen, and with which bias


@compiled
def add_bias_and_mask(s, bias, mask, causal, b, h, t, j, ahead):
    """Add the bias to a tile s (keys from j on, queries from t on), and write -∞ where a query may not attend."""
    J, n = s.shape
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
            s[c, : min(j + c - ahead - t, n)] = -np.inf


@compiled
def add_to_bias(dbias, ds, t, j):
    for a in range(ds.shape[1]):
        row = dbias[within(t + a, dbias.shape[0])]
        for c in range(ds.shape[0]):
            row[within(j + c, row.size)] += ds[c, a]


@register_jitable
def within(i, length):
    """The index on an axis that may have been broadcast: 0 where it is one."""
    return i if length > 1 else 0


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


@compiled
def gather(x, b, h, scale, out):
    """out (T, K) = scale x[b, :, h]"""
    scale = x.dtype.type(scale)
    for t in range(out.shape[0]):
        for i in range(out.shape[1]):
            out[t, i] = scale * x[b, t, h, i]


@compiled
def scatter(x, scale, out, b, h):
    """out[b, :, h] = scale x (T, K)"""
    scale = x.dtype.type(scale)
    for t in range(x.shape[0]):
        for i in range(x.shape[1]):
            out[b, t, h, i] = scale * x[t, i]


@compiled
def add(total, more):
    for t in range(total.shape[0]):
        for i in range(total.shape[1]):
            total[t, i] += more[t, i]


# ---------------------------------------------------------------------------------------------------- what is dropped


@compiled
def drop(w, kept, j, rate):
    """w (keys from j on, queries) becomes w / (1 - rate) where it is kept, and 0 elsewhere"""
    share = w.dtype.type(1 - rate)
    for c in range(w.shape[0]):
        for a in range(w.shape[1]):
            w[c, a] = w[c, a] / share if kept[a, j + c] else w.dtype.type(0)


ops.attention.implement("cpu", attention, attention_backward)
