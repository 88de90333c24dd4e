"""Philox on the device: the same numbers as the reference's (minitransformer/philox.py), any of them, by any thread.

A thread encrypts one counter, which gives four numbers. Words are kept in 64 bits, of which a product of two of them
needs all.
"""

import numpy as np

from .device import inlined

M0, M1, W0, W1 = 0xD2511F53, 0xCD9E8D57, 0x9E3779B9, 0xBB67AE85  # once more: what is compiled in must stand here
WORD, BITS = np.uint64(0xFFFFFFFF), np.uint64(32)
ROUNDS = 10


@inlined
def four_numbers(counter, k0, k1, k2, k3):
    """Numbers 4n to 4n + 3 of the key k0 ... k3 for counter n; all of them uint64, each below 2³²"""
    n = np.uint64(counter)
    a, b, c, d = n & WORD, n >> BITS, k2, k3
    for _ in range(ROUNDS):
        p, q = np.uint64(M0) * a, np.uint64(M1) * c
        a, b, c, d = (q >> BITS) ^ b ^ k0, q & WORD, (p >> BITS) ^ d ^ k1, p & WORD
        k0, k1 = (k0 + np.uint64(W0)) & WORD, (k1 + np.uint64(W1)) & WORD
    return a, b, c, d
