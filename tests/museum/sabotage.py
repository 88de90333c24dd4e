"""Code so wrong that any check worth its name sees it.

Many a check that is named as blind catches nothing else in the museum. That it could, test_museum.py shows with these:
ways to ruin the right code of an exhibit, one of which every such check must fail.
"""

import itertools

import numpy as np

from minitransformer.ops import cross_entropy, cross_entropy_backward, softmax_backward
from minitransformer.trees import tree_map

from .attention_room import SelfAttention, mask_then_softmax
from .exhibit import Pair
from .gradients_room import Tied

rng = np.random.default_rng(0)
count = itertools.count()


def ruins(exhibit):
    """Its own ways; then, whatever it is, all that it returns a tenth too large."""
    right = exhibit.right
    yield from RUINS.get(exhibit.name, ())
    if hasattr(right, "backward"):
        forward = getattr(right, "forward", right)
        yield Pair(forward, lambda *dy_and_saved: louder(right.backward(*dy_and_saved)))
        yield Pair(lambda *args, **static: first_louder(forward(*args, **static)), right.backward)
    else:
        yield lambda *args, **static: louder(right(*args, **static))


def louder(result):
    if isinstance(result, tuple):
        return tuple(map(louder, result))
    return tree_map(lambda leaf: 1.1 * leaf, result)


def first_louder(y_and_saved):
    y, saved = y_and_saved
    return louder(y), saved


def softmax_too_loud(dweights, saved):
    return louder(softmax_backward(dweights, saved))


class TiedTooLoud(Tied):
    def backward(self, dlogits, saved):
        return louder(super().backward(dlogits, saved))


def not_normalised(p, x, *, eps=1e-5):
    return p["weight"] * x + p["bias"], None


def not_normalised_backward(dy, saved):
    return dy, {"weight": dy[0, 0], "bias": dy[0, 0]}


def dropout_unscaled(x, *, rate, key=None):
    return np.where(rng.random(x.shape) < rate, 0, x), None


def cross_entropy_teaches_nothing(dloss, saved):
    return 0 * cross_entropy_backward(dloss, saved)


def see_everything(q, S, mask, causal):
    return np.ones((q.shape[2], S), dtype=bool)


def see_whatever_comes(q, S, mask, causal):
    return rng.random((q.shape[2], S)) < 0.5


def unmoved(w, g, m, v, **settings):
    return w, m, v


def keep_the_least(logits, *, top_p):
    return (logits == logits.min()).astype(float)


RUINS = {
    "The mask inverted": [SelfAttention(weigh=Pair(mask_then_softmax, softmax_too_loud))],
    "A gradient check that cries wolf": [lambda case, rng: 1.0, lambda case, rng: 0.0],
    "Tied weights, a copy": [TiedTooLoud()],
    "A layer norm over the text": [Pair(not_normalised, not_normalised_backward)],
    "The exponent of the waves": [lambda positions, d_model, dtype: np.zeros((len(positions), d_model))],
    "Dropout that never rests": [Pair(dropout_unscaled, lambda dy, saved: dy)],
    "A mean of means": [lambda loss, p, pieces: (0.0, tree_map(np.zeros_like, p))],
    "Shifted twice": [Pair(cross_entropy, cross_entropy_teaches_nothing)],
    "Padding with the end": [lambda ids, lengths, pad: ids, lambda ids, lengths, pad: np.full_like(ids, -100)],
    "The causal corner": [see_everything, see_whatever_comes],
    "The decay inside": [unmoved],
    "Decay by the wrong name": [lambda path, w: True, lambda path, w: False],
    "Clipped while scaled": [lambda g, *settings: tree_map(np.zeros_like, g), lambda g, *settings: g],
    "Clipped piece by piece": [lambda pieces, max_norm: tree_map(lambda leaf: 9 * leaf, pieces[0])],
    "Positions off by one": [lambda cached, T: np.zeros(T, int), lambda cached, T: np.full(T, next(count) % 12)],
    "Padding that takes up places": [lambda there: {"positions": np.arange(there.shape[1])[::-1]}],
    "A nucleus without its edge": [keep_the_least, lambda logits, *, top_p: np.exp(logits)],
    "Merges from left to right": [lambda tokenizer, word: list(word.encode("utf-8")), lambda tokenizer, word: [0]],
}
