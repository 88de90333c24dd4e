"""Every way through everything that attends: from inputs (ids, or x) to the outputs at every position.

A new model is one line in PATHS, and every property of `test_attending.py` runs over it.
"""

import functools
from dataclasses import replace
from typing import Any, NamedTuple

import numpy as np

from minitransformer.blocks import (
    Cache,
    attend,
    keys_values,
    multi_head_attention,
    post_norm_layer,
    pre_norm_layer,
    pre_norm_layer_step,
    recompute,
    split_heads,
    stack,
)
from minitransformer.gradcheck import Draw
from minitransformer.models import GPT2, LLaMA
from minitransformer.ops import attention, gelu_tanh

VOCAB, WIDTH, HEADS = 11, 16, 8  # with eight heads, dropout practically never drops a weight in all of them


class Path(NamedTuple):
    """One way through a thing, and what is true of it."""

    make: Any  # rng -> a function from inputs, mask=, positions= to outputs (B, T, ...); p and key are drawn
    causal: bool = True
    random: bool = False  # drops, so that what is drawn hangs on the shape
    order: bool = True  # feels in which order the earlier positions came
    masks: bool = True  # takes a mask
    ids: bool = False  # its inputs are ids (and it takes positions); else x

    def inputs(self, rng, B, T):
        return rng.integers(0, VOCAB, (B, T)) if self.ids else rng.normal(size=(B, T, WIDTH))

    def change(self, rng, inputs, t):
        """The same inputs, except for something else at position t of every row."""
        changed = inputs.copy()
        if self.ids:
            changed[:, t] = (inputs[:, t] + rng.integers(1, VOCAB, len(inputs))) % VOCAB
        else:
            changed[:, t] = rng.normal(size=(len(inputs), WIDTH))
        return changed


# ---------------------------------------------------------------------------------------------------------- models


def training(model, p, key, ids, **more):
    return model.forward(p, ids, key=key, **more)[0]


def evaluation(model, p, key, ids, **more):
    return model.forward(p, ids, **more)[0]


def one_by_one(model, p, key, ids):
    caches = model.start(p, len(ids))
    return np.stack([model.step(p, ids[:, t : t + 1], caches) for t in range(ids.shape[1])], 1)


def every_prompt(model, p, key, ids):
    """A step speaks of its last position only, so every prefix is a prompt once."""
    return np.stack([model.step(p, ids[:, :t], model.start(p, len(ids))) for t in range(1, ids.shape[1] + 1)], 1)


def row_by_row(model, p, key, ids):
    return np.concatenate([model.forward(p, row[None])[0] for row in ids])


def model_paths(model, drops=True):
    """Every way through a model of ids whose configuration says `recompute`; drops: whether it has a dropout rate."""

    def path(way, model=model, **true):
        def make(rng):
            p = Draw(rng).perturbed(model.init(rng, np.float64))
            return functools.partial(way, model, p, Draw(rng).key())

        return Path(make, ids=True, **true)

    name = type(model).__name__
    return {
        f"{name} training": path(training, random=drops),
        f"{name} training, recomputed": path(training, replace(model, recompute=True), random=drops),
        f"{name} evaluation": path(evaluation),
        f"{name} evaluation, row by row": path(row_by_row, masks=False),
        f"{name} decoding, one by one": path(one_by_one, masks=False),
        f"{name} decoding, a prompt": path(every_prompt, masks=False),
    }


# ---------------------------------------------------------------------------------------------------------- blocks


def self_attention(p, x, **static):
    return multi_head_attention(p, x, x, n_heads=HEADS, **static)


def two_groups(p, x, **static):
    return multi_head_attention(p, x, x, n_heads=HEADS, n_kv_heads=2, **static)


def heads_of_x(p, x, **static):
    h = split_heads(x, HEADS)
    y, saved = attention(h, h, h, **static)
    return y.swapaxes(1, 2), saved


def layer(thing):
    return functools.partial(thing, n_heads=HEADS, activation=gelu_tanh, attention_dropout_rate=0.1)  # with a key


def decoded_attention(p, x):
    cache = Cache(len(x), HEADS, x.shape[1], WIDTH // HEADS, x.dtype)
    outputs = []
    for t in range(x.shape[1]):
        newest = x[:, t : t + 1]
        k, v = cache.extend(*keys_values(p, newest, n_heads=HEADS))
        outputs.append(attend(p, newest, k, v, n_heads=HEADS, causal=True))
    return np.concatenate(outputs, 1), None


def decoded_layer(p, x):
    """By two positions, and then by one."""
    cache = Cache(len(x), HEADS, x.shape[1], WIDTH // HEADS, x.dtype)
    step = functools.partial(pre_norm_layer_step, p, cache=cache, n_heads=HEADS, activation=gelu_tanh)
    return np.concatenate([step(x[:, :2]), *(step(x[:, t : t + 1]) for t in range(2, x.shape[1]))], 1), None


def block_paths(name, thing, draw_p, order=False):
    """The ways through a block: causal or not, with dropout or without."""

    def path(causal, random):
        def make(rng):
            draw = Draw(rng)
            p, static = draw_p(draw), {"dropout_rate": 0.1, "key": draw.key()} if random else {}
            return lambda x, positions=None, **mask: thing(p, x, causal=causal, **static, **mask)[0]

        return Path(make, causal=causal, random=random, order=order and causal)

    return {
        f"{name}{', causal' * causal}{', dropout' * random}": path(causal, random)
        for causal in (True, False)
        for random in (False, True)
    }


def decoding_path(thing, draw_p):
    def make(rng):
        return functools.partial(lambda p, x: thing(p, x)[0], draw_p(Draw(rng)))

    return Path(make, order=False, masks=False)


def draw_layer(draw):
    return draw.layer(WIDTH, 5)


def draw_layers(draw):
    return [draw.layer(WIDTH, 5), draw.layer(WIDTH, 3)]


def draw_attention(draw):
    return draw.attention(WIDTH)


PATHS = {
    **model_paths(GPT2(VOCAB, context_length=12, n_layers=2, n_heads=HEADS, d_model=WIDTH, dropout_rate=0.1)),
    **model_paths(
        LLaMA(VOCAB, 12, n_layers=2, n_heads=HEADS, n_kv_heads=2, d_model=WIDTH, d_head=4, d_ff=7), drops=False
    ),
    **block_paths("attention", heads_of_x, lambda draw: {}),
    **block_paths("multi-head attention", self_attention, draw_attention),
    **block_paths("grouped heads", two_groups, lambda draw: draw.attention(WIDTH, HEADS, 2)),
    **block_paths("pre-norm layer", layer(pre_norm_layer), draw_layer),
    **block_paths("post-norm layer", layer(post_norm_layer), draw_layer),
    **block_paths("recomputed layer", layer(recompute(pre_norm_layer)), draw_layer),
    **block_paths("stack", layer(stack(pre_norm_layer)), draw_layers, order=True),
    **block_paths("stack of recomputed layers", layer(stack(recompute(post_norm_layer))), draw_layers, order=True),
    "attention, decoding": decoding_path(decoded_attention, draw_attention),
    "pre-norm layer, decoding": decoding_path(decoded_layer, draw_layer),
}
