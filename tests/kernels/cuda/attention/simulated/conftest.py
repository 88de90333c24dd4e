"""Collected only in a process that was started with NUMBA_ENABLE_CUDASIM=1: test_in_simulator.py starts it."""

import numpy as np
import pytest

from minitransformer.kernels.cuda.attention import arrays

collect_ignore_glob = [] if arrays.SIMULATED else ["*.py"]


def poisoned(shape, like, dtype=None):
    """Room in which every number is NaN, in float32 and in bfloat16, so that what is never written shows."""
    room = np.empty(shape, like.dtype if dtype is None else dtype)
    room.reshape(-1).view(np.uint8)[...] = 0xFF
    return room


@pytest.fixture(autouse=True)
def poison(monkeypatch):
    monkeypatch.setattr(arrays, "empty", poisoned)
