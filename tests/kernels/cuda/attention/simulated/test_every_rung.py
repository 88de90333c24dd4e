"""Every rung in the simulator, forward and backward, held to float64."""

import numpy as np
import pytest

from minitransformer.kernels.cuda.attention import RUNGS, flash, flash_atomic, naive, simulator, tiled
from minitransformer.kernels.cuda.attention.rungs import Rung
from tests.kernels.cuda.attention.cases import SMALL, Case, hold


@pytest.fixture
def small_tiles(monkeypatch):
    """Blocks of 4 rows, and tiles of 5: so that little arrays have many, and none is full."""
    for module in (tiled, flash):
        monkeypatch.setattr(module, "ROWS", 4)
        monkeypatch.setattr(module, "TILE", 40)
    monkeypatch.setattr(naive, "THREADS", 4)


@pytest.mark.parametrize("name", ["naive", "tiled", "flash"])
@pytest.mark.parametrize("case", SMALL, ids=str)
def test_tiles_that_are_not_full(name, case, small_tiles):
    hold(RUNGS[name], case)


@pytest.mark.parametrize("name", ["tiled", "flash"])
@pytest.mark.parametrize("case", [Case(B=1, G=1, R=1, T=33, S=31, K=32), Case(B=1, G=1, R=1, T=3, S=9, K=64)], ids=str)
def test_tiles_as_they_are(name, case):
    hold(RUNGS[name], case)


class Atomic(Rung):
    module = flash_atomic


ATOMIC = Atomic("flash_atomic", "float32", None, True, "")


@pytest.mark.parametrize("case", SMALL[:4], ids=str)
def test_the_atomic_sum(case, small_tiles):
    hold(ATOMIC, case)


def bits_of(rung, case, seed):
    q, k, v, dy = case.arrays()
    with simulator.seed(seed):
        _, saved = rung.attention(q, k, v, **case.settings())
        return b"".join(x.tobytes() for x in rung.attention_backward(dy, saved)[:3])


@pytest.mark.parametrize("name", ["naive", "flash"])
def test_the_same_bits_in_whatever_order_threads_come(name, small_tiles):
    """Thirty orders of threads and blocks; a sum that depended on them would have other last bits."""
    case = Case(B=1, G=1, R=2, T=6, S=9, causal=False)
    assert len({bits_of(RUNGS[name], case, seed) for seed in range(30)}) == 1


def test_an_atomic_sum_has_other_bits_in_another_order(small_tiles):
    case = Case(B=1, G=1, R=2, T=6, S=9, causal=False)
    assert len({bits_of(ATOMIC, case, seed) for seed in range(30)}) > 1


@pytest.mark.parametrize("T, S", [(0, 5), (4, 0), (0, 0)])
@pytest.mark.parametrize("name", RUNGS)
def test_no_queries_or_no_keys(name, T, S):
    hold(RUNGS[name], Case(T=T, S=S, K=32, causal=False))


def test_what_comes_in_is_not_written_to(small_tiles):
    case = Case(mask="full")
    given = [*case.arrays(), case.settings()["mask"]]
    for array in given:
        array.flags.writeable = False
    q, k, v, dy, mask = given
    y, saved = RUNGS["flash"].attention(q, k, v, mask=mask, causal=True)
    first = RUNGS["flash"].attention_backward(dy, saved)
    again = RUNGS["flash"].attention_backward(dy, saved)
    assert all(np.array_equal(a, b) for a, b in zip(first[:3], again[:3]))
