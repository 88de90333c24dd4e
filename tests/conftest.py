"""What all tests share: how much hypothesis draws, and generators whose seed stands in the name of the test."""

import os

if "PYTEST_XDIST_WORKER" in os.environ:  # a process for each core: threads of BLAS beside them would only wait, busily
    os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")

import numpy as np
import pytest
from hypothesis import settings

from minitransformer import use_backend

ALWAYS = {"deadline": None, "print_blob": True}
settings.register_profile("fast", max_examples=20, derandomize=False, **ALWAYS)
settings.register_profile("thorough", max_examples=200, derandomize=False, **ALWAYS)  # --hypothesis-profile=thorough
settings.register_profile("gate", max_examples=20, derandomize=True, **ALWAYS)  # a change is judged, not a draw
settings.load_profile("fast")


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_make_scheduler(config, log):
    """Who is done takes half of what another still has to do: a few tests take minutes, most of them milliseconds."""
    from xdist.scheduler import WorkStealingScheduling

    return WorkStealingScheduling(config, log)


@pytest.fixture(autouse=True)
def reference():
    """Every test begins with plain NumPy, whatever the one before chose."""
    use_backend("reference")


@pytest.fixture(params=range(3), ids="seed{}".format)
def rng(request):
    return np.random.default_rng(request.param)
