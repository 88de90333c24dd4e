import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from minitransformer.blocks import (
    Cache,
    attend,
    keys_values,
    merge_heads,
    multi_head_attention,
    multi_head_attention_backward,
    split_heads,
)
from minitransformer.gradcheck import Draw
from minitransformer.ops import attention, linear

# ---------------------------------------------------------------------------------------------------------- heads


def test_a_head_is_a_slice_of_the_width(rng):
    x = rng.normal(size=(2, 5, 12))
    heads = split_heads(x, 3)
    assert heads.shape == (2, 3, 5, 4)
    for h in range(3):
        assert np.array_equal(heads[:, h], x[:, :, 4 * h : 4 * h + 4])


@given(st.tuples(*[st.integers(1, 4)] * 4), st.integers(0, 2**32 - 1))
def test_merging_puts_back_what_splitting_cut(shape, seed):
    B, T, H, K = shape
    x = np.random.default_rng(seed).normal(size=(K * H, T, B)).T  # not contiguous
    assert np.array_equal(merge_heads(split_heads(x, H)), x)


def test_heads_that_do_not_divide_the_width(rng):
    with pytest.raises(ValueError, match="n_heads=5 does not divide the width 12"):
        split_heads(np.zeros((1, 2, 12)), 5)
    p, x = Draw(rng).attention(6), np.zeros((1, 2, 6))
    with pytest.raises(ValueError, match="n_heads=4 does not divide the width 6"):
        multi_head_attention(p, x, x, n_heads=4)


# ------------------------------------------------------------------------------------------------ the whole block


def close(a, b):
    np.testing.assert_allclose(a, b, rtol=1e-11, atol=1e-12)


def test_head_by_head(rng):
    """Each head has its own rows of the three maps; what the heads found stands side by side before the last."""
    draw = Draw(rng)
    p, x, memory = draw.attention(6, memory_width=5), draw(2, 3, 6), draw(2, 4, 5)
    mask, bias = draw.mask(2, 1, 3, 4), draw(1, 3, 3, 4)
    found = []
    for head in range(3):
        rows = slice(2 * head, 2 * head + 2)
        own = {name: {"weight": p[name]["weight"][rows], "bias": p[name]["bias"][rows]} for name in "qkv"}
        q, k, v = (linear(own[name], source)[0][:, None] for name, source in zip("qkv", (x, memory, memory)))
        found.append(attention(q, k, v, bias[:, head, None], mask=mask)[0][:, 0])
    expected = linear(p["out"], np.concatenate(found, -1))[0]
    close(multi_head_attention(p, x, memory, bias, n_heads=3, mask=mask)[0], expected)


def test_memory_is_a_set_and_so_is_who_asks(rng):
    """Permuting the memory, with its mask and its bias, changes nothing; permuting who asks permutes the answers."""
    draw = Draw(rng)
    p, x, memory = draw.attention(6, memory_width=5), draw(2, 4, 6), draw(2, 5, 5)
    mask, bias = draw.mask(2, 1, 4, 5), draw(1, 3, 4, 5)
    y, saved = multi_head_attention(p, x, memory, bias, n_heads=3, mask=mask)
    keys, queries = rng.permutation(5), rng.permutation(4)
    shuffled, _ = multi_head_attention(p, x, memory[:, keys], bias[..., keys], n_heads=3, mask=mask[..., keys])
    close(shuffled, y)
    shuffled, saved_shuffled = multi_head_attention(
        p, x[:, queries], memory, bias[:, :, queries], n_heads=3, mask=mask[:, :, queries]
    )
    close(shuffled, y[:, queries])
    dy = draw(2, 4, 6)
    dx, dmemory, dbias, g = multi_head_attention_backward(dy, saved)
    dx_s, dmemory_s, dbias_s, g_s = multi_head_attention_backward(dy[:, queries], saved_shuffled)
    close(dx_s, dx[:, queries])
    close(dmemory_s, dmemory)
    close(dbias_s, dbias[:, :, queries])
    close(g_s["k"]["weight"], g["k"]["weight"])


def rows_of_heads(p, heads):
    """A linear map whose heads of width 2 are these heads of p."""
    rows = np.concatenate([np.arange(2 * head, 2 * head + 2) for head in heads])
    return {"weight": p["weight"][rows], "bias": p["bias"][rows]}


@pytest.mark.parametrize("n_kv_heads", [1, 2, 4])
def test_grouped_heads_are_full_heads_of_which_some_are_equal(n_kv_heads, rng):
    draw = Draw(rng)
    p, x, memory = draw.attention(8, 4, n_kv_heads), draw(2, 3, 8), draw(2, 5, 8)
    shared = [head * n_kv_heads // 4 for head in range(4)]  # 0, 0, 1, 1 for two: neighbours share
    full = p | {name: rows_of_heads(p[name], shared) for name in "kv"}
    y, saved = multi_head_attention(p, x, memory, n_heads=4, n_kv_heads=n_kv_heads)
    expected, saved_full = multi_head_attention(full, x, memory, n_heads=4)
    close(y, expected)
    dy = draw(2, 3, 8)
    (dx, dmemory, _, g), (dx_full, dmemory_full, _, g_full) = (
        multi_head_attention_backward(dy, each) for each in (saved, saved_full)
    )
    close(dx, dx_full)
    close(dmemory, dmemory_full)
    summed = np.zeros_like(g["v"]["weight"])
    for head, own in enumerate(shared):
        summed[2 * own : 2 * own + 2] += g_full["v"]["weight"][2 * head : 2 * head + 2]
    close(g["v"]["weight"], summed)


def test_a_width_that_does_not_fit_its_key_heads(rng):
    draw = Draw(rng)
    p, x = draw.attention(8, 4, 2), draw(1, 2, 8)
    with pytest.raises(ValueError, match="attention: k has shape"):
        multi_head_attention(p, x, x, n_heads=4)  # the maps of two key heads, cut as four
    with pytest.raises(ValueError, match="3 query heads are not a multiple of 2 key/value heads"):
        multi_head_attention(draw.attention(6, 3, 2), draw(1, 2, 6), draw(1, 2, 6), n_heads=3, n_kv_heads=2)


# ------------------------------------------------------------------------------------------------------- decoding


@pytest.mark.parametrize("n_kv_heads", [1, 2, 4])
@pytest.mark.parametrize("chunks", [(1, 1, 1, 1, 1), (3, 2), (1, 4), (5,)], ids=str)
def test_attending_to_a_cache_is_attending_causally(n_kv_heads, chunks, rng):
    draw = Draw(rng)
    p, x = draw.attention(8, 4, n_kv_heads), draw(3, 5, 8)
    cache, answers = Cache(3, n_kv_heads, 5, 2, x.dtype), []
    for newest in np.split(x, np.cumsum(chunks)[:-1], axis=1):
        k, v = cache.extend(*keys_values(p, newest, n_heads=n_kv_heads))
        answers.append(attend(p, newest, k, v, n_heads=4, causal=True))
    expected, _ = multi_head_attention(p, x, x, n_heads=4, n_kv_heads=n_kv_heads, causal=True)
    close(np.concatenate(answers, 1), expected)


def test_attending_to_a_memory_with_a_mask(rng):
    draw = Draw(rng)
    p, x, memory, mask = draw.attention(8, memory_width=3), draw(2, 3, 8), draw(2, 5, 3), draw.mask(2, 1, 1, 5)
    mask[0] = True
    expected, _ = multi_head_attention(p, x, memory, n_heads=4, mask=mask)
    close(attend(p, x, *keys_values(p, memory, n_heads=4), n_heads=4, mask=mask), expected)
