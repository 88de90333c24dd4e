"""The cases say enough: a setting that no case gives, or that changes nothing in any, is one that no check has seen."""

import inspect

import numpy as np
import pytest

from minitransformer.gradcheck import Draw, draw_cases
from minitransformer.gradcheck.cases import checkable

SEEDS = range(3)
UNSEEN = {  # arguments that no case needs to give
    "truncate": "what goes back less far is not the derivative",
    "ignore_index": "the targets that are ignored are marked by the default",
    "llama_layer key": "nothing is dropped there",
    "LLaMA key": "nothing is dropped there",
    "highway key": "nothing is dropped there",
    "DistilBERT types": "it has none",
    "ULMFiT types": "it has none",
}


def cases_of(name):
    return [one for seed in SEEDS for one in draw_cases(name, Draw(np.random.default_rng(seed)))]


def neutral(one):
    """{name: what says nothing there}: the default, all True for a mask, and no key."""
    parameters = inspect.signature(one.forward).parameters.values()
    found = {each.name: each.default for each in parameters if each.default is not inspect.Parameter.empty}
    for name, value in one.static.items():  # a stack names none of what it hands on
        if isinstance(value, np.ndarray) and value.dtype == bool:
            found[name] = np.ones_like(value)
        elif name == "key":
            found[name] = None
    return found


def result(one, **changed):
    """y, with some arguments changed."""
    args = {name: changed.pop(name, value) for name, value in one.args.items()}
    y, _ = one.forward(*args.values(), **(one.static | changed))
    return np.concatenate([np.ravel(part) for part in (y if isinstance(y, tuple) else (y,))])


def is_felt(one, name, value):
    """Whether y is another one with this value, or the arguments no longer fit each other."""
    if not (one.args | one.static).keys() & {name}:
        return False
    try:
        return not np.array_equal(result(one), result(one, **{name: value}))
    except ValueError:
        return True


@pytest.mark.parametrize("name", checkable())
def test_every_setting_is_felt_in_some_case(name):
    every, felt = set(), set()
    for one in cases_of(name):
        every |= neutral(one).keys()
        felt |= {each for each, value in neutral(one).items() if each not in felt and is_felt(one, each, value)}
    assert {each for each in every - felt if not UNSEEN.keys() & {each, f"{name} {each}"}} == set()


@pytest.mark.parametrize("name", checkable())
def test_every_array_is_given_in_some_case(name):
    seen = {}
    for one in cases_of(name):
        for argument, value in one.args.items():
            seen[argument] = seen.get(argument, False) or value is not None
    assert all(seen.values()), seen


def test_what_is_drawn_hides_nothing(rng):
    draw = Draw(rng)
    sizes = draw.sizes(4, least=2)
    assert len(set(sizes)) == 4 and min(sizes) >= 2
    assert not draw(3, 4).flags.c_contiguous
    assert np.abs(draw.away_from_zero(50)).min() >= 0.25
    ids = draw.ids(1000, 3, 4)
    assert ids.shape == (3, 4) and len(np.unique(ids)) < ids.size
    mask = draw.mask(2, 1, 5, 4)
    assert not mask[..., 0, :].any() and mask[..., 1:, 0].all() and not mask[..., 1:, :].all()
    assert np.array_equal(draw.padding(4, 3)[:, 0, 0], [[1, 1, 1], [0, 1, 1], [0, 0, 1], [1, 1, 1]])
    tokens = draw.tokens(40, 3)
    assert tokens[0].all() and tokens.any(1).all() and not tokens.all()
    assert not tokens[:, 0].all() and not tokens[:, -1].all()
    assert (np.abs(draw.perturbed({"bias": np.zeros(4)})["bias"]) > 0).all()
    assert draw.key().entropy != draw.key().entropy
