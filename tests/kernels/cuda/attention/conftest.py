"""What is collected where: machine code where its tools are, a GPU's results where one is; a line says where not."""

from importlib.util import find_spec

from numba import cuda

from minitransformer.kernels.cuda.attention import offline
from minitransformer.kernels.cuda.device import SIMULATED

WANTED = {  # file: what it lacks here
    "test_offline.py": ", ".join(offline.missing()) and f"{', '.join(offline.missing())} (the extra `cudacheck`)",
    "test_on_gpu.py": " and ".join(["a GPU"] * (not cuda.is_available()) + ["CuPy"] * (find_spec("cupy") is None)),
}
collect_ignore = [file for file, lacks in WANTED.items() if lacks or SIMULATED]


def pytest_terminal_summary(terminalreporter):
    for file, lacks in WANTED.items():
        if lacks and not SIMULATED:
            terminalreporter.write_line(f"tests/kernels/cuda/attention/{file}: not collected, for want of {lacks}")
