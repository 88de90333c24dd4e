"""Machine code is looked at only where the tools that make it are; a line at the end says where they are not."""

from minitransformer.kernels.cuda.attention import arrays, offline

MISSING = offline.missing()
collect_ignore = ["test_offline.py"] if MISSING or arrays.SIMULATED else []


def pytest_terminal_summary(terminalreporter):
    if MISSING and not arrays.SIMULATED:
        terminalreporter.write_line(
            f"tests/kernels/cuda/attention/test_offline.py: not collected, for want of {', '.join(MISSING)} "
            "(the extra `cudacheck` brings them)"
        )
