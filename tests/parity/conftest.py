"""Parity with PyTorch and transformers: collected only where both are, and summed up in a table at the end."""

from importlib.util import find_spec

import pytest

MISSING = [name for name in ("torch", "transformers") if find_spec(name) is None]
collect_ignore_glob = ["*.py"] if MISSING else []


@pytest.fixture
def hold(record_property):
    """hold(name, differences): none is above the bar. The worst goes into the table at the end of the tests."""
    from .agreement import BAR, above  # here: it needs PyTorch

    def hold(name, differences, bar=BAR):
        assert differences, f"{name}: nothing was compared"
        record_property("parity", (name, len(differences), *max((nan_last(n), at) for at, n in differences.items())))
        assert not above(differences, bar)

    return hold


def nan_last(number):
    return float(number) if number == number else float("inf")


def pytest_terminal_summary(terminalreporter):
    if MISSING:
        terminalreporter.write_line(
            f"tests/parity: not collected, for want of {' and '.join(MISSING)} (the extra `parity` brings them)"
        )
    compared, worst = {}, {}
    for name, n, difference, at in recorded(terminalreporter):
        compared[name] = compared.get(name, 0) + n
        worst[name] = max(worst.get(name, (0.0, "")), (difference, at))
    if compared:
        terminalreporter.section("parity with PyTorch and transformers, in float64")
        width = max(map(len, compared))
        terminalreporter.write_line(f"{'':{width}}  compared  worst relative difference")
        for name in sorted(compared):
            terminalreporter.write_line(f"{name:{width}}  {compared[name]:8}  {worst[name][0]:.1e}  {worst[name][1]}")


def recorded(terminalreporter):
    """What `hold` recorded; by way of the reports, so that other processes (pytest-xdist) are heard too."""
    for reports in terminalreporter.stats.values():
        for report in reports:
            if getattr(report, "when", None) == "call":
                yield from (value for name, value in report.user_properties if name == "parity")
