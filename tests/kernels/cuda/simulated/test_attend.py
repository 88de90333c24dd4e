"""Attention by the backend: the rung that can, or the formula where none can. The ladder itself: attention/."""

import numpy as np
import pytest

import minitransformer.kernels.cuda.backend  # noqa: F401  which brings the kernels
from minitransformer import ops

from ...cpu.agreement import hold_float32, hold_to_reference, outcome
from ...cpu.calls import Call, as_float32


def problem(rng, K=3, T=3, S=4, **more):
    given = {"q": rng.normal(size=(2, 2, T, K)), "k": rng.normal(size=(2, 1, S, K)), "v": rng.normal(size=(2, 1, S, K))}
    given = {name: as_float32(part) for name, part in given.items()} | {"bias": None}
    return Call(ops.attention, given | {n: more.pop(n) for n in list(more) if n == "bias"}, more)


SETTINGS = {
    "plain": {},
    "causal": {"causal": True},
    "mask": {"mask": np.random.default_rng(0).random((2, 1, 3, 4)) < 0.6},
    "dropout": {"dropout_rate": 0.3, "key": np.random.SeedSequence(5)},
    "bias": {"bias": as_float32(np.random.default_rng(1).normal(size=(1, 2, 3, 4)))},
    "all": {
        "bias": as_float32(np.random.default_rng(1).normal(size=(1, 2, 3, 4))),
        "dropout_rate": 0.3,
        "key": np.random.SeedSequence(5),
        "mask": np.random.default_rng(0).random((2, 1, 3, 4)) < 0.6,
        "causal": True,
    },
}


@pytest.mark.parametrize("what", SETTINGS)
def test_attention_by_whatever_can(what, rng):
    call = problem(rng, **SETTINGS[what])
    hold_to_reference(call, by="cuda")
    hold_float32([call], by="cuda")


@pytest.mark.parametrize(
    "what, K, dtype, rung",
    [
        ("plain", 3, np.float32, "naive"),
        ("causal", 8, np.float32, "flash"),
        ("plain", 3, np.float64, None),
        ("dropout", 8, np.float32, None),
        ("bias", 8, np.float32, None),
    ],
)
def test_which_rung_it_is(what, K, dtype, rung, rng):
    call = problem(rng, K, **SETTINGS[what])
    args, settings = call.arguments(dtype)
    _, saved = ops.attention(*args.values(), **settings)
    assert (saved.values[0] and saved.values[0].name) == rung


@pytest.mark.parametrize("lengths", [{"T": 0}, {"S": 0}, {"T": 1, "S": 1}], ids=str)
def test_attention_of_few_and_none(lengths, rng):
    hold_to_reference(problem(rng, **lengths), by="cuda")


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_each_head_has_the_keys_of_its_group(dtype, rng):
    """Of two groups, by a rung and by the formula."""
    q, k, v = rng.normal(size=(2, 4, 3, 8)), *rng.normal(size=(2, 2, 2, 3, 8))
    call = Call(ops.attention, {"q": q, "k": k, "v": v, "bias": None}, {})
    found, exact = outcome(call, dtype, "cuda"), outcome(call, np.float64, "reference")
    for name, expected in exact.items():
        np.testing.assert_allclose(found[name], expected, atol=1e-5 if dtype == np.float32 else 1e-12)


def test_settings_are_checked_at_the_door(rng):
    args, _ = problem(rng).arguments(np.float32)
    with pytest.raises(ValueError, match="dropout rate"):
        ops.attention(*args.values(), dropout_rate=1.0)
    with pytest.raises(ValueError, match="not a multiple"):
        ops.attention(args["q"][:, :1], np.repeat(args["k"], 2, 1), np.repeat(args["v"], 2, 1))
