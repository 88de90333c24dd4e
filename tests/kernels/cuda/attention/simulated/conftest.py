"""Collected only in a process that was started with NUMBA_ENABLE_CUDASIM=1: test_in_simulator.py starts it."""

from minitransformer.kernels.cuda.device import SIMULATED

collect_ignore_glob = [] if SIMULATED else ["*.py"]
