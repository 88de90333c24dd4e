"""Attention as a kernel, tile by tile: the T × S matrix of weights never exists (Dao et al. 2022, algorithm 1).

The reference writes scores and weights of every query and key to memory and reads them back six times. Here a tile of
queries meets a tile of keys, small enough to stay in a core's cache, and whole tiles of what may not be seen are never
computed. The products are BLAS's, as they are everywhere; what stands between them is one pass over the tile.

A tile lies in memory with a key to a row, and its queries side by side: what is added up and compared over the keys,
each query for itself, is then done for all queries of a vector at once.

    forward     for each tile of queries:  m = -∞, l = 0, y = 0        the largest score, the sum, the weighted values
                    for each tile of keys:
                        s = (q/√K) kᵀ + bias
                        m' = max(m, max s)        p = exp(s - m')
                        l = l exp(m - m') + Σ p        y = y exp(m - m') + dropout(p) v        and what was before
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
from ...convention import generator
from ...ops.attention import check_groups
from ...ops.broadcasting import sum_to
from ...ops.dropout import check_rate
from ...threads import helping, spread
from .compiled import compiled
from .functions import exp_negative

QUERIES, KEYS = 64, 512  # of a tile


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
        dropout_rate,
        K**-0.5,
        (QUERIES, KEYS),
    )
    y, lse = np.empty((B, T, H, K), q.dtype), np.empty((B, H, T), q.dtype)

    def work(groups):
        rng, skipped = numbers(key, groups.start * (H // G) * T * S) if drops else (None, 0)
        forward(*given, rng, skipped, groups.start, groups.stop, y, lse)

    spread(work, parts(B * G))
    return y.swapaxes(1, 2), (given, key if drops else None, None if bias is None else bias.shape, y, lse)


def attention_backward(dy, saved):
    """dq, dk, dv, dbias (None where there was no bias)"""
    given, key, bias_shape, y, lse = saved
    q, k, v, bias, *_ = given
    (B, T, H, _), (S, G) = q.shape, k.shape[1:3]
    dq, dk, dv = (np.empty(x.shape, x.dtype) for x in (q, k, v))
    dbias = np.zeros((0, 0, 0, 0) if bias_shape is None else (B, H, *bias.shape[2:]), q.dtype)
    dy = by_position(dy)

    def work(groups):
        rng, skipped = (None, 0) if key is None else numbers(key, groups.start * (H // G) * T * S)
        backward(dy, *given, rng, skipped, groups.start, groups.stop, y, lse, dq, dk, dv, dbias)

    spread(work, parts(B * G))
    dq, dk, dv = (x.swapaxes(1, 2) for x in (dq, dk, dv))
    return dq, dk, dv, None if bias_shape is None else sum_to(bias_shape, dbias)


def by_position(x):
    """x (B, H, T, K) as (B, T, H, K), which is how the heads of a model lie in memory; only others are copied."""
    return np.ascontiguousarray(x.swapaxes(1, 2))


def parts(n):
    """n groups of heads in slices, one for each worker."""
    many = min(n, helping())
    return [slice(i * n // many, (i + 1) * n // many) for i in range(many)]


def numbers(key, begin):
    """The generator of this key before its `begin`-th number, and how many are yet to be passed over."""
    rng = generator(key)
    rng.bit_generator.advance(begin // 4)  # Philox makes four at a time
    return rng, begin % 4


@compiled
def forward(q, k, v, bias, mask, causal, rate, scale, tile, rng, skipped, begin, end, y, lse):
    """Some groups of heads, all of their queries: writes their y (B, T, H, K) and lse (B, H, T)"""
    (_, T, _, K), (_, S, G, _), R = q.shape, k.shape, q.shape[2] // k.shape[2]
    (most, wide), dtype = tile, q.dtype
    queries, keys, values = np.empty((T, K), dtype), np.empty((S, K), dtype), np.empty((S, K), dtype)
    room, total_room, product_room = np.empty(most * wide, dtype), np.empty(most * K, dtype), np.empty(most * K, dtype)
    m, l, shrink = np.empty(most, dtype), np.empty(most, dtype), np.empty(most, dtype)
    kept = np.empty((0 if rng is None else most, S), np.bool_)
    if rng is not None:
        pass_over(rng, skipped)
    for group in range(begin, end):
        b, g = divmod(group, G)
        gather(k, b, g, 1.0, keys)
        gather(v, b, g, 1.0, values)
        for h in range(g * R, (g + 1) * R):
            gather(q, b, h, scale, queries)
            for t in range(0, T, most):
                n = min(most, T - t)
                m[:], l[:], total_room[:] = -np.inf, 0, 0
                total, product = total_room[: n * K].reshape(n, K), product_room[: n * K].reshape(n, K)
                if rng is not None:
                    draw(rng, rate, kept[:n])
                for j in range(0, seen_of(t + n, T, S, causal), wide):
                    J = min(wide, seen_of(t + n, T, S, causal) - j)
                    p = room[: J * n].reshape(J, n)
                    np.dot(keys[j : j + J], queries[t : t + n].T, p)
                    hide(p, bias, mask, causal, b, h, t, j, S - T)
                    soften(p, m[:n], l[:n], shrink[:n])
                    if rng is not None:
                        drop(p, kept[:n], j, rate)
                    np.dot(p.T, values[j : j + J], product)
                    shrink_and_add(total, shrink[:n], product)
                finish(total, m[:n], l[:n], y[b, t : t + n, h], lse[b, h, t : t + n])


@compiled
def backward(dy, q, k, v, bias, mask, causal, rate, scale, tile, rng, skipped, begin, end, y, lse, dq, dk, dv, dbias):
    """Some groups of heads, all of their queries: writes their dq, dk, dv, and adds to dbias"""
    (_, T, _, K), (_, S, G, _), R = q.shape, k.shape, q.shape[2] // k.shape[2]
    (most, wide), dtype = tile, q.dtype
    queries, keys, values = np.empty((T, K), dtype), np.empty((S, K), dtype), np.empty((S, K), dtype)
    dqueries, dkeys, dvalues = np.empty((T, K), dtype), np.empty((S, K), dtype), np.empty((S, K), dtype)
    felt, delta, shift = np.empty((T, K), dtype), np.empty(most, dtype), np.empty(most, dtype)
    room, droom, product_room = (
        np.empty(most * wide, dtype),
        np.empty(most * wide, dtype),
        np.empty(max(most, wide) * K, dtype),
    )
    kept = np.empty((0 if rng is None else most, S), np.bool_)
    if rng is not None:
        pass_over(rng, skipped)
    for group in range(begin, end):
        b, g = divmod(group, G)
        gather(k, b, g, 1.0, keys)
        gather(v, b, g, 1.0, values)
        dkeys[:], dvalues[:] = 0, 0
        for h in range(g * R, (g + 1) * R):  # heads that share a key: add
            gather(q, b, h, scale, queries)
            gather(dy, b, h, 1.0, felt)
            dqueries[:] = 0
            for t in range(0, T, most):
                n = min(most, T - t)
                q_rows, dy_rows = queries[t : t + n], felt[t : t + n]
                look_back(dy_rows, y[b, t : t + n, h], lse[b, h, t : t + n], delta, shift)
                if rng is not None:
                    draw(rng, rate, kept[:n])
                for j in range(0, seen_of(t + n, T, S, causal), wide):
                    J = min(wide, seen_of(t + n, T, S, causal) - j)
                    w, dw = room[: J * n].reshape(J, n), droom[: J * n].reshape(J, n)
                    by_key, by_query = product_room[: J * K].reshape(J, K), product_room[: n * K].reshape(n, K)
                    np.dot(keys[j : j + J], q_rows.T, w)
                    hide(w, bias, mask, causal, b, h, t, j, S - T)
                    np.dot(values[j : j + J], dy_rows.T, dw)  # y = dropout(w) v
                    if rng is not None:
                        drop(dw, kept[:n], j, rate)
                    harden(w, dw, shift[:n], delta[:n])  # w = exp(s - lse), and its softmax's backward
                    if rng is not None:
                        drop(w, kept[:n], j, rate)
                    np.dot(w, dy_rows, by_key)  # y = dropout(w) v
                    add(dvalues[j : j + J], by_key)
                    np.dot(dw, q_rows, by_key)  # s = (q/√K) kᵀ
                    add(dkeys[j : j + J], by_key)
                    np.dot(dw.T, keys[j : j + J], by_query)
                    add(dqueries[t : t + n], by_query)
                    if dbias.size:
                        add_where_broadcast(dbias[b, h], dw, t, j)  # s = ... + bias
            scatter(dqueries, scale, dq, b, h)
        scatter(dkeys, 1.0, dk, b, g)
        scatter(dvalues, 1.0, dv, b, g)


@register_jitable
def seen_of(t, T, S, causal):
    """How many keys the queries before t may see at most."""
    return min(max(t + S - T, 0), S) if causal else S


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


@compiled
def hide(s, bias, mask, causal, b, h, t, j, ahead):
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


@register_jitable
def within(i, length):
    """The index on an axis that may have been broadcast: 0 where it is one."""
    return i if length > 1 else 0


@compiled
def soften(s, m, l, shrink):
    """s (keys, queries) becomes p = exp(s - m) with the new m; m and l (queries) become those of all tiles so far

    shrink (queries) becomes exp(m - m'), what the sums before this tile are to be multiplied by.
    """
    one = s.dtype.type
    J, n = s.shape
    for a in range(n):
        shrink[a] = m[a]
    for c in range(J):
        for a in range(n):
            m[a] = s[c, a] if s[c, a] > m[a] else m[a]
    for a in range(n):
        most = m[a] if m[a] > one(-np.inf) else one(0)  # where all are -∞ or NaN: exp gives 0 and NaN
        shrink[a] = exp_negative(shrink[a] - most)  # 0 for the first tile, where m was -∞
        l[a] *= shrink[a]
    for c in range(J):
        for a in range(n):
            s[c, a] = exp_negative(s[c, a] - (m[a] if m[a] > one(-np.inf) else one(0)))
            l[a] += s[c, a]


@compiled
def harden(w, dw, shift, delta):
    """w (keys, queries), still the scores, becomes exp(w - lse), and dw becomes ds = w (dw - δ)"""
    for c in range(w.shape[0]):
        for a in range(w.shape[1]):
            w[c, a] = exp_negative(w[c, a] - shift[a])
            dw[c, a] = w[c, a] * (dw[c, a] - delta[a])


@compiled
def shrink_and_add(total, shrink, product):
    for a in range(total.shape[0]):
        for i in range(total.shape[1]):
            total[a, i] = total[a, i] * shrink[a] + product[a, i]


@compiled
def finish(total, m, l, y, lse):
    one = total.dtype.type
    for a in range(total.shape[0]):
        lse[a] = m[a] + np.log(l[a])
        share = one(0) if l[a] == 0 else one(1) / l[a]
        for i in range(total.shape[1]):
            y[a, i] = total[a, i] * share


@compiled(sums=True)
def look_back(dy, y, lse, delta, shift):
    """δ = Σ_K dy y; and what is taken from scores so that exp gives weights: 0 where nothing was seen"""
    one = y.dtype.type
    for a in range(y.shape[0]):
        total = one(0)
        for i in range(y.shape[1]):
            total += dy[a, i] * y[a, i]
        delta[a] = total
        shift[a] = one(np.inf) if lse[a] == -np.inf else lse[a]


@compiled
def add_where_broadcast(dbias, ds, t, j):
    for a in range(ds.shape[1]):
        row = dbias[within(t + a, dbias.shape[0])]
        for c in range(ds.shape[0]):
            row[within(j + c, row.size)] += ds[c, a]


@compiled
def pass_over(rng, n):
    for _ in range(n):
        rng.random()


@compiled
def draw(rng, rate, kept):
    """Which weights of these queries (n, S) dropout keeps"""
    for a in range(kept.shape[0]):
        for c in range(kept.shape[1]):
            kept[a, c] = rng.random() >= rate


@compiled
def drop(w, kept, j, rate):
    """w (keys from j on, queries) becomes w / (1 - rate) where it is kept, and 0 elsewhere"""
    share = w.dtype.type(1 - rate)
    for c in range(w.shape[0]):
        for a in range(w.shape[1]):
            w[c, a] = w[c, a] / share if kept[a, j + c] else w.dtype.type(0)


ops.attention.implement("cpu", attention, attention_backward)
