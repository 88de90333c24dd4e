"""Every registered thing beside PyTorch or transformers: outputs, and the gradient of every input and parameter."""

import numpy as np
import pytest

from minitransformer import ops
from minitransformer.convention import THINGS
from minitransformer.gradcheck import Draw
from minitransformer.gradcheck.cases import case

from .agreement import agreement
from .cases import GPT2_ZERO, draw_cases, gpt2
from .twins import TWINS


def test_every_thing_has_a_twin():
    assert TWINS.keys() == THINGS.keys()


@pytest.mark.parametrize("name", THINGS)
def test_outputs_and_gradients(name, rng, hold):
    cases = draw_cases(name, Draw(rng))
    assert cases, f"{name}: nothing says what its inputs look like (cases.py)"
    for one in cases:
        hold(name, agreement(one, rng))


def test_gpt2_with_left_padding(rng, hold):
    """Rows padded on the left by 0 to 3. Places without a token are not compared, and nothing comes back from them."""
    draw = Draw(rng)
    model, p = gpt2(draw)
    mask = draw.padding(4, 7)
    static = {"mask": mask, "positions": np.maximum(mask[:, 0, 0].cumsum(1) - 1, 0)}
    padded = case(model, p=p, ids=draw.ids(13, 4, 7), zero=GPT2_ZERO, static=static)
    hold("GPT2", agreement(padded, rng, counts=mask[:, 0, 0, :, None]))


# ---------------------------------------------------------------- where PyTorch gives NaN, at least in some versions


def test_a_query_that_may_attend_to_nothing(rng):
    """Zeros, and nothing back. (The twins above are told so; this says it of ours alone.)"""
    draw = Draw(rng)
    q, k, v, mask = draw(2, 3, 4, 5), draw(2, 3, 6, 5), draw(2, 3, 6, 5), draw.mask(2, 3, 4, 6)
    y, saved = ops.attention(q, k, v, mask=mask)
    dy = draw(2, 3, 4, 5)
    dq, dk, dv, _ = ops.attention_backward(dy, saved)
    assert not y[:, :, 0].any() and not dq[:, :, 0].any() and y[:, :, 1:].all()
    dy[:, :, 0] = 1e6  # whatever comes back to that query goes no further
    assert all((a == b).all() for a, b in zip(ops.attention_backward(dy, saved)[:3], (dq, dk, dv), strict=True))


def test_a_batch_that_ignores_every_target(rng):
    loss, saved = ops.cross_entropy(rng.normal(size=(2, 3, 5)), np.full((2, 3), -100))
    assert loss == 0 and not ops.cross_entropy_backward(1.7, saved).any()
