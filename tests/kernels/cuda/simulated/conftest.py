"""Collected only in a process that was started with NUMBA_ENABLE_CUDASIM=1: test_in_simulator.py starts it.

Every test runs under the backend "cuda", and leaves the process under the reference. A simulated thread is a thread of
Python's, so calls have few rows; blocks of eight threads in two warps see to it that few are many.
"""

import os

import pytest
from hypothesis import Phase, settings

SIMULATED = os.environ.get("NUMBA_ENABLE_CUDASIM", "0") not in ("", "0")
collect_ignore_glob = [] if SIMULATED else ["*.py"]

PHASES = (Phase.explicit, Phase.reuse, Phase.generate)  # to shrink a failure would take minutes

if SIMULATED:
    from ...cpu import calls
    from ...cpu.agreement import backend

    always = {"deadline": None, "print_blob": True, "derandomize": "DERANDOMIZED" in os.environ}
    settings.register_profile("simulated", max_examples=4, phases=PHASES, **always)
    settings.load_profile("simulated")

    def batch(pick, most=2):
        """Leading axes, few of them, and short"""
        return pick(calls.st.lists(calls.one_of(2, 4, 1, 0), max_size=most, unique=True), "leading axes")

    calls.batch = batch

    @pytest.fixture(autouse=True)
    def cuda():
        with backend("cuda"):
            yield
