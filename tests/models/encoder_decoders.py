"""What must hold of every model with an encoder and a decoder, its padding and its decoding: each checks one model."""

import numpy as np

from minitransformer.gradcheck import Draw
from minitransformer.trees import leaves, tree_map

from ..arrays import same_bits

V, W = 11, 7  # of source and target
MOVED = 1e-6  # far above rounding, far below anything that is really felt


def draw_p(model, rng):
    return Draw(rng).perturbed(model.init(rng, np.float64))


def draw_batch(rng, least=0):
    """source (B, S) and which of it is real; target (B, T) and which of it is: rows of unequal lengths."""
    B, S, T = rng.integers(1, (4, 7, 6))
    source, target = rng.integers(0, V, (B, S)), rng.integers(0, W, (B, T))
    return source, up_to(rng.integers(least, S + 1, B), S), target, up_to(rng.integers(1, T + 1, B), T)


def up_to(lengths, length):
    return np.arange(length) < lengths[:, None]


def mask_of(real):
    return real[:, None, None]


def run(model, p, source, target, dlogits, **more):
    """logits, g"""
    logits, saved = model.forward(p, source, target, **more)
    return logits, model.backward(dlogits, saved)


def draw_dlogits(model, rng, target):
    return rng.normal(size=(*target.shape, model.target_vocab_size or model.vocab_size))


def close(a, b):
    np.testing.assert_allclose(a, b, rtol=1e-12, atol=1e-12)


def close_trees(a, b):
    """To 1e-12 of the largest number in either."""
    scale = max(np.abs(leaf).max() for _, leaf in leaves(b))
    for (path, leaf), (_, other) in zip(leaves(a), leaves(b), strict=True):
        assert np.abs(leaf - other).max() <= 1e-12 * scale, path


# -------------------------------------------------------------------------------------------------------- padding


def check_rows_one_by_one(model, seed, least=0):
    """Whatever ids stand in the padding behind source and target: no output and no gradient knows of it."""
    rng = np.random.default_rng(seed)
    p, (source, real, target, counts) = draw_p(model, rng), draw_batch(rng, least)
    dlogits = draw_dlogits(model, rng, target) * counts[..., None]
    logits, g = run(model, p, source, target, dlogits, source_mask=mask_of(real))
    alone = [
        run(model, p, source[i : i + 1, real[i]], target[i : i + 1, counts[i]], dlogits[i : i + 1, counts[i]])
        for i in range(len(source))
    ]
    for i, (row, _) in enumerate(alone):
        close(logits[i, counts[i]], row[0])
    close_trees(g, tree_map(lambda *parts: sum(parts), *(g_row for _, g_row in alone)))


def check_padding_is_nothing(model, seed, least=0, anywhere=False):
    """Bit for bit, forward and backward; anywhere: the padding of a source need not stand behind it."""
    rng = np.random.default_rng(seed)
    p, (source, real, target, counts) = draw_p(model, rng), draw_batch(rng, least)
    real = rng.permuted(real, axis=1) if anywhere else real
    dlogits = draw_dlogits(model, rng, target) * counts[..., None]
    other = np.where(real, source, rng.integers(0, V, source.shape))
    other_target = np.where(counts, target, rng.integers(0, W, target.shape))
    logits, g = run(model, p, source, target, dlogits, source_mask=mask_of(real))
    others, g_other = run(model, p, other, other_target, dlogits, source_mask=mask_of(real))
    assert np.array_equal(logits[counts], others[counts])
    assert same_bits(g, g_other)


def check_every_token_matters(model, seed, draw_place, moved_by=MOVED):
    """Every token of a source moves every output of its row, and no other; draw_place(n): one of n places."""
    rng = np.random.default_rng(seed)
    p, (source, real, target, _) = draw_p(model, rng), draw_batch(rng, least=1)
    row = draw_place(len(source))
    at = draw_place(int(real[row].sum()))
    changed = source.copy()
    changed[row, at] = (source[row, at] + rng.integers(1, V)) % V
    before, after = (model.forward(p, ids, target, source_mask=mask_of(real))[0] for ids in (source, changed))
    moved = np.abs(before - after).max(-1)
    assert moved[row].min() > moved_by
    assert not np.delete(moved, row, 0).any()


def check_no_mask_is_a_mask_of_ones(model, rng):
    p, source, target = draw_p(model, rng), rng.integers(0, V, (3, 4)), rng.integers(0, W, (3, 5))
    expected, _ = model.forward(p, source, target)
    for rows in (1, 3):
        assert np.array_equal(model.forward(p, source, target, source_mask=np.ones((rows, 1, 1, 4), bool))[0], expected)


# ------------------------------------------------------------------------------------------------------- decoding


def check_steps_are_the_forward(model, seed, pieces, draw_mask, least=0):
    """Whatever the pieces in which the target comes: each step gives the logits after its last position."""
    rng = np.random.default_rng(seed)
    p, (source, real, *_) = draw_p(model, rng), draw_batch(rng, least)
    target = rng.integers(0, W, (len(source), sum(pieces)))
    mask = draw_mask((None, mask_of(real), mask_of(real[:1])))
    logits, _ = model.forward(p, source, target, source_mask=mask)
    caches = model.start(p, source, source_mask=mask, length=sum(pieces))
    for end, piece in zip(np.cumsum(pieces), pieces):
        close(model.step(p, target[:, end - piece : end], caches), logits[:, end - 1])
        assert {cache.length for cache in caches} == {end}


def check_beams_change_places(model, masked, rng, read=5):
    """After a reorder, row i goes on as if it had had the source and the target of row rows[i] from the start."""
    p, source, target = draw_p(model, rng), rng.integers(0, V, (3, 4)), rng.integers(0, W, (3, 6))
    mask, rows = mask_of(up_to(np.array([3, 1, 4]), 4)) if masked else None, np.array([2, 0, 2])
    caches = model.start(p, source, source_mask=mask, length=6)
    if read:
        model.step(p, target[:, :read], caches)
    for cache in caches:
        cache.reorder(rows)
    after = np.concatenate([target[rows, :read], target[:, read:]], 1)
    expected, _ = model.forward(p, source[rows], after, source_mask=mask[rows] if masked else None)
    close(model.step(p, target[:, read:], caches), expected[:, -1])


def check_decoding_writes_to_nothing_else(model, rng):
    """In the precision of the parameters, from read-only arrays; two decodings do not know of each other."""
    p, source, target = model.init(rng), rng.integers(0, V, (2, 4)), rng.integers(0, W, (2, 3))
    mask = mask_of(up_to(np.array([4, 2]), 4))
    for array in (source, target, mask, *(leaf for _, leaf in leaves(p))):
        array.flags.writeable = False
    first, second = (model.start(p, source, source_mask=mask, length=3) for _ in range(2))
    expected = model.step(p, target, first)
    assert expected.dtype == np.float32
    assert np.array_equal(model.step(p, target, second), expected)
    return first
