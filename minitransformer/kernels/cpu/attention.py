"""Attention as a kernel, tile by tile: the T × S matrix of weights never exists (Dao et al. 2022, algorithm 1).

The reference writes scores and weights of every query and key to memory and reads them back six times. Here a tile of
queries meets a tile of keys, small enough to stay in a core's cache, and whole tiles of what may not be seen are never
computed. The products are BLAS's, as they are everywhere; what stands between them is one pass over the tile.

    forward     for each tile of queries:  m = -∞, l = 0, y = 0        the largest score, the sum, the weighted values
                    for each tile of keys:
                        s = q kᵀ / √K + bias
                        m' = max(m, max s)        p = exp(s - m')
                        l = l exp(m - m') + Σ p        y = y exp(m - m') + p v        what was summed so far
                    y = y / l        lse = m + log l        one number a row: w = exp(s - lse)

    backward    δ = Σ_K dy y                       = Σ_keys dw w, for dw w = (dy vᵀ) w and y = w v
                for each tile of queries and each of keys:
                    w = exp(q kᵀ / √K + bias - lse)        computed again
                    dv += wᵀ dy        dw = dy vᵀ
                    ds = w (dw - δ)
                    dq += ds k / √K        dk += dsᵀ q / √K        dbias += ds

Dropped weights are drawn as the reference draws them: row (b, h, t) has the S numbers from ((b H + h) T + t) S on.
"""

import math
from typing import NamedTuple

import numpy as np

from ... import ops
from ...convention import generator
from ...ops.attention import check_groups
from ...ops.broadcasting import sum_to
from ...ops.dropout import check_rate, keep
from ...threads import spread
from .compiled import compiled
from .functions import LANES, exp, largest

QUERIES, KEYS = 64, 512  # of a tile
HEADS = 1 << 17  # so many scores at once: heads with few of them are taken together


class Problem(NamedTuple):
    """What both passes have to do with, its heads in groups that share keys and values."""

    q: np.ndarray  # (B,G,R,T,K), R query heads to a group
    k: np.ndarray  # (B,G,1,S,K)
    v: np.ndarray
    bias: np.ndarray | None  # (B,G,R,T,S), strided so that nothing is repeated in memory
    mask: np.ndarray | None
    causal: bool
    rate: float
    key: np.random.SeedSequence | None

    def tiles(self):
        """Slices of the queries, each with the slices of the keys that it may see at all."""
        T, S = self.q.shape[-2], self.k.shape[-2]
        for begin in range(0, T, QUERIES):
            end = min(begin + QUERIES, T)
            seen = min(max(end + S - T, 0), S) if self.causal else S
            yield slice(begin, end), [slice(j, min(j + KEYS, seen)) for j in range(0, seen, KEYS)]

    def parts(self):
        """Index tuples (batch, groups) that together are all heads, each a few of them."""
        B, G, R, T, _ = self.q.shape
        scores = R * min(T, QUERIES) * min(self.k.shape[-2], KEYS)
        n = max(HEADS // max(scores, 1), 1)  # groups at once
        if n >= G:
            n = max(n // G, 1)
            return [(slice(b, b + n), slice(None)) for b in range(0, B, n)]
        return [(slice(b, b + 1), slice(g, g + n)) for b in range(B) for g in range(0, G, n)]

    def limit(self, rows, columns):
        """How many of these columns the first of these rows may see; each row after it sees one more."""
        T, S = self.q.shape[-2], self.k.shape[-2]
        return rows.start + S - T + 1 - columns.start if self.causal else S

    def scores(self, part, rows, columns, out):
        """q kᵀ, in units in which `scale` times it are the scores; -∞ where the mask is False"""
        q, k = self.q[part][..., rows, :], self.k[part][..., columns, :]
        s = np.matmul(q, k.swapaxes(-1, -2), out=out)
        scale = q.shape[-1] ** -0.5
        if self.bias is not None:
            s *= scale
            s += self.bias[part][..., rows, columns]
            scale = 1.0
        if self.mask is not None:
            np.copyto(s, -np.inf, where=~self.mask[part][..., rows, columns])
        return s, scale

    def kept(self, part, rows, columns):
        """Which weights of a tile dropout keeps; None where all of them."""
        if self.key is None or self.rate == 0:
            return None
        (B, G, R, T, _), S = self.q.shape, self.k.shape[-2]
        kept = np.empty((*self.q[part].shape[:3], rows.stop - rows.start, columns.stop - columns.start), bool)
        heads = np.arange(B * G * R).reshape(B, G, R)[part]
        for at in np.ndindex(heads.shape):
            begin = (int(heads[at]) * T + rows.start) * S
            drawn = numbers(self.key, begin, (rows.stop - rows.start) * S).reshape(-1, S)
            kept[at] = drawn[:, columns] >= self.rate
        return kept


def numbers(key, begin, n):
    """The numbers from the `begin`-th on that the generator of this key draws."""
    rng = generator(key)
    rng.bit_generator.advance(begin // 4)  # Philox makes four at a time
    return rng.random(begin % 4 + n)[begin % 4 :]


def grouped(x, G):
    """x (B, H, ...) as (B, G, H/G, ...), without a copy"""
    return x.reshape(x.shape[0], G, x.shape[1] // G, *x.shape[2:])


def by_head(like, n_heads):
    """An empty (B, n_heads, T, K) in whose memory the heads of a position stand side by side: merging them is free."""
    B, _, T, K = like.shape
    return np.empty((B, T, n_heads, K), like.dtype).swapaxes(1, 2)


def attention(q, k, v, bias=None, *, mask=None, causal=False, dropout_rate=0.0, key=None):
    check_groups(q, k)
    check_rate(dropout_rate)
    (B, H, T, _), (G, S) = q.shape, k.shape[1:3]
    whole = (B, H, T, S)
    bias_all, mask_all = (None if x is None else grouped(np.broadcast_to(x, whole), G) for x in (bias, mask))
    problem = Problem(grouped(q, G), k[:, :, None], v[:, :, None], bias_all, mask_all, causal, dropout_rate, key)
    y, lse = by_head(q, H), np.empty((B, H, T), q.dtype)
    spread(lambda part: forward_part(problem, part, grouped(y, G)[part], grouped(lse, G)[part]), problem.parts())
    return y, (problem, bias, y, lse)


def attention_backward(dy, saved):
    """dq, dk, dv, dbias (None where there was no bias)"""
    problem, bias, y, lse = saved
    B, G, R, T, K = problem.q.shape
    dq, dk, dv = by_head(y, G * R), by_head(problem.k[:, :, 0], G), by_head(problem.v[:, :, 0], G)
    dbias = None if bias is None else np.zeros((B, G, R, *bias.shape[2:]), bias.dtype)
    dy, y, lse, dq_grouped = (grouped(x, G) for x in (dy, y, lse, dq))

    def work(part):
        felt = None if dbias is None else dbias[part]
        backward_part(problem, part, dy[part], y[part], lse[part], dq_grouped[part], dk[part], dv[part], felt)

    spread(work, problem.parts())
    if dbias is not None:
        dbias = sum_to(bias.shape, dbias.reshape(B, G * R, *bias.shape[2:]))
    return dq, dk, dv, dbias


def forward_part(problem, part, y, lse):
    """Some heads, all of their queries: writes y (b,g,R,T,K) and lse (b,g,R,T)"""
    lead, dtype = y.shape[:3], y.dtype
    for rows, tiles in problem.tiles():
        N = rows.stop - rows.start
        m, l = np.full((*lead, N), -np.inf, dtype), np.zeros((*lead, N), dtype)
        total = np.zeros((*lead, N, y.shape[-1]), dtype)
        for columns in tiles:
            room = np.empty((*lead, N, columns.stop - columns.start), dtype)
            p, scale = problem.scores(part, rows, columns, room)
            soften(three(p), scale, problem.limit(rows, columns), two(m), two(l), three(total))
            p = keep(p, problem.kept(part, rows, columns), problem.rate)
            total += p @ problem.v[part][..., columns, :]
        with np.errstate(divide="ignore", invalid="ignore"):
            np.divide(total, l[..., None], out=total, where=l[..., None] != 0)
            y[..., rows, :] = total
            lse[..., rows] = m + np.log(l)


def backward_part(problem, part, dy, y, lse, dq, dk, dv, dbias):
    """Some heads, all of their queries: writes dq (b,g,R,T,K), dk and dv (b,g,S,K), and adds to dbias"""
    dk[...], dv[...] = 0, 0
    for rows, tiles in problem.tiles():
        dy_rows, q_rows = dy[..., rows, :], problem.q[part][..., rows, :]
        delta = (dy_rows * y[..., rows, :]).sum(-1)
        lse_rows = np.ascontiguousarray(lse[..., rows])
        dq_rows = np.zeros(dy_rows.shape, dy.dtype)
        for columns in tiles:
            room = np.empty((*dy_rows.shape[:-1], columns.stop - columns.start), dy.dtype)
            w, scale = problem.scores(part, rows, columns, room)
            k, v = problem.k[part][..., columns, :], problem.v[part][..., columns, :]
            dw = np.matmul(dy_rows, v.swapaxes(-1, -2), out=np.empty(room.shape, dy.dtype))  # y = w v
            kept = problem.kept(part, rows, columns)
            ds = keep(dw, kept, problem.rate)
            harden(
                three(w), three(ds), scale, problem.limit(rows, columns), two(lse_rows), two(delta)
            )  # w = exp(s - lse)
            w = keep(w, kept, problem.rate)
            dv[..., columns, :] += (w.swapaxes(-1, -2) @ dy_rows).sum(2)  # y = w v; heads that share a value: add
            if dbias is not None:  # s = ... + bias
                place = dbias[..., within(rows, dbias.shape[-2]), within(columns, dbias.shape[-1])]
                place += sum_to(place.shape, ds)
            ds *= problem.q.shape[-1] ** -0.5  # s = q kᵀ / √K
            dq_rows += ds @ k
            dk[..., columns, :] += (ds.swapaxes(-1, -2) @ q_rows).sum(2)
        dq[..., rows, :] = dq_rows


def within(place, length):
    """The slice of an axis that may have been broadcast: all of it where it is one."""
    return place if length > 1 else slice(None)


def three(x):
    return x.reshape(math.prod(x.shape[:-2]), *x.shape[-2:])


def two(x):
    return x.reshape(-1, x.shape[-1])


@compiled(sums=True)
def soften(s, scale, limit, m, l, total):
    """s (N, T, S) becomes p = exp(scale s - m), with the new m; row t may see `limit` + t columns

    m, l (N, T) and total (N, T, K) become those of this tile and all before it.
    """
    one = s.dtype.type
    lanes, scale = np.empty(LANES, s.dtype), one(scale)
    for n in range(s.shape[0]):
        for t in range(s.shape[1]):
            seen = min(max(limit + t, 0), s.shape[2])
            row = s[n, t]
            most = largest(row[:seen], lanes) * scale
            row[seen:] = one(0)
            if most > m[n, t]:
                shrink = exp(m[n, t] - most)  # 0 for the first tile, where m is -∞
                m[n, t] = most
                l[n, t] *= shrink
                for i in range(total.shape[2]):
                    total[n, t, i] *= shrink
            most = m[n, t] if m[n, t] > -np.inf else one(0)  # where all are -∞ or NaN: exp gives 0 and NaN
            added = one(0)
            for i in range(seen):
                row[i] = exp(row[i] * scale - most)
                added += row[i]
            l[n, t] += added


@compiled
def harden(s, dw, scale, limit, lse, delta):
    """s (N, T, S) becomes w = exp(scale s - lse), and dw (N, T, S) becomes ds = w (dw - δ)"""
    one = s.dtype.type
    scale = one(scale)
    for n in range(s.shape[0]):
        for t in range(s.shape[1]):
            seen = min(max(limit + t, 0), s.shape[2])
            if lse[n, t] == -np.inf:
                seen = 0
            row, drow = s[n, t], dw[n, t]
            for i in range(seen):
                row[i] = exp(row[i] * scale - lse[n, t])
                drow[i] = row[i] * (drow[i] - delta[n, t])
            row[seen:] = one(0)
            drow[seen:] = one(0)


ops.attention.implement("cpu", attention, attention_backward)
