"""The tests of simulated/, in a process of their own: Numba hears when it is imported that it is to simulate a GPU."""

import os
import re
import subprocess
import sys
from pathlib import Path

from hypothesis import settings

FOLDER = Path(__file__).parent / "simulated"
ROOT = FOLDER.parents[3]


def test_the_backend_in_the_simulator():
    """All of it on NumPy's arrays: every kernel, a whole training step of a GPT, a run and what it writes."""
    command = [sys.executable, "-m", "pytest", "-q", "--no-header", "-p", "no:cacheprovider", str(FOLDER)]
    environment = {**os.environ, "NUMBA_ENABLE_CUDASIM": "1"}
    environment |= {"DERANDOMIZED": "1"} if settings.default.derandomize else {}
    done = subprocess.run(command, cwd=ROOT, env=environment, capture_output=True, text=True, timeout=1800)
    assert done.returncode == 0, done.stdout[-6000:] + done.stderr[-2000:]
    passed = re.search(r"(\d+) passed", done.stdout)
    assert passed and int(passed[1]) > 60 and "skipped" not in done.stdout, done.stdout[-500:]
