"""Philox as a kernel: the same numbers as the reference's (minitransformer/philox.py), any of them, lane by lane.

Counters do not depend on each other, so eight are encrypted at once. The four words of each lie in four arrays, since a
loop that wrote them side by side would not vectorise; they are brought into order where they are compared.
"""

import numpy as np

from .compiled import compiled

M0, M1, W0, W1 = 0xD2511F53, 0xCD9E8D57, 0x9E3779B9, 0xBB67AE85  # once more: what is compiled in must stand here
WORD, BITS = np.uint64(0xFFFFFFFF), np.uint64(32)
COUNTERS = 256  # encrypted before their words are looked at: small enough for the nearest cache


@compiled
def draw_kept(identity, begin, limit, kept):
    """kept[i] = whether number begin + i of this key is at least `limit`: what dropout leaves"""
    a, b = np.empty(COUNTERS, np.uint32), np.empty(COUNTERS, np.uint32)
    c, d = np.empty(COUNTERS, np.uint32), np.empty(COUNTERS, np.uint32)
    drawn = np.empty(4 * COUNTERS, np.bool_)
    end = begin + kept.size
    for counter in range(begin // 4, (end + 3) // 4, COUNTERS):
        n, first = min(COUNTERS, (end + 3) // 4 - counter), 4 * counter
        words(identity, counter, a[:n], b[:n], c[:n], d[:n])
        compare(a[:n], b[:n], c[:n], d[:n], limit, drawn)
        start, stop = max(begin, first), min(end, first + 4 * n)
        kept[start - begin : stop - begin] = drawn[start - first : stop - first]


@compiled
def words(identity, begin, first, second, third, fourth):
    """The words of counters begin, begin + 1, ... (each array (n,))"""
    for i in range(first.size):
        counter = np.uint64(begin) + np.uint64(i)
        a, b, c, d = counter & WORD, counter >> BITS, np.uint64(identity[2]), np.uint64(identity[3])
        k0, k1 = np.uint64(identity[0]), np.uint64(identity[1])
        for _ in range(10):
            p, q = np.uint64(M0) * a, np.uint64(M1) * c
            a, b, c, d = (q >> BITS) ^ b ^ k0, q & WORD, (p >> BITS) ^ d ^ k1, p & WORD
            k0, k1 = (k0 + np.uint64(W0)) & WORD, (k1 + np.uint64(W1)) & WORD
        first[i], second[i], third[i], fourth[i] = np.uint32(a), np.uint32(b), np.uint32(c), np.uint32(d)


@compiled
def compare(first, second, third, fourth, limit, drawn):
    for i in range(first.size):
        drawn[4 * i] = first[i] >= limit
        drawn[4 * i + 1] = second[i] >= limit
        drawn[4 * i + 2] = third[i] >= limit
        drawn[4 * i + 3] = fourth[i] >= limit
