"""The ways through the encoder-decoder Transformer: from target ids (or x) to the outputs, the source being given."""

import functools
from typing import Any, NamedTuple

import numpy as np

from minitransformer.blocks import (
    CrossCache,
    keys_values,
    post_norm_decoder_layer,
    post_norm_decoder_layer_step,
    pre_norm_decoder_layer,
    pre_norm_decoder_layer_step,
    stack,
)
from minitransformer.gradcheck import Draw
from minitransformer.models import PreNormTransformer, Transformer
from minitransformer.ops import gelu_tanh
from minitransformer.trees import tree_map

from .paths import (
    HEADS,
    VOCAB,
    WIDTH,
    Path,
    block_paths,
    decoding_path,
    evaluation,
    every_prompt,
    layer,
    one_by_one,
    row_by_row,
    training,
)

LENGTH = 5  # of the source, of which the last position is padding
MASK = np.arange(LENGTH)[None, None, None] < LENGTH - 1


class Answering(NamedTuple):
    """A Transformer whose every row has the same source: a model of target ids alone."""

    model: Any
    source: np.ndarray  # (1,S)

    def sources(self, batch):
        return {"source": self.source.repeat(batch, 0), "source_mask": MASK.repeat(batch, 0)}

    def forward(self, p, ids, **more):
        return self.model.forward(p, target=ids, **self.sources(len(ids)), **more)

    def start(self, p, batch):
        return self.model.start(p, **self.sources(batch), length=12)

    def step(self, p, ids, caches):
        return self.model.step(p, ids, caches)


def answering_paths(model, scale=1.0):
    """Teacher-forced and decoding. There is no mask of the target: its padding stands behind it."""

    def path(way, **true):
        def make(rng):
            p = tree_map(lambda leaf: scale * leaf, Draw(rng).perturbed(model.init(rng, np.float64)))
            answering = Answering(model, rng.integers(0, VOCAB, (1, LENGTH)))
            return functools.partial(way, answering, p, Draw(rng).key())

        return Path(make, ids=True, masks=False, **true)

    name = type(model).__name__
    return {
        f"{name} training": path(training, random=True),
        f"{name} evaluation": path(evaluation),
        f"{name} evaluation, row by row": path(row_by_row),
        f"{name} decoding, one by one": path(one_by_one),
        f"{name} decoding, a prompt": path(every_prompt),
    }


def transformer_paths(model):
    name = type(model).__name__
    return answering_paths(model) | {
        f"{name} encoder": encoder_path(model, random=False),
        f"{name} encoder, dropout": encoder_path(model, random=True),
    }


def encoder_path(model, random):
    """Without its embeddings: they bring positions, in whose absence it sees a set."""

    def make(rng):
        p, key = Draw(rng).perturbed(model.init(rng, np.float64)), Draw(rng).key() if random else None
        return lambda x, mask=None: model.encoder(p, x, mask, key)[0]

    return Path(make, causal=False, random=random, order=False)


def answering_layer(thing):
    """A decoder layer, or a stack of them, to whose every row the same memory answers."""

    def forward(p, x, causal=True, **static):
        p, memory = p
        return layer(thing)(p, x, memory.repeat(len(x), 0), memory_mask=MASK, **static)

    return forward


def decoded_layer(step):
    """By two positions, and then by one."""

    def forward(p, x):
        p, memory = p
        k, v = keys_values(p["cross_attention"], memory.repeat(len(x), 0), n_heads=HEADS)
        cache = CrossCache(len(x), HEADS, x.shape[1], WIDTH // HEADS, x.dtype, (k, v, MASK.repeat(len(x), 0)))
        take = functools.partial(step, p, cache=cache, n_heads=HEADS, activation=gelu_tanh)
        return np.concatenate([take(x[:, :2]), *(take(x[:, t : t + 1]) for t in range(2, x.shape[1]))], 1), None

    return forward


def draw_layer(draw):
    return draw.decoder_layer(WIDTH, 5), draw(1, LENGTH, WIDTH)


def draw_layers(draw):
    return [draw.decoder_layer(WIDTH, 5), draw.decoder_layer(WIDTH, 3)], draw(1, LENGTH, WIDTH)


def causal_paths(*args, **more):
    """Decoder layers cannot but be causal."""
    return {name: path for name, path in block_paths(*args, **more).items() if path.causal}


SIZES = {"n_layers": 2, "n_heads": HEADS, "d_model": WIDTH, "d_ff": 24, "dropout_rate": 0.1}

TRANSFORMER_PATHS = {
    **transformer_paths(Transformer(VOCAB, **SIZES)),
    **transformer_paths(PreNormTransformer(VOCAB, **SIZES)),
    **causal_paths("pre-norm decoder layer", answering_layer(pre_norm_decoder_layer), draw_layer),
    **causal_paths("post-norm decoder layer", answering_layer(post_norm_decoder_layer), draw_layer),
    **causal_paths("stack of decoder layers", answering_layer(stack(pre_norm_decoder_layer)), draw_layers, order=True),
    "pre-norm decoder layer, decoding": decoding_path(decoded_layer(pre_norm_decoder_layer_step), draw_layer),
    "post-norm decoder layer, decoding": decoding_path(decoded_layer(post_norm_decoder_layer_step), draw_layer),
}
