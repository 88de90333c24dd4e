"""Parity with PyTorch and transformers: collected only where both are, and summed up in a table at the end.

What published folders gave is also written to the file that PARITY_RESULTS names, which the pages show:

PARITY_RESULTS=experiments/results/parity.json python -m pytest tests/parity -k same_logits
"""

import json
import os
from datetime import date
from importlib.metadata import version
from importlib.util import find_spec

import pytest

MISSING = [name for name in ("torch", "transformers") if find_spec(name) is None]
collect_ignore_glob = ["*.py"] if MISSING else []
if find_spec("sentencepiece") is None:
    collect_ignore_glob.append("test_sentencepiece_files.py")


@pytest.fixture
def hold(record_property):
    """hold(name, differences): none is above the bar. The worst goes into the table at the end of the tests."""
    from .agreement import BAR, above  # here: it needs PyTorch

    def hold(name, differences, bar=BAR):
        assert differences, f"{name}: nothing was compared"
        worst = max((nan_last(n), at) for at, n in differences.items())
        record_property("parity", (name, len(differences), *worst, differences.get("logits")))
        assert not above(differences, bar)

    return hold


def nan_last(number):
    return float(number) if number == number else float("inf")


def pytest_terminal_summary(terminalreporter):
    if MISSING:
        terminalreporter.write_line(
            f"tests/parity: not collected, for want of {' and '.join(MISSING)} (the extra `parity` brings them)"
        )
    if not MISSING and collect_ignore_glob:
        terminalreporter.write_line(f"tests/parity: not collected for want of sentencepiece: {collect_ignore_glob[0]}")
    compared, worst = {}, {}
    logits = {}  # of published folders
    for name, n, difference, at, of_logits in recorded(terminalreporter):
        compared[name] = compared.get(name, 0) + n
        worst[name] = max(worst.get(name, (0.0, "")), (difference, at))
        if of_logits is not None:
            logits[name] = max(logits.get(name, 0.0), float(of_logits))
    if compared:
        terminalreporter.section("parity with PyTorch and transformers, in float64")
        width = max(map(len, compared))
        terminalreporter.write_line(f"{'':{width}}  compared  worst relative difference")
        for name in sorted(compared):
            terminalreporter.write_line(f"{name:{width}}  {compared[name]:8}  {worst[name][0]:.1e}  {worst[name][1]}")
    if path := os.environ.get("PARITY_RESULTS"):
        rows = [
            {"name": name, "compared": compared[name], "logits": logits[name], "worst": worst[name][0]}
            for name in sorted(logits)
        ]
        versions = {name: version(name) for name in ("numpy", "torch", "transformers")}
        found = {"date": str(date.today()), "versions": versions, "rows": rows}
        with open(path, "w", encoding="utf-8") as file:
            file.write(json.dumps(found, indent=2) + "\n")


def recorded(terminalreporter):
    """What `hold` recorded; by way of the reports, so that other processes (pytest-xdist) are heard too."""
    for reports in terminalreporter.stats.values():
        for report in reports:
            if getattr(report, "when", None) == "call":
                yield from (value for name, value in report.user_properties if name == "parity")
