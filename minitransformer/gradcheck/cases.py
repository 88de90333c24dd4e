"""What the inputs of every registered thing look like: the cases that the checks, the tests and the table run over.

A thing without a case fails the checks. Sizes are drawn unequal to each other, so that a transposition cannot hide;
norms have random γ and β, dropout is on, ids repeat, masks leave some row with nothing: bugs hide where they do not.
"""

from typing import Any, NamedTuple

import numpy as np

from ..blocks import (
    bahdanau_scores,
    bidirectional,
    concat_scores,
    feed_forward,
    gated_feed_forward,
    general_scores,
    llama_layer,
    multi_head_attention,
    post_norm_decoder_layer,
    post_norm_layer,
    pre_norm_decoder_layer,
    pre_norm_layer,
    recompute,
    recurrence,
    stack,
)
from ..convention import THINGS, Saved
from ..models import (
    BERT,
    GPT2,
    DistilBERT,
    LLaMA,
    MaskedLanguageModel,
    PreNormTransformer,
    RoBERTa,
    SentenceEncoder,
    SpanFinder,
    TextClassifier,
    TokenClassifier,
    Transformer,
)
from ..ops import (
    additive_scores,
    attention,
    cross_entropy,
    dot_scores,
    dropout,
    embedding,
    gelu,
    gelu_tanh,
    gru,
    layer_norm,
    learned_positions,
    linear,
    linear_cross_entropy,
    lstm,
    masked_mean,
    relu,
    rms_norm,
    rnn,
    rotary,
    silu,
    sinusoidal_positions,
    softmax,
    tanh,
)
from ..training.losses import fused_next_token_loss, label_loss, next_token_loss, translation_loss
from ..trees import tree_map

CASES = {}  # name of a thing -> function of a Draw that yields its cases


class Case(NamedTuple):
    """One call of one pair of functions."""

    forward: Any
    backward: Any
    args: dict  # the positional arguments, by name, in order; an absent optional array is None
    static: dict  # the settings
    zero: tuple = ()  # names of the gradients that are zero by mathematics
    effort: tuple = (8, 3)  # a large array is checked at so many elements and along so many directions


def case(thing, *, zero=(), effort=(8, 3), static=None, **args):
    forward = thing.forward if hasattr(thing, "forward") else thing
    return Case(forward, thing.backward, args, static or {}, zero, effort)


def cases_of(thing):
    def decorate(function):
        CASES[thing.__name__] = function
        return function

    return decorate


def draw_cases(name, draw):
    """[Case, ...] of the thing of this name. LookupError where it has none."""
    if name not in CASES:
        raise LookupError(f"{name} has no case: nothing says what its inputs look like (gradcheck/cases.py)")
    return list(CASES[name](draw))


def checkable():
    """The names of everything that must have a gradient check."""
    return [name for name, thing in THINGS.items() if getattr(thing, "gradient", True)]


class Draw:
    """Sizes and arrays, drawn from a NumPy generator. Tests hand in another way to draw sizes."""

    def __init__(self, rng, sizes=None):
        self.rng = rng
        self.draw_sizes = sizes or self.distinct

    def distinct(self, n, least):
        return self.rng.permutation(np.arange(least, least + n + 2))[:n].tolist()

    def sizes(self, n, least=1):
        """n small lengths, no two the same, none below `least`."""
        return self.draw_sizes(n, least)

    def __call__(self, *shape):
        """Normal numbers, in memory that is not contiguous (a transposed view is as good an input as any)."""
        return self.rng.normal(size=shape[::-1]).T

    def away_from_zero(self, *shape):
        x = self(*shape)
        return x + np.copysign(0.25, x)

    def ids(self, below, *shape):
        """Integers; at least two of them are equal where there are two."""
        ids = self.rng.integers(0, below, shape)
        if ids.size > 1:
            ids.flat[-1] = ids.flat[0]
        return ids

    def mask(self, *shape):
        """True = may attend; the first row may attend to nothing, the others at least to the first key."""
        mask = self.rng.random(shape) < 0.6
        mask[..., 0] = True
        mask[..., 0, :] = False
        return mask

    def padding(self, B, T):
        """(B, 1, 1, T), True = a token is there: row i lacks its first i % T positions."""
        return (np.arange(T) >= (np.arange(B) % T)[:, None])[:, None, None]

    def key(self):
        return np.random.SeedSequence(int(self.rng.integers(2**32)))

    def perturbed(self, p):
        """Parameters away from where they start: no γ of one, no bias of zero."""
        return tree_map(lambda a: a + 0.3 * self.rng.normal(size=a.shape), p)

    def linear(self, out, inp):
        return {"weight": self(out, inp) / np.sqrt(inp), "bias": self(out)}

    def norm(self, width):
        return {"weight": 1 + 0.3 * self(width), "bias": self(width)}

    def attention(self, width, n_heads=1, n_kv_heads=1, memory_width=None):
        kv = width // n_heads * n_kv_heads
        inp = memory_width or width
        return {
            "q": self.linear(width, width),
            "k": self.linear(kv, inp),
            "v": self.linear(kv, inp),
            "out": self.linear(width, width),
        }

    def feed_forward(self, width, inner):
        return {"up": self.linear(inner, width), "down": self.linear(width, inner)}

    def gated_feed_forward(self, width, inner):
        return {"gate": self.linear(inner, width)} | self.feed_forward(width, inner)

    def tokens(self, B, T):
        """(B, T), True = a token is there: the first row has all of them, every other one at least one, anywhere."""
        mask = self.rng.random((B, T)) < 0.6
        mask[np.arange(B), self.rng.integers(T, size=B)] = True
        mask[:1] = True
        return mask

    def cell(self, gates, width, inner):
        """The two linear maps of a recurrent cell with so many gates."""
        return {"input": self.linear(gates * inner, width), "hidden": self.linear(gates * inner, inner)}

    def layer(self, width, inner):
        return {
            "norm1": self.norm(width),
            "attention": self.attention(width),
            "norm2": self.norm(width),
            "feed_forward": self.feed_forward(width, inner),
        }

    def decoder_layer(self, width, inner):
        return self.layer(width, inner) | {"cross_attention": self.attention(width), "norm3": self.norm(width)}


# ------------------------------------------------------------------------------------------------------ operations


@cases_of(linear)
def _(draw):
    B, T, D, E = draw.sizes(4)
    yield case(linear, p=draw.linear(E, D), x=draw(B, T, D))
    yield case(linear, p={"weight": draw(E, D)}, x=draw(D))


@cases_of(embedding)
def _(draw):
    B, T, V, D = draw.sizes(4)
    yield case(embedding, p={"weight": draw(V, D)}, ids=draw.ids(V, B, T))


@cases_of(layer_norm)
def _(draw):
    B, T, D = draw.sizes(3, least=3)  # of width 1 there is nothing to normalise
    yield case(layer_norm, p=draw.norm(D), x=draw(B, T, D))
    yield case(layer_norm, p=draw.norm(D), x=draw(T, D), static={"eps": 0.1})


@cases_of(rms_norm)
def _(draw):
    B, T, D = draw.sizes(3, least=2)
    yield case(rms_norm, p={"weight": draw(D)}, x=draw(B, T, D))
    yield case(rms_norm, p={"weight": draw(D)}, x=draw(T, D), static={"eps": 0.1})


@cases_of(softmax)
def _(draw):
    B, T, D = draw.sizes(3, least=2)  # of one element the softmax is 1, whatever it is
    yield case(softmax, x=2 * draw(B, T, D))


@cases_of(relu)
def _(draw):
    yield case(relu, x=draw.away_from_zero(*draw.sizes(3, least=2)))


@cases_of(gelu)
def _(draw):
    yield case(gelu, x=2 * draw(*draw.sizes(3)))


@cases_of(gelu_tanh)
def _(draw):
    yield case(gelu_tanh, x=2 * draw(*draw.sizes(3)))


@cases_of(silu)
def _(draw):
    yield case(silu, x=2 * draw(*draw.sizes(3)))


@cases_of(tanh)
def _(draw):
    yield case(tanh, x=2 * draw(*draw.sizes(3)))


@cases_of(masked_mean)
def _(draw):
    B, T, D = draw.sizes(3, least=2)
    mask = draw.rng.random((B, T)) < 0.6
    mask[:, -1:], mask[:1] = True, False  # of the first, nothing counts
    yield case(masked_mean, x=draw(B, T, D), static={"mask": mask})


@cases_of(dropout)
def _(draw):
    shape = draw.sizes(3, least=2)
    yield case(dropout, x=draw(*shape), static={"rate": 0.4, "key": draw.key()})
    yield case(dropout, x=draw(*shape), static={"rate": 0.4, "key": None})


@cases_of(attention)
def _(draw):
    B, G, T, S, K = draw.sizes(5, least=2)  # with one key there is nothing to choose, and no gradient for the query
    q, k, v = draw(B, G, T, K), draw(B, G, S, K), draw(B, G, S, K)
    yield case(attention, q=q, k=k, v=v, bias=None)
    yield case(attention, q=q, k=k, v=v, bias=None, static={"causal": True})
    mask, grouped = draw.mask(B, 1, T, S), draw(B, 2 * G, T, K)
    yield case(attention, q=grouped, k=k, v=v, bias=draw(1, 2 * G, T, S), static={"mask": mask})
    random = {"dropout_rate": 0.3, "key": draw.key()}
    yield case(attention, q=q, k=k, v=v, bias=draw(B, 1, 1, S), static=random)
    yield case(attention, q=draw(B, G, 1, K), k=k, v=v, bias=None, static={"causal": True})  # as in decoding


@cases_of(dot_scores)
def _(draw):
    B, T, S, A = draw.sizes(4)
    yield case(dot_scores, q=draw(B, T, A), k=draw(B, S, A))


@cases_of(additive_scores)
def _(draw):
    B, T, S, A = draw.sizes(4)
    yield case(additive_scores, p={"weight": draw(A)}, q=draw(B, T, A), k=draw(B, S, A))


def cell_cases(draw, cell, gates, states):
    """Cases of a recurrent operation whose states have these names."""
    B, T, D, H = draw.sizes(4, least=2)  # in a single step from a state of zeros, U feels nothing
    p, x, none = draw.cell(gates, D, H), draw(B, T, D), dict.fromkeys(states)
    yield case(cell, p=p, x=x, **none)
    given = {name: draw(B, H) for name in states}
    yield case(cell, p=p, x=x, **given, static={"mask": draw.tokens(B, T)})
    p["hidden"] = {"weight": p["hidden"]["weight"]}
    given = none | {states[-1]: draw(B, H)}
    yield case(cell, p=p, x=x, **given, static={"mask": draw.tokens(B, T), "reverse": True})


@cases_of(rnn)
def _(draw):
    yield from cell_cases(draw, rnn, 1, "h")
    B, T, D, H = draw.sizes(4, least=2)
    p, x = draw.cell(1, D, H), draw(B, T, D)
    for part in p.values():
        part["weight"] = 0.1 * part["weight"]
    x[..., 0] = 4 * np.where(draw.rng.random((B, T)) < 0.5, -1, 1)  # this one number decides on which side of the
    p["input"]["weight"][:, 0] = np.where(np.arange(H) % 2, -1, 1)  # kink a unit is, and keeps it far from it
    p["input"]["bias"], p["hidden"]["bias"] = 0.3 * draw(H), 0.3 * draw(H)
    yield case(rnn, p=p, x=x, h=draw(B, H), static={"activation": relu, "mask": draw.tokens(B, T)})


@cases_of(gru)
def _(draw):
    yield from cell_cases(draw, gru, 3, "h")


@cases_of(lstm)
def _(draw):
    yield from cell_cases(draw, lstm, 4, "hc")


@cases_of(cross_entropy)
def _(draw):
    B, T, V = draw.sizes(3, least=2)
    targets = draw.ids(V, B, T)
    yield case(cross_entropy, logits=2 * draw(B, T, V), targets=targets)
    ignored = np.where(np.arange(T) == 0, -100, targets)
    yield case(cross_entropy, logits=2 * draw(B, T, V), targets=ignored, static={"label_smoothing": 0.2})


@cases_of(linear_cross_entropy)
def _(draw):
    B, T, V, D = draw.sizes(4, least=2)
    p, targets = {"weight": draw(V, D)}, draw.ids(V, B, T)
    yield case(linear_cross_entropy, p=p, x=draw(B, T, D), targets=targets)
    ignored = np.where(np.arange(T) == 0, -100, targets)
    yield case(linear_cross_entropy, p=p, x=draw(B, T, D), targets=ignored, static={"label_smoothing": 0.2})


@cases_of(sinusoidal_positions)
def _(draw):
    B, T, D = draw.sizes(3)
    yield case(sinusoidal_positions, x=draw(B, T, D))
    yield case(sinusoidal_positions, x=draw(B, T, D), static={"positions": draw.ids(50, B, T)})


@cases_of(learned_positions)
def _(draw):
    B, T, D = draw.sizes(3)
    yield case(learned_positions, p={"weight": draw(T + 2, D)}, x=draw(B, T, D))
    yield case(
        learned_positions, p={"weight": draw(T + 2, D)}, x=draw(B, T, D), static={"positions": draw.ids(T, B, T)}
    )


@cases_of(rotary)
def _(draw):
    B, H, T, half = draw.sizes(4)
    x, turns = draw(B, H, T, 2 * half), np.abs(draw(half))
    yield case(rotary, x=x, static={"frequencies": turns})
    yield case(rotary, x=x, static={"frequencies": turns, "positions": draw.ids(50, B, T), "pairing": "neighbours"})


# ---------------------------------------------------------------------------------------------------------- blocks


@cases_of(feed_forward)
def _(draw):
    B, T, D, F = draw.sizes(4)
    yield case(feed_forward, p=draw.feed_forward(D, F), x=draw(B, T, D), static={"activation": gelu_tanh})
    yield case(feed_forward, p=draw.feed_forward(D, F), x=draw(B, T, D), static={"activation": silu})


@cases_of(gated_feed_forward)
def _(draw):
    B, T, D, F = draw.sizes(4)
    yield case(gated_feed_forward, p=draw.gated_feed_forward(D, F), x=draw(B, T, D), static={"activation": silu})
    p = {name: {"weight": each["weight"]} for name, each in draw.gated_feed_forward(D, F).items()}
    yield case(gated_feed_forward, p=p, x=draw(B, T, D), static={"activation": gelu_tanh})


KEY_BIAS = (
    "attention.k.bias"  # moves every score of a query alike, which the softmax does not feel: its gradient is zero
)


@cases_of(multi_head_attention)
def _(draw):
    B, T, S, K, E = draw.sizes(5, least=2)
    zero, effort = ("p.k.bias",), (4, 2)
    x, memory = draw(B, T, 3 * K), draw(B, S, E)
    p = draw.attention(3 * K, memory_width=E)
    static = {"n_heads": 3, "mask": draw.mask(B, 1, T, S)}
    yield case(multi_head_attention, p=p, x=x, memory=memory, bias=None, zero=zero, effort=effort, static=static)
    p = draw.attention(4 * K, n_heads=4, n_kv_heads=2)
    static = {"n_heads": 4, "n_kv_heads": 2, "causal": True, "dropout_rate": 0.2, "key": draw.key()}
    x, memory, bias = draw(B, T, 4 * K), draw(B, T, 4 * K), draw(1, 4, T, T)
    yield case(multi_head_attention, p=p, x=x, memory=memory, bias=bias, zero=zero, effort=effort, static=static)
    turns = {"rotary": {"frequencies": np.abs(draw(K)), "positions": draw.rng.permutation(50)[:T]}}
    p, x = draw.attention(4 * K, n_heads=2), draw(B, T, 4 * K)
    p["k"], p["v"] = draw.linear(4 * K, 4 * K), draw.linear(4 * K, 4 * K)
    static = {"n_heads": 2, "causal": True} | turns  # of which the bias of the keys is felt: it is turned by position
    yield case(multi_head_attention, p=p, x=x, memory=x + draw(B, T, 4 * K), bias=None, effort=effort, static=static)


@cases_of(llama_layer)
def _(draw):
    B, T, half, F = draw.sizes(4, least=2)
    D = 4 * half + 1  # no multiple of what its heads have together
    p = {
        "norm1": {"weight": draw.norm(D)["weight"]},
        "attention": {
            name: {"weight": draw(out, inp) / np.sqrt(inp)}
            for name, out, inp in (("q", 8 * half, D), ("k", 4 * half, D), ("v", 4 * half, D), ("out", D, 8 * half))
        },
        "norm2": {"weight": draw.norm(D)["weight"]},
        "feed_forward": {name: {"weight": w["weight"]} for name, w in draw.gated_feed_forward(D, F).items()},
    }
    rotary = {"frequencies": np.abs(draw(half)), "positions": draw.ids(9, B, T), "pairing": "neighbours"}
    static = {"n_heads": 4, "n_kv_heads": 2, "rotary": rotary, "mask": draw.padding(B, T)}
    yield case(llama_layer, p=p, x=draw(B, T, D), effort=(3, 2), static=static)


def layer_cases(draw, layer):
    B, T, K, F = draw.sizes(4, least=2)
    x, p, effort = draw(B, T, 2 * K), draw.layer(2 * K, F), (3, 2)
    zero = (f"p.{KEY_BIAS}",)
    static = {"n_heads": 2, "activation": gelu_tanh, "mask": draw.padding(B, T)}
    yield case(layer, p=p, x=x, zero=zero, effort=effort, static=static)
    rates = {"dropout_rate": 0.2, "attention_dropout_rate": 0.3, "key": draw.key()}
    static = {"n_heads": 2, "activation": silu, "causal": True, "eps": 1e-3, **rates}
    yield case(layer, p=p, x=x, zero=zero, effort=effort, static=static)


@cases_of(pre_norm_layer)
def _(draw):
    yield from layer_cases(draw, pre_norm_layer)


@cases_of(post_norm_layer)
def _(draw):
    yield from layer_cases(draw, post_norm_layer)


def decoder_layer_cases(draw, layer):
    B, T, S, K, F = draw.sizes(5, least=2)
    D = 2 * K
    p = draw.decoder_layer(D, F)
    zero = (f"p.{KEY_BIAS}", f"p.cross_{KEY_BIAS}")
    static = {
        "n_heads": 2,
        "activation": silu,
        "memory_mask": draw.padding(B, S),
        "dropout_rate": 0.2,
        "attention_dropout_rate": 0.3,
        "key": draw.key(),
    }
    yield case(layer, p=p, x=draw(B, T, D), memory=draw(B, S, D), zero=zero, effort=(3, 2), static=static)


@cases_of(pre_norm_decoder_layer)
def _(draw):
    yield from decoder_layer_cases(draw, pre_norm_decoder_layer)


@cases_of(post_norm_decoder_layer)
def _(draw):
    yield from decoder_layer_cases(draw, post_norm_decoder_layer)


@cases_of(stack)
def _(draw):
    B, T, D, F = draw.sizes(4, least=3)  # a norm of two values is ±1, whatever they are
    p = [draw.layer(D, F), draw.layer(D, F)]
    zero = tuple(f"p.{i}.{KEY_BIAS}" for i in range(2))
    static = {"n_heads": 1, "activation": gelu_tanh, "causal": True, "dropout_rate": 0.2, "key": draw.key()}
    yield case(stack(pre_norm_layer), p=p, x=draw(B, T, D), zero=zero, effort=(2, 2), static=static)
    B, T, S, K, F = draw.sizes(5, least=2)
    D = 3 * K
    p = [draw.decoder_layer(D, F), draw.decoder_layer(D, F)]
    zero = tuple(f"p.{i}.{name}" for i in range(2) for name in (KEY_BIAS, f"cross_{KEY_BIAS}"))
    static = {"n_heads": 3, "activation": silu, "memory_mask": draw.padding(B, S)}
    thing, args = stack(pre_norm_decoder_layer), {"x": draw(B, T, D), "memory": draw(B, S, D)}
    yield case(thing, p=p, **args, zero=zero, effort=(1, 1), static=static)


@cases_of(recompute)
def _(draw):
    B, T, D, F = draw.sizes(4, least=3)  # a norm of two values is ±1, whatever they are
    static = {"n_heads": 1, "activation": gelu_tanh, "dropout_rate": 0.2, "key": draw.key()}
    zero = (f"p.{KEY_BIAS}",)
    thing = recompute(post_norm_layer)
    yield case(thing, p=draw.layer(D, F), x=draw(B, T, D), zero=zero, effort=(3, 2), static=static)


@cases_of(bahdanau_scores)
def _(draw):
    B, T, S, D, E, A = draw.sizes(6)
    p = {"query": draw.linear(A, D), "key": {"weight": draw(A, E)}, "score": {"weight": draw(A)}}
    yield case(bahdanau_scores, p=p, q=draw(B, T, D), k=draw(B, S, E), effort=(4, 2))


@cases_of(general_scores)
def _(draw):
    B, T, S, D, E = draw.sizes(5)
    yield case(general_scores, p={"key": {"weight": draw(D, E)}}, q=draw(B, T, D), k=draw(B, S, E))


@cases_of(concat_scores)
def _(draw):
    B, T, S, D, E, A = draw.sizes(6)
    q, k, score = draw(B, T, D), draw(B, S, E), {"weight": draw(A)}
    yield case(concat_scores, p={"pair": draw.linear(A, D + E), "score": score}, q=q, k=k, effort=(4, 2))
    yield case(concat_scores, p={"pair": {"weight": draw(A, D + E)}, "score": score}, q=q, k=k, effort=(4, 2))


@cases_of(bidirectional)
def _(draw):
    B, T, D, H = draw.sizes(4, least=2)
    p, x = {way: draw.cell(3, D, H) for way in ("forward", "backward")}, draw(B, T, D)
    yield case(bidirectional(gru), p=p, x=x, h=draw(2, B, H), effort=(4, 2), static={"mask": draw.tokens(B, T)})
    p = {way: draw.cell(4, D, H) for way in ("forward", "backward")}
    yield case(bidirectional(lstm), p=p, x=x, h=None, c=None, effort=(4, 2))


@cases_of(recurrence)
def _(draw):
    B, T, D, H = draw.sizes(4, least=2)
    x, random = draw(B, T, D), {"dropout_rate": 0.3, "key": draw.key()}
    p = [draw.cell(4, width, H) for width in (D, H, H)]
    yield case(recurrence(lstm), p=p, x=x, h=None, c=draw(3, B, H), effort=(2, 2), static=random)
    p = [{way: draw.cell(1, width, H) for way in ("forward", "backward")} for width in (D, 2 * H)]
    static = {"mask": draw.tokens(B, T), **random}
    yield case(recurrence(bidirectional(rnn)), p=p, x=x, h=draw(2, 2, B, H), effort=(2, 2), static=static)


# ---------------------------------------------------------------------------------------------- models and losses


def tiny_gpt2(draw, **more):
    V, C = draw.sizes(2, least=4)
    model = GPT2(vocab_size=V, context_length=C, n_layers=2, n_heads=2, d_model=6, dropout_rate=0.2, **more)
    return model, draw.perturbed(model.init(draw.rng, np.float64)), tuple(f"p.layers.{i}.{KEY_BIAS}" for i in range(2))


@cases_of(GPT2)
def _(draw):
    model, p, zero = tiny_gpt2(draw)
    T = model.context_length - 1
    ids = draw.ids(model.vocab_size, 3, T)
    yield case(model, p=p, ids=ids, zero=zero, effort=(2, 2), static={"key": draw.key()})
    model, p, zero = tiny_gpt2(draw, recompute=True)
    T = model.context_length - 1
    mask = draw.padding(3, T)  # rows padded on the left by 0, 1 and 2
    static = {"mask": mask, "positions": np.maximum(mask[:, 0, 0].cumsum(1) - 1, 0), "key": draw.key()}
    yield case(model, p=p, ids=draw.ids(model.vocab_size, 3, T), zero=zero, effort=(1, 1), static=static)


def tiny_llama(draw, **more):
    V, C, F = draw.sizes(3, least=4)
    sizes = {"n_layers": 2, "n_heads": 4, "n_kv_heads": 2, "d_model": 12, "d_head": 4, "d_ff": F}
    model = LLaMA(vocab_size=V, context_length=C, **sizes, **more)
    return model, draw.perturbed(model.init(draw.rng, np.float64))


@cases_of(LLaMA)
def _(draw):
    model, p = tiny_llama(draw)
    yield case(model, p=p, ids=draw.ids(model.vocab_size, 3, model.context_length - 1), effort=(2, 2))
    scaling = {"kind": "llama3", "factor": 8.0, "low": 1.0, "high": 4.0, "context": 16}
    more = {"tied": True, "recompute": True, "pairing": "neighbours", "rotary_scaling": scaling}
    model, p = tiny_llama(draw, **more)
    T = model.context_length - 1
    mask = draw.padding(3, T)
    static = {"mask": mask, "positions": np.maximum(mask[:, 0, 0].cumsum(1) - 1, 0)}
    yield case(model, p=p, ids=draw.ids(model.vocab_size, 3, T), effort=(1, 1), static=static)


@cases_of(next_token_loss)
def _(draw):
    model, p, zero = tiny_gpt2(draw)
    T = model.context_length
    ids, targets = draw.ids(model.vocab_size, 2, T), draw.ids(model.vocab_size, 2, T)
    targets[0, :2] = -100
    loss = next_token_loss(model, label_smoothing=0.1)
    yield case(loss, p=p, ids=ids, targets=targets, zero=zero, effort=(1, 2), static={"key": draw.key()})


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


@cases_of(fused_next_token_loss)
def _(draw):
    model, p, zero = tiny_gpt2(draw)
    ids, targets = draw.ids(model.vocab_size, 2, 4), draw.ids(model.vocab_size, 2, 4)
    targets[0, :2] = -100
    loss = fused_next_token_loss(model, label_smoothing=0.1)
    yield case(loss, p=p, ids=ids, targets=targets, zero=zero, effort=(1, 2), static={"key": draw.key()})
    model, p = tiny_llama(draw)
    ids, targets = draw.ids(model.vocab_size, 2, 4), draw.ids(model.vocab_size, 2, 4)
    yield case(fused_next_token_loss(model), p=p, ids=ids, targets=targets, effort=(1, 2))


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


def tiny_body(draw, kind, n_layers):
    """A BERT, or one of its kind; its ids and types, for texts of T tokens in a context of T + 1."""
    V, T, types = draw.sizes(3, least=3)
    sizes = {"n_layers": n_layers, "n_heads": 2, "d_model": 6, "d_ff": 5, "dropout_rate": 0.2}
    if kind is DistilBERT:
        return DistilBERT(V, T + 1, **sizes), draw.ids(V, 3, T), None
    if kind is RoBERTa:
        return RoBERTa(V, T + 4, 2, types, **sizes), draw.ids(V, 3, T), draw.ids(types, 3, T)
    return BERT(V, T + 1, types, **sizes), draw.ids(V, 3, T), draw.ids(types, 3, T)


def tiny_bert(draw, head, body=BERT, **more):
    """A body or a head over one, the arguments and settings of a case, and its zeros: padding behind the texts."""
    bare = head is body
    n_layers = 2 if bare else 1
    body, ids, types = tiny_body(draw, body, n_layers)
    model = body if bare else head(body, **more)
    static = {"types": types, "mask": draw.padding(*ids.shape)[..., ::-1], "key": draw.key()}
    args = {"p": draw.perturbed(model.init(draw.rng, np.float64)), "ids": ids}
    path = "p." if bare else "p.body."
    return model, args, static, tuple(f"{path}layers.{i}.{KEY_BIAS}" for i in range(n_layers))


def head_cases(draw, head, body=BERT, **more):
    model, args, static, zero = tiny_bert(draw, head, body, **more)
    yield case(model, **args, zero=zero, effort=(1, 1), static=static)


@cases_of(BERT)
def _(draw):
    yield from head_cases(draw, BERT)


@cases_of(DistilBERT)
def _(draw):
    yield from head_cases(draw, DistilBERT, DistilBERT)


@cases_of(RoBERTa)
def _(draw):
    yield from head_cases(draw, RoBERTa, RoBERTa)


@cases_of(MaskedLanguageModel)
def _(draw):
    yield from head_cases(draw, MaskedLanguageModel)


@cases_of(TextClassifier)
def _(draw):
    yield from head_cases(draw, TextClassifier, n_classes=3)
    yield from head_cases(draw, TextClassifier, DistilBERT, n_classes=4, activation=relu, dropout_rate=0.3)
    yield from head_cases(draw, TextClassifier, RoBERTa, n_classes=4, drops_first=True)


@cases_of(TokenClassifier)
def _(draw):
    yield from head_cases(draw, TokenClassifier, n_classes=3, dropout_rate=0.3)


@cases_of(SpanFinder)
def _(draw):
    yield from head_cases(draw, SpanFinder)
    yield from head_cases(draw, SpanFinder, DistilBERT, dropout_rate=0.3)


@cases_of(SentenceEncoder)
def _(draw):
    yield from head_cases(draw, SentenceEncoder)
    yield from head_cases(draw, SentenceEncoder, pooling="first")


@cases_of(label_loss)
def _(draw):
    model, args, static, zero = tiny_bert(draw, TokenClassifier, n_classes=3)
    targets = draw.ids(3, *args["ids"].shape)
    targets[:, -1] = -100
    batch = {"types": static["types"], "mask": static["mask"], "targets": targets}
    loss = label_loss(model, label_smoothing=0.1)
    yield case(loss, **args, **batch, zero=zero, effort=(1, 1), static={"key": static["key"]})
