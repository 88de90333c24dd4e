"""What the README shows is true: its code passes the check that it praises, and its links lead somewhere."""

import re
from pathlib import Path

import numpy as np
import pytest

from minitransformer.gradcheck import Case, check
from minitransformer.ops import rms_norm

ROOT = Path(__file__).parent.parent
README = (ROOT / "README.md").read_text(encoding="utf-8")


def code_blocks(language):
    return re.findall(rf"```{language}\n(.*?)```", README, re.DOTALL)


@pytest.fixture
def shown():
    """The functions of the README, without the registry (where those names are taken)."""
    names = {"np": np, "op": lambda **shapes: lambda f: f, "backward_of": lambda thing: lambda f: f}
    exec(code_blocks("python")[0], names)
    return names["rms_norm"], names["rms_norm_backward"]


def test_the_code_shown_is_right(shown):
    rng = np.random.default_rng(0)
    forward, backward = shown
    args = {"p": {"weight": rng.normal(size=3)}, "x": rng.normal(size=(2, 4, 3))}
    assert np.array_equal(forward(**args)[0], rms_norm(**args)[0])
    found = check(Case(forward, backward, args, {}), np.float64, rng)
    assert [gradient.name for gradient in found if gradient.passed] == ["p.weight", "x"]


def test_both_commands_are_one_line_and_come_first():
    train, more, check = code_blocks("sh")
    assert train.count("\n") == check.count("\n") == 1
    assert train.endswith('.venv/bin/pip install -q -e ".[plot]" && .venv/bin/minitransformer train\n')
    assert check.endswith('.venv/bin/pip install -q -e ".[test]" && .venv/bin/python -m pytest -q -n auto\n')
    for line in more.splitlines():
        assert line.startswith(".venv/bin/minitransformer ")


def test_links_lead_somewhere():
    links = re.findall(r"\]\(([^)]+)\)", README)
    assert len(links) > 8
    assert [link for link in links if not (ROOT / link).exists()] == []
