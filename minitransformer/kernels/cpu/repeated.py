"""A product with one matrix, many times over: it is laid out once as tiles read it, not anew for each product.

    c = a b         b (K, N) stays what it is; a (M, K) has few rows, and is another one every time

A recurrent network multiplies each state by the same weights. BLAS does not know that: for every product it copies b
into the order in which it reads, which for a few rows takes as long as the product itself. The last tile of rows, and
the last panel of columns, lie partly over those before them, and find the same numbers there again.
"""

import numpy as np

from .compiled import compiled
from .tile import BYTES, LOW_ROWS, LOW_VECTORS, low_columns, multiply_low_tile, place

WORTH_IT = 8  # products


class Repeated:
    """product = Repeated(b, M, times), and then product(a, out) for any a (M, K) whose rows lie one after another

    Where a or b is smaller than a tile, or there are few products, they are BLAS's.
    """

    def __init__(self, b, M, times):
        self.b, self.panels = b, None
        (K, N), width = b.shape, LOW_VECTORS * BYTES // b.itemsize
        if times >= WORTH_IT and M >= LOW_ROWS and N >= width and K:
            self.panels = np.empty((-(-N // width), K, width), b.dtype)
            lay_out(b, self.panels)

    def __call__(self, a, out):
        if self.panels is None:
            return np.matmul(a, self.b, out=out)
        multiply(a, self.panels, out)
        return out


def lay_out(b, panels):
    """panels (P, K, width) of b (K, N): columns side by side, the last ones up to the end"""
    _, _, width = panels.shape
    for p, panel in enumerate(panels):
        begin = min(p * width, b.shape[1] - width)
        panel[:] = b[:, begin : begin + width]


@compiled
def multiply(a, panels, c):
    """c (M, N) = a (M, K) times what lies in panels (P, K, width)"""
    (M, K), N, zero = a.shape, c.shape[1], np.zeros(low_columns(c), c.dtype)
    P, _, width = panels.shape
    for p in range(P):
        j = min(p * width, N - width)
        for n in range(0, M, LOW_ROWS):
            i = min(n, M - LOW_ROWS)
            rows, tile = place(a, i * K), place(c, i * N + j)
            multiply_low_tile(rows, K, 1, place(panels, p * K * width), place(zero, 0), 0, tile, N, K)
