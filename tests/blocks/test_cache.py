import numpy as np
import pytest

from minitransformer.blocks import Cache


def positions(rng, batch, n):
    return rng.normal(size=(2, batch, 3, n, 4))


def test_it_grows_by_what_is_new(rng):
    cache, (k, v) = Cache(2, 3, 6, 4, np.float64), positions(rng, 2, 5)
    for begin, end in ((0, 2), (2, 3), (3, 5)):
        k_all, v_all = cache.extend(k[:, :, begin:end], v[:, :, begin:end])
        assert np.array_equal(k_all, k[:, :, :end]) and np.array_equal(v_all, v[:, :, :end])
        assert cache.length == end


def test_what_does_not_fit_leaves_it_as_it_was(rng):
    cache, (k, v) = Cache(2, 3, 6, 4, np.float64), positions(rng, 2, 5)
    cache.extend(k, v)
    with pytest.raises(ValueError, match="7 positions do not fit a cache with room for 6"):
        cache.extend(k[:, :, :2], v[:, :, :2])
    assert cache.length == 5
    k_all, v_all = cache.extend(k[:, :, :1], v[:, :, :1])  # the last room there is
    assert np.array_equal(k_all[:, :, :5], k) and np.array_equal(v_all[:, :, 5:], v[:, :, :1])
    with pytest.raises(ValueError, match="7 positions do not fit a cache with room for 6"):
        cache.extend(k[:, :, :1], v[:, :, :1])


def test_it_keeps_its_precision():
    cache = Cache(1, 2, 3, 4, np.float32)
    assert cache.k.dtype == cache.v.dtype == np.float32
    assert cache.k.shape == cache.v.shape == (1, 2, 3, 4)


def test_keys_and_values_are_not_mixed_up(rng):
    cache, (k, v) = Cache(2, 3, 6, 4, np.float64), positions(rng, 2, 5)
    cache.extend(k, v)
    assert not np.shares_memory(cache.k, cache.v)
    assert np.array_equal(cache.k[:, :, :5], k) and np.array_equal(cache.v[:, :, :5], v)


def test_rows_change_places(rng):
    """Row i goes on from what row rows[i] remembered, which may be one row for several."""
    cache, (k, v) = Cache(3, 3, 6, 4, np.float64), positions(rng, 3, 4)
    cache.extend(k[:, :, :3], v[:, :, :3])
    cache.reorder(np.array([2, 0, 2]))
    k_all, v_all = cache.extend(k[:, :, 3:], v[:, :, 3:])
    assert np.array_equal(k_all[:, :, :3], k[[2, 0, 2], :, :3]) and np.array_equal(v_all[:, :, :3], v[[2, 0, 2], :, :3])
    assert np.array_equal(k_all[:, :, 3:], k[:, :, 3:]) and np.array_equal(v_all[:, :, 3:], v[:, :, 3:])
    assert cache.length == 4


def test_the_room_that_is_left_is_not_copied(rng):
    """And position still lies after position, as before."""
    cache, (k, v) = Cache(3, 3, 6, 4, np.float32), positions(rng, 3, 4).astype(np.float32)
    cache.extend(k, v)
    cache.k[:, :, 4:] = cache.v[:, :, 4:] = np.nan
    cache.reorder([1, 1])
    for part, before in ((cache.k, k), (cache.v, v)):
        assert part.shape == (2, 3, 6, 4) and part.dtype == np.float32 and part.swapaxes(1, 2).flags.c_contiguous
        assert np.array_equal(part[:, :, :4], before[[1, 1]]) and not part[:, :, 4:].any()
