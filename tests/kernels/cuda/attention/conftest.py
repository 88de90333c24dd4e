"""What is collected where: machine code where its tools are, a GPU's results where one is; a line says where not."""

from numba import cuda

from minitransformer.kernels.cuda.attention import arrays, offline

WANTED = {  # file: what it lacks here
    "test_offline.py": ", ".join(offline.missing()) and f"{', '.join(offline.missing())} (the extra `cudacheck`)",
    "test_on_gpu.py": "" if cuda.is_available() else "a GPU",
}
collect_ignore = [file for file, lacks in WANTED.items() if lacks or arrays.SIMULATED]


def pytest_terminal_summary(terminalreporter):
    for file, lacks in WANTED.items():
        if lacks and not arrays.SIMULATED:
            terminalreporter.write_line(f"tests/kernels/cuda/attention/{file}: not collected, for want of {lacks}")
