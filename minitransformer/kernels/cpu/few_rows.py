"""The product of few rows with a matrix that is read as it lies, as when a text is written token by token.

    y_re = Σ_d W_ed x_rd + b_e          for few rows r, and some of the outputs e: each weight comes from memory once

BLAS copies W into the order in which it reads, which takes longer than so few products. For one row, or a few, the sum
above is a loop as it stands; for more, a tile (tile.py) has some of W's rows and all of x's, and x alone is laid out.

The backward is that of any linear map (linear.py): a text that is written feels no gradient.
"""

import numpy as np
from numba.extending import register_jitable

from .compiled import compiled
from .tile import BYTES, THIN_ROWS, THIN_VECTORS, multiply_thin_tile, place, thin_columns, whole

FEW = 16  # rows
ROW_BY_ROW = 3  # rows


@register_jitable
def panels_of(rows, size):
    """How many panels so many rows of numbers of this size make: none where they are read as they lie"""
    columns = THIN_VECTORS * BYTES // size
    return whole(rows, columns) // columns if rows > ROW_BY_ROW else 0


def in_panels(x):
    """x (R, D) as (panel, D, columns), rows side by side, and zeros to the end of the last panel"""
    panels = np.zeros((panels_of(len(x), x.itemsize), x.shape[1], thin_columns(x)), x.dtype)
    if len(panels):
        lay_out(x, panels)
    return panels


@compiled
def lay_out(x, panels):
    columns = panels.shape[2]
    for r in range(x.shape[0]):
        p, column = divmod(r, columns)
        for d in range(x.shape[1]):
            panels[p, d, column] = x[r, d]


@compiled
def some_outputs(weight, bias, x, panels, y, begin, end):
    """y_re for the outputs from begin to end"""
    tiled = (end - begin) // THIN_ROWS * THIN_ROWS if len(panels) else 0
    by_tiles(weight, bias, panels, y, begin, begin + tiled)
    row_by_row(weight, bias, x, y, begin + tiled, end)


@compiled
def by_tiles(weight, bias, panels, y, begin, end):
    D, columns = panels.shape[1:]
    zero, tile = np.zeros(columns, y.dtype), np.empty((THIN_ROWS, columns), y.dtype)
    for e in range(begin, end, THIN_ROWS):
        for p in range(len(panels)):
            rows, x = place(weight, e * D), place(panels, p * D * columns)
            multiply_thin_tile(rows, D, 1, x, place(zero, 0), 0, place(tile, 0), columns, D)
            for r in range(p * columns, min((p + 1) * columns, len(y))):
                for i in range(THIN_ROWS):
                    y[r, e + i] = tile[i, r - p * columns] + (bias[e + i] if bias.size else zero[0])


@compiled(sums=True)
def row_by_row(weight, bias, x, y, begin, end):
    for e in range(begin, end):
        w = weight[e]
        for r in range(len(x)):
            row, total = x[r], x.dtype.type(0)
            for d in range(row.size):
                total += w[d] * row[d]
            y[r, e] = total + bias[e] if bias.size else total
