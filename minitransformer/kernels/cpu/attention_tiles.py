"""The five products of attention, a tile of registers at a time, and how what they read is laid out for that.

A tile (tile.py) takes its first factor from rows or columns as they lie; the second must stand in panels as wide as a
tile of registers. Of a head there are then, at most, three layouts of the same numbers:

    strips        (S/ROWS, K, ROWS)         keys or values, as the first factor: ROWS of them for every i of K
    panels        (K/width, T, width)       keys, values, queries or dy, as the second: some of K for every t
    transposed    (T/width, K, width)       queries of a tile, or their dy, as the second: some of them for every i of K

In strips, a step finds its ROWS numbers side by side. As rows they would be ROWS places far apart, and computing where
takes so many of the processor's registers that the compiler moves sums out of theirs: half the speed.

Where K, the queries or the keys end within a tile of registers, zeros fill it up. The rows of a tile of registers may
also reach beyond the last query into the numbers of the next key, or beyond the last key into what a tile held before;
what comes of either is never read. (So a tile has ROWS numbers of room behind its end.)

The products are, for a tile of keys c and queries a:

    keys_by_queries    s_ca = Σ_i k_ci q_ai              and dw from values and dy
    add_over_keys      y_ai += Σ_c p_ca v_ci             and dq from ds and keys
    add_over_queries   dv_ci += Σ_a p_ca dy_ai           and dk from ds and queries

With a causal mask, query a of the tile sees the keys c ≤ a + diagonal. Tiles of registers of which nothing is seen are
not computed, and a sum ends, or begins, where what is seen does; what is not seen there is 0.
"""

import numpy as np

from .compiled import compiled
from .tile import ROWS, multiply_tile, place, whole


@compiled
def keys_by_queries(strips, transposed, tile, diagonal):
    """tile (J, N) = J keys in strips (strip, K, ROWS) times transposed (panel, K, width)"""
    (J, N), (_, K, width) = tile.shape, transposed.shape
    zero = np.zeros(width, tile.dtype)
    for c in range(0, J, ROWS):
        for a in range(0, N, width):
            if c < a + width + diagonal:  # else it keeps what was there, and the softmax, that passes over it, writes 0
                keys, queries, s = place(strips, c * K), place(transposed, a * K), place(tile, c * N + a)
                multiply_tile(keys, 1, ROWS, queries, place(zero, 0), 0, s, N, K)


@compiled
def add_over_keys(tile, panels, j, total, diagonal):
    """total (N, K) += tileᵀ (N, J) times panels (panel, S, width) from j on"""
    (J, N), (n_panels, S, width), wide = tile.shape, panels.shape, total.shape[1]
    for a in range(0, N, ROWS):
        seen = min(J, a + ROWS + diagonal)
        for p in range(n_panels):
            sums = place(total, a * wide + p * width)
            multiply_tile(place(tile, a), 1, N, place(panels, (p * S + j) * width), sums, wide, sums, wide, seen)


@compiled
def add_over_queries(tile, n, panels, t, total, j, diagonal):
    """total (S, K) from j on += tile (J, the first n of N) times panels (panel, T, width) from t on"""
    (J, N), (n_panels, T, width), wide = tile.shape, panels.shape, total.shape[1]
    for c in range(0, J, ROWS):
        first = min(max(0, c - diagonal), n)
        for p in range(n_panels):
            sums, queries = place(total, (j + c) * wide + p * width), place(panels, (p * T + t + first) * width)
            multiply_tile(place(tile, c * N + first), N, 1, queries, sums, wide, sums, wide, n - first)


# -------------------------------- the same for a single query, as when a text is written: nothing is worth a layout


@compiled(sums=True)
def keys_by_one_query(keys, query, scale, tile):
    """tile (J, 1) = scale keys (J or more, K) query (K)"""
    for c in range(tile.shape[0]):
        total = tile.dtype.type(0)
        for i in range(query.size):
            total += keys[c, i] * query[i]
        tile[c, 0] = total * tile.dtype.type(scale)


@compiled
def add_over_keys_of_one(tile, values, total):
    """total (1, K or more) += tileᵀ (1, J) times values (J or more, K)"""
    for c in range(tile.shape[0]):
        for i in range(values.shape[1]):
            total[0, i] += tile[c, 0] * values[c, i]


# -------------------------------------------------------------- from a head (T, K), which is x[b, :, h], and back to it
# It is named by b and h: of a view of it the compiler would not know that its numbers lie one after another.


@compiled
def to_strips(x, b, h, strips):
    for c in range(x.shape[1]):
        strip, r = strips[c // ROWS], c % ROWS
        for i in range(x.shape[3]):
            strip[i, r] = x[b, c, h, i]


@compiled
def to_panels(x, b, h, scale, panels):
    scale, width = x.dtype.type(scale), panels.shape[2]
    for p in range(panels.shape[0]):
        for t in range(x.shape[1]):
            part, panel = x[b, t, h, p * width :], panels[p, t]
            for i in range(min(width, part.size)):
                panel[i] = scale * part[i]


@compiled
def to_transposed(x, b, h, t, n, scale, transposed):
    """n queries from t on, and zeros to the end of the last panel they reach into"""
    scale, width = x.dtype.type(scale), transposed.shape[2]
    for p in range(whole(n, width) // width):
        panel, here = transposed[p], min(width, n - p * width)
        for a in range(here):
            for i in range(x.shape[3]):
                panel[i, a] = scale * x[b, t + p * width + a, h, i]
        panel[:, here:] = 0


@compiled
def from_rows(rows, scale, x, b, h, t, n):
    """n tokens of a head from t on = scale rows (n or more, K or more)"""
    scale = x.dtype.type(scale)
    for a in range(n):
        for i in range(x.shape[3]):
            x[b, t + a, h, i] = scale * rows[a, i]
