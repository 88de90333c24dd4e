"""Sums down the columns of a matrix, for the gradients of what every row has used: γ and β of a norm.

A thread for each column alone would leave most of a device idle, and atomic additions would come in another order
every time. So the rows are cut into strips. A thread adds up its column within a strip, in the order of the rows, where
neighbouring threads read neighbouring columns; then the strips are added up, in their order too.
"""

from .arrays import empty
from .device import SIMULATED, THREADS, cuda, inlined, launch

STRIP = 3 if SIMULATED else 64  # rows


def strips(N, D, like):
    """Room for the sums of each strip: (strips, D)"""
    return empty((-(-N // STRIP), D), like)


def launch_strips(kernel, N, D, *args):
    """The kernel over every strip and every THREADS columns: blocks are (column tiles, strips), one after another."""
    launch(kernel, -(-N // STRIP) * -(-D // THREADS), THREADS, *args)


@inlined
def column_of(D):
    """The column of this thread, perhaps one beyond the last."""
    return cuda.blockIdx.x % ((D + THREADS - 1) // THREADS) * THREADS + cuda.threadIdx.x


@inlined
def strip_of(D):
    return cuda.blockIdx.x // ((D + THREADS - 1) // THREADS)
