"""What `python -m bench tokenizers` times on both sides is the same work."""

import numpy as np
import pytest

from bench.compare import error
from bench.tokenizers import BENCHMARK, KINDS, Size, ours, text_of, theirs


@pytest.mark.parametrize("kind", KINDS)
def test_both_sides_have_the_same_ids_and_places(kind):
    size = Size(kind, "encode", 400, 0.03)
    expected, found = ours(size), theirs(size)
    answer = expected.answer()
    assert error(found.answer(), answer) == 0 and len(answer["ids"]) > 2000
    assert error(answer | {"ids": np.roll(answer["ids"], 1)}, answer) > BENCHMARK.tolerance
    ids, places = expected.run()
    assert np.array_equal(ids, answer["ids"]) and len(places) == len(ids) == len(found.run().ids)
    assert expected.about == found.about == {"bytes": len(text_of(size).encode("utf-8"))}


@pytest.mark.parametrize("kind", KINDS)
def test_both_sides_learn_as_many_tokens(kind):
    size = Size(kind, "train", 400, 0.03)
    assert ours(size).answer()["as many"] == theirs(size).answer()["as many"] == 1
