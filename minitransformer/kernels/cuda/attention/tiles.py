"""Tiles in shared memory, as `tiled` and `flash` have them.

A block owns some rows, one to a lane of each of its warps, and the rows of the other side pass by, a tile at a time.
Where a head is wider than COLUMNS, a row has several warps: each makes some of its scores, and has some of its columns.
"""

from numba import cuda, float32

COLUMNS = 32  # that a thread sums up in its registers
TILE = 1024  # numbers in a tile of keys: 4 KB, so that all of a backward at K = 128 fit into 48 KB


def rows_of_tile(K, numbers):
    return max(min(numbers // K, 32), 1)


@cuda.jit(device=True, inline="always")
def load_rows(tile, x, n, first, rows, K, thread, threads):
    """Rows of head n of x to shared memory, neighbours by neighbours; zeros where x has no more."""
    for e in range(thread, rows * K, threads):
        r, c = e // K, e % K
        tile[r, c] = x[n, first + r, c] if first + r < x.shape[1] else float32(0)


@cuda.jit(device=True, inline="always")
def dot(a, i, b, j, K):
    """Row i of a times row j of b"""
    total = float32(0)
    for c in range(K):
        total += a[i, c] * b[j, c]
    return total


@cuda.jit(device=True, inline="always")
def add_atomically(dq, n, first, ds, keys, rows, tile, K, thread, threads, scale):
    """dq += dsᵀ keys / √K for the queries of a tile, where every block adds to the same numbers, in no order"""
    for e in range(thread, tile * K, threads):
        t, c = e // K, e % K
        if first + t < dq.shape[1]:
            felt = float32(0)
            for r in range(rows):
                felt += ds[r, t] * keys[r, c]
            cuda.atomic.add(dq, (n, first + t, c), felt * scale)
