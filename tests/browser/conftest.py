"""Pages in a real browser: collected only where there is one."""

import pytest

from .chromium import PROGRAM, Chromium

collect_ignore_glob = [] if PROGRAM else ["test_*.py"]


@pytest.fixture(scope="session")
def browser():
    browser = Chromium()
    try:
        browser.connect()
        yield browser
    finally:
        browser.close()


def pytest_terminal_summary(terminalreporter):
    if not PROGRAM:
        terminalreporter.write_line("tests/browser: not collected, for want of Chromium or Chrome")
