import numpy as np
import pytest

from minitransformer.gradcheck import Draw
from minitransformer.models import LLaMA
from minitransformer.models.tied import add_head
from minitransformer.ops import embedding, linear, rms_norm, rotary, silu
from minitransformer.trees import leaves

from ..arrays import same_bits
from .test_gpt2 import Weightless

SIZES = {"n_layers": 2, "n_heads": 4, "n_kv_heads": 2, "d_model": 6, "d_head": 4, "d_ff": 10}
SMALL = LLaMA(11, 9, **SIZES)


@pytest.fixture
def p(rng):
    return Draw(rng).perturbed(SMALL.init(rng, np.float64))


@pytest.mark.parametrize(
    "sizes, number",
    [
        ({}, 6_738_415_616),
        ({"n_layers": 40, "n_heads": 40, "n_kv_heads": 40, "d_model": 5120, "d_ff": 13824}, 13_015_864_320),
        (
            {"vocab_size": 128256, "context_length": 8192, "n_kv_heads": 8, "d_ff": 14336, "rotary_base": 5e5},
            8_030_261_248,
        ),
        (
            {"vocab_size": 128256, "n_layers": 16, "n_kv_heads": 8, "d_model": 2048, "d_head": 64, "d_ff": 8192}
            | {"tied": True},
            1_235_814_400,
        ),
    ],
    ids=["LLaMA 7B", "LLaMA 13B", "Llama 3 8B", "Llama 3.2 1B"],
)
def test_the_published_sizes(sizes, number):
    p = LLaMA(**sizes).init(Weightless())
    assert (
        sum(np.size(leaf) if isinstance(leaf, np.ndarray) else np.prod(leaf.shape) for _, leaf in leaves(p)) == number
    )


def test_the_wiring(p, rng):
    """The formulas at the head of the files, by hand: each query head with the keys of its group."""
    ids = rng.integers(0, 11, (3, 7))
    turns = 10000.0 ** (-np.arange(0, 4, 2) / 4)
    h = embedding(p["token"], ids)[0]
    for layer in p["layers"]:
        x = rms_norm(layer["norm1"], h)[0]
        maps = layer["attention"]
        heads = []
        for head in range(4):
            group = head // 2
            q, k, v = (
                x @ maps[name]["weight"][4 * n : 4 * n + 4].T for name, n in (("q", head), ("k", group), ("v", group))
            )
            q, k = (rotary(part[:, None], frequencies=turns)[0][:, 0] for part in (q, k))
            scores = np.where(np.tri(7, dtype=bool), q @ k.swapaxes(1, 2) / 2, -np.inf)
            w = np.exp(scores - scores.max(-1, keepdims=True))
            heads.append(w / w.sum(-1, keepdims=True) @ v)
        h = h + np.concatenate(heads, -1) @ maps["out"]["weight"].T
        x, maps = rms_norm(layer["norm2"], h)[0], layer["feed_forward"]
        h = h + (silu(x @ maps["gate"]["weight"].T)[0] * (x @ maps["up"]["weight"].T)) @ maps["down"]["weight"].T
    expected = linear(p["head"], rms_norm(p["norm"], h)[0])[0]
    np.testing.assert_allclose(SMALL.forward(p, ids)[0], expected, rtol=1e-11, atol=1e-12)


def test_a_table_of_its_own_or_the_embedding(rng):
    tied = LLaMA(11, 9, **SIZES, tied=True)
    p = tied.init(rng, np.float64)
    assert "head" not in p and tied.head == "token" and SMALL.head == "head"
    ids, dlogits = rng.integers(0, 11, (2, 5)), rng.normal(size=(2, 5, 11))
    apart = p | {"head": {"weight": p["token"]["weight"].copy()}}
    (logits, saved), (same, saved_apart) = tied.forward(p, ids), SMALL.forward(apart, ids)
    assert same_bits(logits, same)
    g, g_apart = tied.backward(dlogits, saved), SMALL.backward(dlogits, saved_apart)
    both = g_apart["token"]["weight"] + g_apart["head"]["weight"]
    np.testing.assert_allclose(g["token"]["weight"], both, rtol=1e-14)


def test_what_a_head_felt():
    tied, apart, one = LLaMA(11, 9, **SIZES, tied=True), SMALL, {"weight": np.ones(2)}
    assert add_head({"token": {"weight": np.ones(2)}}, tied, one)["token"]["weight"].tolist() == [2, 2]
    assert sorted(add_head({"token": {"weight": np.ones(2)}}, apart, one)) == ["head", "token"]
    assert not add_head({}, tied, one)  # which is frozen


def test_the_cache_has_the_heads_of_the_keys(p):
    caches = SMALL.start(p, 3)
    assert len(caches) == 2 and caches[0].k.shape == (3, 2, 9, 4)


def test_nothing_is_drawn(p, rng):
    ids = rng.integers(0, 11, (2, 5))
    assert same_bits(SMALL.forward(p, ids, key=np.random.SeedSequence(1))[0], SMALL.forward(p, ids)[0])


@pytest.mark.parametrize(
    "more, message",
    [
        ({"n_kv_heads": 3}, "n_kv_heads=3 does not divide n_heads=4"),
        ({"d_head": 3}, "d_head=3 is odd"),
        ({"d_ff": 0}, "d_ff must be at least 1"),
        ({"eps": 0.0}, "eps must be a number above 0"),
        ({"rotary_base": "big"}, "rotary_base must be a number above 1"),
        ({"rotary_scaling": {"kind": "yarn"}}, "there are: linear, llama3"),
        ({"pairing": "thirds"}, "pairing is halves or neighbours"),
    ],
)
def test_configurations_that_are_none(more, message):
    with pytest.raises(ValueError, match=message):
        LLaMA(11, 9, **SIZES | more)
