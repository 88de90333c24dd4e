"""What is dropped follows from the key alone: it is drawn once, and not for every nudge of a case anew."""

from functools import cache

import numpy as np
import pytest

from minitransformer import philox


@pytest.fixture(autouse=True, scope="module")
def drawn_once():
    draw = philox.words

    @cache
    def words(entropy, spawn_key, n):
        found = draw(np.random.SeedSequence(entropy, spawn_key=spawn_key), n)
        found.flags.writeable = False
        return found

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(philox, "words", lambda key, n: words(key.entropy, key.spawn_key, n))
        yield
