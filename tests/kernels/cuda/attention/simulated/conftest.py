"""Collected only in a process that was started with NUMBA_ENABLE_CUDASIM=1: test_in_simulator.py starts it."""

import pytest

from minitransformer.kernels.cuda.device import SIMULATED

collect_ignore_glob = [] if SIMULATED else ["*.py"]

if SIMULATED:

    def pytest_collection_modifyitems(items):
        """On a device numbers overflow without a word, and some do of which nothing is used."""
        for item in items:
            item.add_marker(pytest.mark.filterwarnings("ignore:(overflow|invalid value) encountered:RuntimeWarning"))
