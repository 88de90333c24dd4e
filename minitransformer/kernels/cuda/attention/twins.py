"""The instructions of warp.py once more, in Python for the simulator: what the PTX manual says that each does."""

import threading

import numpy as np
from numba.cuda.simulator import kernelapi

from .bfloat16 import from_bfloat16, to_bfloat16
from .simulator import WARP

ROW, COLUMN = np.arange(WARP) // 4, 2 * (np.arange(WARP) % 4)  # of a lane in an 8 × 8 matrix


def lane():
    return threading.current_thread().thread_id % WARP


def with_warp(brought, together):
    """What `together` makes of the list of what all lanes bring, for every lane: the warp meets."""

    def in_order(by_thread):
        return together([by_thread[thread] for thread in sorted(by_thread)])

    return threading.current_thread().with_warp(brought, in_order)


# -------------------------------------------------------------------------------------------------- many bytes at once


def check_aligned(array, at, size):
    if at * array.dtype.itemsize % size:
        raise ValueError(f"{size} bytes from element {at} of {array.dtype} on: not at a multiple of {size} bytes")


def load(array, at, count):
    check_aligned(array, at, 4 * count)
    n = 4 * count // array.dtype.itemsize
    return tuple(np.array([array[at + i] for i in range(n)], array.dtype).view(np.float32))


def load4(x, at):
    return load(x, at, 4)


def load2(x, at):
    return load(x, at, 2)


def load_shared4(m, at):
    return load(m, at, 4)


def load_shared2(m, at):
    return load(m, at, 2)


def store_shared4(m, at, *numbers):
    check_aligned(m, at, 16)
    words = np.array(numbers, np.float32).view(m.dtype)
    m[at : at + words.size] = words


def copy_async(size):
    """The copy is remembered, and made when the thread waits for it: whoever reads before that finds nothing."""

    def copy(m, at, x, there, n):
        if n not in (0, size):
            raise ValueError(f"{n} bytes of {size}")
        check_aligned(m, at, size)
        if n:
            check_aligned(x, there, size)
        count = size // x.dtype.itemsize
        numbers = np.array([x[there + i] for i in range(count)] if n else [0] * count, x.dtype)
        copies().append((m, at, numbers.view(m.dtype)))

    return copy


copy_async16, copy_async4 = copy_async(16), copy_async(4)


def copies():
    thread = threading.current_thread()
    if not hasattr(thread, "copies"):
        thread.copies = []
    return thread.copies


def wait_for_copies():
    for m, at, numbers in copies():
        m[at : at + numbers.size] = numbers
    copies().clear()


# ------------------------------------------------------------------------------------------------------ matrices


def in_a_warp():
    """Where A's numbers, and B's, are among the 12 of each lane, all in a row; and which of C's a lane has"""
    a, b, lanes = np.empty((16, 16), int), np.empty((16, 8), int), np.arange(WARP)
    for half in range(2):
        for i in range(4):
            a[ROW + 8 * (i % 2), COLUMN + half + 8 * (i // 2)] = 12 * lanes + 2 * i + half
        for i in range(2):
            b[COLUMN + half + 8 * i, ROW] = 12 * lanes + 8 + 2 * i + half
    rows, columns = np.array([0, 0, 8, 8]), np.array([0, 1, 0, 1])
    return a, b, (ROW[:, None] + rows, COLUMN[:, None] + columns)


OF_A, OF_B, OF_C = in_a_warp()


def ldmatrix(m, at, transposed=False):
    check_aligned(m, at, 16)

    def read(places):
        matrices = np.stack([m[place : place + 8] for place in places]).reshape(4, 8, 8)
        matrices = matrices.swapaxes(1, 2) if transposed else matrices
        low, high = matrices[:, ROW, COLUMN], matrices[:, ROW, COLUMN + 1]
        return (low | high.astype(np.uint32) << 16).T  # (lanes, 4)

    return tuple(with_warp(int(at), read)[lane()])


def ldmatrix_transposed(m, at):
    return ldmatrix(m, at, True)


def mma(*operands):
    """A B + C; operands of a lane: four words of A, two of B, four numbers of C"""
    return with_warp(operands, multiply)[lane()]


def multiply(operands):
    """The four numbers of every lane"""
    words = np.array([each[:6] for each in operands], np.uint32)
    halves = from_bfloat16(words.view(np.uint16)).ravel()
    product = halves[OF_A] @ halves[OF_B]
    return [tuple(row) for row in product[OF_C] + np.array([each[6:] for each in operands], np.float32)]


# ------------------------------------------------------------------------------------------------------ numbers


def pack(low, high):
    bits = to_bfloat16(np.array([low, high], np.float32))
    return np.uint32(int(bits[0]) | int(bits[1]) << 16)


def low(word):
    return from_bfloat16(np.array(int(word) & 0xFFFF, np.uint16))[()]


def high(word):
    return from_bfloat16(np.array(int(word) >> 16, np.uint16))[()]


def exp2(x):
    return np.exp2(np.float32(x))


def shfl_xor_sync(self, mask, x, distance):
    return with_warp(x, list)[lane() ^ distance]


kernelapi.FakeCUDAModule.shfl_xor_sync = shfl_xor_sync  # Numba's own words, which its simulator lacks
