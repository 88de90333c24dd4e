"""Encoder and decoder, and the loss of a translation."""

import numpy as np

from ...convention import Saved
from ...models import PreNormTransformer, Transformer
from ...ops import linear
from ...training.losses import translation_loss
from .blocks import KEY_BIAS
from .case import case, cases_of


def tiny_transformer(draw, kind, **more):
    """A model, the arguments and settings of a case, and its zeros; sources are padded, one is nothing but padding."""
    V, W = draw.sizes(2, least=4)
    B, S, T = draw.sizes(3, least=2)
    more = {"target_vocab_size": W, "shared": False} | more
    model = kind(vocab_size=V, n_layers=1, n_heads=3, d_model=12, d_ff=5, dropout_rate=0.2, **more)
    args = {
        "p": draw.perturbed(model.init(draw.rng, np.float64)),
        "source": draw.ids(V, B, S),
        "target": draw.ids(4, B, T),
    }
    mask = draw.padding(B, S)
    mask[0] = False
    static = {"source_mask": mask, "key": draw.key()}
    keep_off_the_kink(model, args, static)
    return model, args, static, (f"p.encoder.0.{KEY_BIAS}", f"p.decoder.0.{KEY_BIAS}", f"p.decoder.0.cross_{KEY_BIAS}")


def keep_off_the_kink(model, args, static):
    """Give the biases before each ReLU such values that 0 lies in a wide gap between what each unit is given.

    Drawing again until nothing is near 0 would hardly ever end: a unit meets every position of the batch.
    """
    for layer in (*args["p"]["encoder"], *args["p"]["decoder"]):  # as they run: each changes what the later ones see
        up = layer["feed_forward"]["up"]
        _, saved = model.forward(**args, **static)
        x = next(values[0] for values in all_saved(saved, "linear") if values[1] is up)
        z = np.sort(linear(up, x)[0].reshape(-1, len(up["bias"])), axis=0)  # (B·T,F), of every unit the lowest first
        edge = len(z) // 8  # so that 0 has at least an eighth of the positions on either side
        below = edge + np.diff(z, axis=0)[edge : len(z) - 1 - edge].argmax(0)[None]
        up["bias"] = up["bias"] - 0.5 * (np.take_along_axis(z, below, 0) + np.take_along_axis(z, below + 1, 0))[0]


def all_saved(saved, op):
    """What every call of this operation kept, anywhere in a saved tree."""
    if isinstance(saved, Saved):
        return [saved.values] if saved.op == op else []
    parts = saved.values() if isinstance(saved, dict) else saved if isinstance(saved, list) else ()
    return [values for part in parts for values in all_saved(part, op)]


def transformer_cases(draw, kind):
    model, args, static, zero = tiny_transformer(draw, kind)
    yield case(model, **args, zero=zero, effort=(1, 1), static=static)
    model, args, static, zero = tiny_transformer(draw, kind, target_vocab_size=None, shared=True)
    yield case(model, **args, zero=zero, effort=(1, 1), static=static)


@cases_of(Transformer)
def _(draw):
    yield from transformer_cases(draw, Transformer)


@cases_of(PreNormTransformer)
def _(draw):
    yield from transformer_cases(draw, PreNormTransformer)


@cases_of(translation_loss)
def _(draw):
    model, args, static, zero = tiny_transformer(draw, Transformer)
    targets = draw.ids(4, *args["target"].shape)
    targets[:, 0] = -100
    args = {
        "p": args["p"],
        "source": args["source"],
        "source_mask": static["source_mask"],
        "target": args["target"],
        "targets": targets,
    }
    loss, static = translation_loss(model), {"key": static["key"]}
    yield case(loss, **args, zero=zero, effort=(1, 1), static=static)
