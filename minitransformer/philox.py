"""Philox4x32-10 (Salmon et al. 2011, "Parallel random numbers: as easy as 1, 2, 3", section 3.3).

The n-th number of a key, without those before it: a cipher of the counter n, and nothing else. So a kernel may begin
anywhere, a backward may draw again what its forward drew, and every device finds the same bits. A counter is four words
of 32 bits, which ten rounds turn into four others:

    a, b, c, d  <-  high(M₁ c) ^ b ^ k₀,  low(M₁ c),  high(M₀ a) ^ d ^ k₁,  low(M₀ a)
    k₀, k₁      <-  k₀ + W₀,  k₁ + W₁                                                       modulo 2³²

high and low are the two words of a product. Numbers 4n to 4n+3 are what becomes of (low(n), high(n), k₂, k₃), where
the key's own four words are k₀ to k₃.
"""

import numpy as np

ROUNDS = 10
M0, M1 = 0xD2511F53, 0xCD9E8D57  # multipliers, chosen by the paper's authors for how fast they mix
W0, W1 = 0x9E3779B9, 0xBB67AE85  # the fractions of the golden ratio and of √3
WORD, BITS = np.uint64(0xFFFFFFFF), np.uint64(32)


def identity(key):
    """The four words that a key is here: uint32 (4,)"""
    return key.generate_state(4, np.uint32)


def words(key, n):
    """The first n numbers of a key: uint32 (n,), each from 0 to 2³² - 1 with equal probability."""
    k0, k1, k2, k3 = identity(key).astype(np.uint64)
    counter = np.arange(-(-n // 4), dtype=np.uint64)
    a, b, c, d = encrypt(counter & WORD, counter >> BITS, k2, k3, k0, k1)
    return np.stack([a, b, c, d], -1).astype(np.uint32).ravel()[:n]


def encrypt(a, b, c, d, k0, k1):
    """A counter's four words, each below 2³² in a uint64, after all rounds."""
    for _ in range(ROUNDS):
        p, q = np.uint64(M0) * a, np.uint64(M1) * c
        a, b, c, d = (q >> BITS) ^ b ^ k0, q & WORD, (p >> BITS) ^ d ^ k1, p & WORD
        k0, k1 = (k0 + np.uint64(W0)) & WORD, (k1 + np.uint64(W1)) & WORD
    return a, b, c, d
