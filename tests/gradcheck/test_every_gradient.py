"""Every gradient of every registered thing against finite differences, in float64 and in extended precision."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from minitransformer.convention import THINGS
from minitransformer.gradcheck import CASES, EXTENDED, Draw, bar, check, draw_cases, has_extended
from minitransformer.gradcheck.cases import checkable

OPERATIONS = [name for name in checkable() if THINGS[name].kind == "operation"]
BLOCKS = [name for name in checkable() if THINGS[name].kind in ("block", "combinator")]
WHOLE = [name for name in checkable() if name not in OPERATIONS + BLOCKS]


def one_in(n):
    """Of the usual number of examples, for what takes longer than usual; two at least."""
    return settings(max_examples=max(2, settings.default.max_examples // n))


def hold_every_gradient(name, data):
    def sizes(n, least):
        lengths = st.integers(least, least + n + 2)
        return data.draw(st.lists(lengths, min_size=n, max_size=n, unique=True), f"{n} sizes")

    seed, thing = data.draw(st.integers(0, 2**32 - 1), "seed"), THINGS[name]
    for case in draw_cases(name, Draw(np.random.default_rng(seed), sizes)):
        for dtype in (np.float64, EXTENDED) if has_extended() and getattr(thing, "extended", True) else (np.float64,):
            gradients = check(case, dtype, np.random.default_rng(seed), bar(thing.kind, dtype))
            assert gradients
            assert all(gradient.passed for gradient in gradients), [g for g in gradients if not g.passed]


@pytest.mark.parametrize("name", OPERATIONS)
@one_in(4)
@given(st.data())
def test_operations(name, data):
    hold_every_gradient(name, data)


@pytest.mark.parametrize("name", BLOCKS)
@one_in(10)
@given(st.data())
def test_blocks(name, data):
    hold_every_gradient(name, data)


@pytest.mark.parametrize("name", WHOLE)
@one_in(10)
@given(st.data())
def test_models_and_losses(name, data):
    hold_every_gradient(name, data)


def test_everything_registered_has_a_case():
    assert set(checkable()) == set(CASES)


def test_only_two_things_have_no_backward():
    without = [name for name, thing in THINGS.items() if not hasattr(thing, "backward")]
    assert sorted(without) == sorted(set(THINGS) - set(checkable())) == ["adamw", "adamw_many", "global_norm"]
