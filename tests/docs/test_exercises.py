"""The code that pages tell a reader to write does what they say it does."""

import re
import textwrap

import numpy as np
import pytest

from minitransformer.gradcheck import EXTENDED, Case, check
from minitransformer.gradcheck.report import report

from .test_pages import DOCS


def code_block(page, containing):
    """The one Python block of a page that has this in it."""
    blocks = re.findall(r"^ *```python\n(.*?)^ *```$", (DOCS / page).read_text("utf-8"), re.MULTILINE | re.DOTALL)
    (found,) = [textwrap.dedent(block) for block in blocks if containing in block]
    return found


@pytest.fixture
def exercise(tmp_path):
    """`gradcheck mine.py:gelu` on the exercise of the reading order, perhaps changed."""

    def run(change=lambda code: code):
        path = tmp_path / "mine.py"
        path.write_text(change(code_block("learn.md", "def gelu_backward")), encoding="utf-8")
        (row,) = report([f"{path}:gelu"], seed=0)
        return row

    return run


def test_the_page_shows_what_is_said_of_the_exercise(exercise):
    (problem,) = exercise().problems
    assert f"mine.py:gelu: {problem}\n" in (DOCS / "learn.md").read_text("utf-8")


def test_the_missing_term_solves_it(exercise):
    def solve(code):
        slope = "0.7978845608028654 * (1 + 3 * 0.044715 * x * x)"
        return (
            code[: code.index("    return 0.5 * dy")] + f"    return 0.5 * dy * (1 + t + x * (1 - t * t) * {slope})\n"
        )

    row = exercise(solve)
    assert row.passed and row.gradients == 1


@pytest.mark.parametrize("dtype", [np.float64, EXTENDED])
def test_the_operation_that_one_is_shown_how_to_add(dtype, rng):
    names = {
        "np": np,
        "op": lambda **shapes: lambda forward: forward,
        "backward_of": lambda op: lambda backward: backward,
    }
    exec(code_block("convention.md", "def softplus_backward"), names)
    x = 2 * rng.normal(size=(3, 5))
    assert np.allclose(names["softplus"](x)[0], np.log(1 + np.exp(x)), rtol=1e-12, atol=0)
    (gradient,) = check(Case(names["softplus"], names["softplus_backward"], {"x": x}, {}), dtype, rng)
    assert gradient.passed, gradient
