"""Every test of this folder runs under the backend "cpu", and leaves the process under the reference."""

import pytest

from .agreement import backend


@pytest.fixture(autouse=True)
def cpu():
    with backend("cpu"):
        yield
