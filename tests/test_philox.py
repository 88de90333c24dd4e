"""Philox against the known answers that its authors publish with it (Random123, kat_vectors), and against itself."""

import numpy as np
import pytest

from minitransformer import philox
from minitransformer.convention import fold

ANSWERS = [  # counter, key, what becomes of the counter
    ([0, 0, 0, 0], [0, 0], [0x6627E8D5, 0xE169C58D, 0xBC57AC4C, 0x9B00DBD8]),
    ([0xFFFFFFFF] * 4, [0xFFFFFFFF] * 2, [0x408F276D, 0x41C83B0E, 0xA20BC7C6, 0x6D5451FD]),
    (
        [0x243F6A88, 0x85A308D3, 0x13198A2E, 0x03707344],
        [0xA4093822, 0x299F31D0],
        [0xD16CFE09, 0x94FDCCEB, 0x5001E420, 0x24126EA1],
    ),
]


@pytest.mark.parametrize("counter, key, answer", ANSWERS)
def test_known_answers(counter, key, answer):
    assert np.array_equal(philox.encrypt(*np.array(counter, np.uint64), *np.array(key, np.uint64)), answer)


@pytest.mark.parametrize("n", range(10))
def test_a_number_hangs_on_the_key_and_its_place_alone(n):
    key = fold(np.random.SeedSequence(5), 1)
    assert np.array_equal(philox.words(key, n), philox.words(key, 100)[:n])


def test_a_thousand_keys_are_a_thousand_streams():
    root = np.random.SeedSequence(7)
    assert len({tuple(philox.words(fold(root, i), 4)) for i in range(1000)}) == 1000


def test_every_bit_is_fair_and_neighbours_do_not_know_each_other():
    """Within five deviations: each of 32 bits, and its agreement with the next 8 numbers'."""
    words = philox.words(np.random.SeedSequence(11), 40_000)
    bits = (words[:, None] >> np.arange(32, dtype=np.uint32)) & 1
    assert abs(bits.mean(0) - 0.5).max() <= 5 * 0.5 / len(bits) ** 0.5
    for lag in range(1, 9):
        agreement = (bits[lag:] == bits[:-lag]).mean(0)
        assert abs(agreement - 0.5).max() <= 5 * 0.5 / (len(bits) - lag) ** 0.5
