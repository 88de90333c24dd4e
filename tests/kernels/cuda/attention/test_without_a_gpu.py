"""Importing the ladder costs nothing and asks for no GPU; calling it without one says so."""

import subprocess
import sys

import numpy as np
import pytest

from minitransformer.kernels.cuda.attention import RUNGS
from minitransformer.kernels.cuda.device import SIMULATED


def test_importing_brings_no_compiler():
    code = "import sys, minitransformer.kernels.cuda.attention; print('numba' in sys.modules)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert done.stdout.strip() == "False", done.stdout + done.stderr


@pytest.mark.parametrize("name", RUNGS)
def test_arrays_of_numpy_are_not_on_the_gpu(name):
    if SIMULATED:
        pytest.fail("these tests are for a process that does not simulate a GPU")
    x = np.zeros((1, 1, 3, 32), np.float32)
    with pytest.raises(TypeError, match="q is a numpy.ndarray, not an array of CuPy's on the device"):
        RUNGS[name].attention(x, x, x)
