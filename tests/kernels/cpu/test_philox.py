import numpy as np
import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from minitransformer import philox
from minitransformer.kernels.cpu.philox import COUNTERS, draw_kept
from minitransformer.kernels.cpu.philox import words as words_of_counters

from ...test_philox import ANSWERS


@pytest.mark.parametrize("counter, key, answer", ANSWERS)
def test_known_answers(counter, key, answer):
    """The two that begin at a counter of 64 bits, which a kernel counts with."""
    begin = counter[0] + (counter[1] << 32)
    found = [np.zeros(1, np.uint32) for _ in range(4)]
    words_of_counters(np.array([*key, *counter[2:]], np.uint32), np.uint64(begin), *found)
    assert np.array_equal(np.concatenate(found), answer)


@given(st.integers(0, 2**64), st.integers(0, 5000), st.integers(0, 5000), st.integers(0, 2**32 - 1))
@example(0, 0, 4 * COUNTERS, 1 << 31)
@example(0, 4 * COUNTERS - 1, 2, 1 << 31)
@example(0, 3, 0, 1 << 31)
def test_any_part_of_the_stream(seed, begin, n, limit):
    key = np.random.SeedSequence(seed)
    kept = np.zeros(n, bool)
    draw_kept(philox.identity(key), begin, np.uint32(limit), kept)
    assert np.array_equal(kept, philox.words(key, begin + n)[begin:] >= limit)


def test_far_into_the_stream():
    """Beyond 2³² counters, where the second word begins to count"""
    key, counter = np.random.SeedSequence(2), 2**33 + 5
    kept = np.zeros(8, bool)
    draw_kept(philox.identity(key), 4 * counter, np.uint32(1 << 31), kept)
    k = philox.identity(key).astype(np.uint64)
    expected = [
        word >= 1 << 31
        for i in range(2)
        for word in philox.encrypt(np.uint64(counter + i) & philox.WORD, np.uint64(2), *k[2:], *k[:2])
    ]
    assert np.array_equal(kept, expected)
