"""What a head felt that is the token embedding, or a table of its own."""

from types import SimpleNamespace

import numpy as np
import pytest

from minitransformer.models.tied import add_head, with_table


@pytest.fixture
def g(rng):
    """Gradients that another function made: nobody may write to them."""
    weight = rng.normal(size=(5, 3))
    weight.flags.writeable = False
    return {"token": {"weight": weight}, "layers": []}


def test_a_table_that_was_used_twice(g, rng):
    dweight, before = rng.normal(size=(5, 3)), dict(g)
    found = with_table(g, "token", dweight)
    assert np.array_equal(found["token"]["weight"], g["token"]["weight"] + dweight)
    assert g == before and found.keys() == g.keys() and found["layers"] is g["layers"]


def test_a_frozen_table_feels_nothing(rng):
    assert with_table({"layers": []}, "token", rng.normal(size=(5, 3))) == {"layers": []}


@pytest.mark.parametrize("head, names", [("token", {"token", "layers"}), ("head", {"token", "layers", "head"})])
def test_the_head_goes_to_where_it_belongs(head, names, g, rng):
    model, g_head, before = SimpleNamespace(head=head, below=("token",)), {"weight": rng.normal(size=(5, 3))}, dict(g)
    found = add_head(g, model, g_head)
    assert found.keys() == names and g == before
    assert np.array_equal(found[head]["weight"], g_head["weight"] + (g[head]["weight"] if head in g else 0))


def test_a_tied_head_is_frozen_with_its_table(rng):
    model = SimpleNamespace(head="token", below=("token",))
    assert add_head({"layers": []}, model, {"weight": rng.normal(size=(5, 3))}) == {"layers": []}
