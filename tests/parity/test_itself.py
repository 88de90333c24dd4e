"""The parity tests can fail: a leaf that is a little off shows, and so does what is wrong in a well-known way."""

from importlib import import_module

import numpy as np
import pytest

from minitransformer import blocks, models, ops
from minitransformer.convention import THINGS
from minitransformer.gradcheck import Draw
from minitransformer.trees import leaves

from .agreement import above, agreement, both, differences
from .cases import draw_cases


def every_change(array, gmax):
    yield "shifted", array + (1e-3 * gmax or 1e-3)
    nan = np.array(array, copy=True)
    nan[(-1,) * nan.ndim] = np.nan
    yield "NaN", nan
    if np.abs(array).max() > 1e-6 * gmax:  # not one that is zero by mathematics
        yield "scaled", array * (1 + 1e-8)
        yield "zeroed", np.zeros_like(array)


@pytest.mark.parametrize("name", THINGS)
def test_whatever_is_off_shows(name, rng):
    for case in draw_cases(name, Draw(rng)):
        ours, theirs = both(case, rng)
        gmax = max((np.abs(theirs[path]).max(initial=0) for path in theirs if path.startswith("d")), default=0.0)
        for path, array in ours.items():
            for how, wrong in every_change(array, gmax):
                found = differences(ours | {path: wrong}, theirs, {f"d{name}" for name in case.zero})
                assert above(found).keys() == {path}, (path, how)


def test_a_missing_leaf_and_another_shape_are_refused():
    with pytest.raises(ValueError, match="on one side only"):
        differences({"y0": np.ones(2)}, {"y0": np.ones(2), "dx": np.ones(2)})
    with pytest.raises(ValueError, match="shapes"):
        differences({"y0": np.ones((1, 2))}, {"y0": np.ones(2)})


# ------------------------------------------------------------------------- wrong in a way that is easy to get wrong

WRONG = {}  # what is wrong -> (the thing that must fail, what makes it wrong)


def wrong(what, name):
    def decorate(install):
        WRONG[what] = name, install
        return install

    return decorate


def forward_of(op):
    return op.implementations["reference"][0]


def replace(patch, op, forward=None, backward=None):
    """Another forward, another backward, or both."""
    right = op.implementations["reference"]
    patch.setitem(op.implementations, "reference", (forward or right[0], backward or right[1]))


def replace_in(patch, path, **functions):
    """Other functions under the names that a module calls."""
    for name, function in functions.items():
        patch.setattr(import_module(f"minitransformer.{path}"), name, function)


@wrong("the tanh GELU instead of the exact one", "gelu")
def _(patch):
    replace(patch, ops.gelu, *ops.gelu_tanh.implementations["reference"])


@wrong("the exact GELU instead of the tanh one", "gelu_tanh")
def _(patch):
    replace(patch, ops.gelu_tanh, *ops.gelu.implementations["reference"])


@wrong("layer norm's backward without the term through the mean", "layer_norm")
def _(patch):
    def backward(dy, saved):
        xhat, rstd, weight = saved
        rows, dxhat = tuple(range(dy.ndim - 1)), dy * weight
        dx = rstd * (dxhat - xhat * (dxhat * xhat).mean(-1, keepdims=True))
        return dx, {"weight": (dy * xhat).sum(rows), "bias": dy.sum(rows)}

    replace(patch, ops.layer_norm, backward=backward)


@wrong("an epsilon of 1e-6 instead of 1e-5", "layer_norm")
def _(patch):
    right = forward_of(ops.layer_norm)
    replace(patch, ops.layer_norm, lambda p, x, *, eps=1e-6: right(p, x, eps=eps))


@wrong("the mean subtracted in RMS norm too", "rms_norm")
def _(patch):
    right = forward_of(ops.rms_norm)
    replace(patch, ops.rms_norm, lambda p, x, **how: right(p, x - x.mean(-1, keepdims=True), **how))


@wrong("the scale 1/K instead of 1/√K, its gradient exact", "attention")
def _(patch):
    forward, backward = ops.attention.implementations["reference"]

    def scaled_forward(q, *args, **how):
        factor = q.shape[-1] ** -0.5
        y, saved = forward(q * factor, *args, **how)
        return y, (factor, saved)

    def scaled_backward(dy, saved):
        factor, saved = saved
        dq, *others = backward(dy, saved)
        return dq * factor, *others

    replace(patch, ops.attention, scaled_forward, scaled_backward)


@wrong("key/value heads tiled instead of repeated, their gradient exact", "attention")
def _(patch):
    def tile(k, n_heads):
        return np.tile(k, (1, n_heads // k.shape[1], 1, 1))

    def sum_tiled(dk, n_groups):
        B, H, S, K = dk.shape
        return dk.reshape(B, H // n_groups, n_groups, S, K).sum(1)

    replace_in(patch, "ops.attention", repeat_heads=tile, sum_heads=sum_tiled)


@wrong("causal aligned at the top left", "attention")
def _(patch):
    def may_attend(q, S, mask, causal):
        lower = np.tri(q.shape[2], S, dtype=bool) if causal else np.ones((q.shape[2], S), bool)
        return lower if mask is None else lower & mask

    replace_in(patch, "ops.attention", may_attend=may_attend)


@wrong("the mean over every row, ignored or not", "cross_entropy")
def _(patch):
    replace_in(patch, "ops.cross_entropy", counted_targets=lambda targets, ignore_index: targets.size)


@wrong("an embedding's backward that keeps one of several equal ids", "embedding")
def _(patch):
    def backward(dy, saved):
        ids, weight = saved
        dweight = np.zeros_like(weight)
        dweight[ids] += dy
        return {"weight": dweight}

    replace(patch, ops.embedding, backward=backward)


@wrong("a frequency for each column instead of each pair", "sinusoidal_positions")
def _(patch):
    def table(positions, d_model, dtype):
        column = np.arange(d_model)
        angle = positions[..., None] * 10000.0 ** (-2.0 * column / d_model)
        return np.where(column % 2, np.cos(angle), np.sin(angle)).astype(dtype)

    replace_in(patch, "ops.positions", sinusoid_table=table)


@wrong("what dropout keeps is not scaled up", "dropout")
def _(patch):
    replace_in(patch, "ops.dropout", keep=lambda x, kept, rate: x if kept is None else np.where(kept, x, 0))


@wrong("decay added to the gradient", "adamw")
def _(patch):
    right = forward_of(ops.adamw)

    def adam(w, g, m, v, *, weight_decay, **how):
        return right(w, g + weight_decay * w, m, v, weight_decay=0.0, **how)

    replace(patch, ops.adamw, adam)


@wrong("no bias correction", "adamw")
def _(patch):
    right = forward_of(ops.adamw)
    replace(patch, ops.adamw, lambda w, g, m, v, *, t, **how: right(w, g, m, v, t=10**9, **how))


@wrong("the sum of the leaves' norms", "global_norm")
def _(patch):
    replace(patch, ops.global_norm, lambda g: sum(float(np.linalg.norm(leaf)) for _, leaf in leaves(g)))


@wrong("heads cut by a bare reshape, their gradient exact", "multi_head_attention")
def _(patch):
    def split(x, n_heads):
        B, T, D = x.shape
        return x.reshape(B, n_heads, T, D // n_heads)

    def merge(x):
        B, H, T, K = x.shape
        return x.reshape(B, T, H * K)

    replace_in(patch, "blocks.multi_head_attention", split_heads=split, merge_heads=merge)


@wrong("tied embeddings that learn from the head alone", "GPT2")
def _(patch):
    def backward(dy, saved):
        return {"weight": np.zeros_like(saved.values[1])}

    replace_in(patch, "models.gpt2", embedding_backward=backward)


@wrong("an encoder that hears from the last decoder layer alone", "stack")
def _(patch):
    replace_in(patch, "blocks.stack", add_up=lambda parts: parts[0])


@wrong("an encoder that hears from the last decoder layer alone, in a model", "Transformer")
def _(patch):
    replace_in(patch, "blocks.stack", add_up=lambda parts: parts[0])


@wrong("a cross-attention that is causal too, its gradient exact", "post_norm_decoder_layer")
def _(patch):
    def attend(p, x, memory, **how):
        return blocks.multi_head_attention(p, x, memory, **how | {"causal": True})

    replace_in(patch, "blocks.post_norm_decoder_layer", multi_head_attention=attend)


@wrong("padding that only the encoder is told of, the gradient exact", "Transformer")
def _(patch):
    right = models.Transformer.decoder
    wrong = lambda self, p, h, memory, memory_mask, key: right(self, p, h, memory, None, key)
    patch.setattr(models.Transformer, "decoder", wrong)


@wrong("positions scaled by √D with the embeddings, the gradient exact", "Transformer")
def _(patch):
    def positions(h):
        factor = h.shape[-1] ** 0.5
        y, saved = ops.sinusoidal_positions(h / factor)
        return y * factor, saved

    replace_in(patch, "models.transformer", sinusoidal_positions=positions)


@wrong("a shared table that learns from the head alone", "PreNormTransformer")
def _(patch):
    def backward(dy, saved):
        return {"weight": np.zeros_like(saved.values[1])}

    replace_in(patch, "models.transformer", embedding_backward=backward)


@wrong("the norm of the decoder after the encoder too", "PreNormTransformer")
def _(patch):
    right = models.PreNormTransformer.encoder
    wrong = lambda self, p, h, mask, key: right(self, p | {"encoder_norm": p["decoder_norm"]}, h, mask, key)
    patch.setattr(models.PreNormTransformer, "encoder", wrong)


@pytest.mark.parametrize("what", WRONG)
def test_what_is_wrong_shows(what, rng, monkeypatch):
    name, install = WRONG[what]
    install(monkeypatch)
    assert any(above(agreement(case, rng)) for case in draw_cases(name, Draw(rng)))
