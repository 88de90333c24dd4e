"""The first room: causal self-attention, wrong forwards that each have a right backward."""

from dataclasses import dataclass, replace
from typing import Any, NamedTuple

import numpy as np

from minitransformer.blocks import merge_heads, multi_head_attention, split_heads
from minitransformer.gradcheck.cases import case
from minitransformer.ops import linear, linear_backward, softmax, softmax_backward
from minitransformer.ops.attention import may_attend, repeat_heads, sum_heads

from .checks import (
    appending_keeps_the_prefix,
    distance,
    early_must_matter,
    gradient_check,
    later_must_not_matter,
    order_must_not_matter,
)
from .exhibit import Check, Pair, Room

ROOM = Room(
    "Wrong forwards of attention",
    """Every row of this table is causal self-attention with one part exchanged, and with the backward that belongs to
    it. So the gradient check passes every row: it proves that a backward fits its forward, never that the forward is
    right. The other columns change tokens and look at what moves. The heads tiled are seen by nothing but a comparison
    with an implementation that is known to be right; and with a single head, a comparison sees hardly anything.""",
)

# ------------------------------------------------------------------- attention whose parts can be exchanged


class Layout(NamedTuple):
    """Two functions, each the inverse of the other: so each is the other's backward."""

    split: Any  # (B,T,D) -> (B,H,T,K)
    merge: Any  # (B,H,T,K) -> (B,T,D)


def by_head_width(q):
    return q.shape[-1] ** -0.5


def mask_then_softmax(scores, allowed):
    return softmax(np.where(allowed, scores, -np.inf))


@dataclass(frozen=True)
class SelfAttention:
    """Causal self-attention, written out. As it stands it is `multi_head_attention`; an exhibit exchanges one part."""

    cut: Layout = Layout(split_heads, merge_heads)  # for q, k and v
    join: Layout = Layout(split_heads, merge_heads)  # for what the heads found
    scale: Any = by_head_width
    share: Pair = Pair(repeat_heads, sum_heads)  # key/value heads among query heads
    weigh: Pair = Pair(mask_then_softmax, softmax_backward)
    n_heads: int = 4
    n_kv_heads: int = 4

    def __call__(self, p, x):
        q, saved_q = linear(p["q"], x)
        k, saved_k = linear(p["k"], x)
        v, saved_v = linear(p["v"], x)
        q = self.cut.split(q, self.n_heads)
        k, v = (self.share(self.cut.split(part, self.n_kv_heads), self.n_heads) for part in (k, v))
        scale = self.scale(q)
        weights, saved_weigh = self.weigh(q @ k.swapaxes(-1, -2) * scale, may_attend(q, k.shape[2], None, True))
        y, saved_out = linear(p["out"], self.join.merge(weights @ v))
        return y, (saved_q, saved_k, saved_v, q, k, v, scale, weights, saved_weigh, saved_out)

    def backward(self, dy, saved):
        saved_q, saved_k, saved_v, q, k, v, scale, weights, saved_weigh, saved_out = saved
        g = {}
        dh, g["out"] = linear_backward(dy, saved_out)
        dh = self.join.split(dh, self.n_heads)
        dscores = self.weigh.backward(dh @ v.swapaxes(-1, -2), saved_weigh)
        dq, dk, dv = dscores @ k * scale, dscores.swapaxes(-1, -2) @ q * scale, weights.swapaxes(-1, -2) @ dh
        dk, dv = (self.share.backward(part, self.n_kv_heads) for part in (dk, dv))
        dq, dk, dv = (self.cut.merge(part) for part in (dq, dk, dv))
        dx_q, g["q"] = linear_backward(dq, saved_q)
        dx_k, g["k"] = linear_backward(dk, saved_k)
        dx_v, g["v"] = linear_backward(dv, saved_v)
        return dx_q + dx_k + dx_v, g


ROOM.code = (SelfAttention,)

# ------------------------------------------------------------------------------------------------ the checks

WIDTH = 20  # divided by four heads it is 5, so that no two lengths are equal


def inputs(subject, rng):
    kv = WIDTH // subject.n_heads * subject.n_kv_heads
    p = {name: {"weight": rng.normal(size=(out, WIDTH)) / WIDTH**0.5} for name, out in zip("qkv", (WIDTH, kv, kv))}
    p["out"] = {"weight": rng.normal(size=(WIDTH, WIDTH)) / WIDTH**0.5}
    return p, 2 * rng.normal(size=(2, 7, WIDTH))


def output(subject, p, x):
    return subject(p, x)[0]


def from_the_project(subject, rng):
    p, x = inputs(subject, rng)
    heads = {"n_heads": subject.n_heads, "n_kv_heads": subject.n_kv_heads}
    return distance(output(subject, p, x), multi_head_attention(p, x, x, causal=True, **heads)[0])


def deviation_of_scores(subject, rng):
    q, k = rng.normal(size=(2, 9, subject.n_heads, 64, WIDTH // subject.n_heads))
    return np.std(q @ k.swapaxes(-1, -2) * subject.scale(q))


GRADIENT = gradient_check(
    "gradient check", lambda subject, rng: case(subject, effort=(4, 2), **dict(zip("px", inputs(subject, rng))))
)
LATER = later_must_not_matter(output, inputs)
EARLY = early_must_matter(output, inputs)
APPEND = appending_keeps_the_prefix(output, inputs)
ORDER = order_must_not_matter(output, inputs)
SCORES = Check("spread of the scores of random q, k", deviation_of_scores, at_least=0.8, at_most=1.25)
ONE_HEAD = Check(
    "parity, with one head",
    lambda subject, rng: from_the_project(replace(subject, n_heads=1, n_kv_heads=1), rng),
    at_most=1e-9,
    kind="parity",
)
PARITY = Check("parity", from_the_project, at_most=1e-9, kind="parity")
ROOM.table = (GRADIENT, LATER, EARLY, APPEND, ORDER, SCORES, ONE_HEAD, PARITY)

# ---------------------------------------------------------------------------------------------- the exhibits


def split_by_reshape(x, n_heads):  # (B,T,D) -> (B,H,T,K)
    B, T, D = x.shape
    return x.reshape(B, n_heads, T, D // n_heads)


def merge_by_reshape(x):  # (B,H,T,K) -> (B,T,D)
    B, H, T, K = x.shape
    return x.reshape(B, T, H * K)


RESHAPED = Layout(split_by_reshape, merge_by_reshape)

ROOM.exhibit(
    "Heads by a bare reshape",
    """All shapes fit, so nothing complains. But in memory the width of one token lies together, and a reshape cuts what
    lies there in a row: what is called a head is a piece of the *text*, and each piece attends to itself alone. Nothing
    later leaks, exactly; and the last token cannot see the first. A test for causality alone is content.""",
    reported=(
        "649453932/Chinese-Text-Classification-Pytorch 53",
        "hyunwoongko/transformer 15",
        "reczoo/FuxiCTR 30",
    ),
    wrong=SelfAttention(cut=RESHAPED, join=RESHAPED),
    right=SelfAttention(),
    blind=(GRADIENT, LATER, SCORES, ONE_HEAD),
    caught=(EARLY, APPEND, ORDER, PARITY),
    wrong_code=tuple(RESHAPED),
    right_code=(split_heads, merge_heads),
)

ROOM.exhibit(
    "Heads merged without the swap",
    """The way in is right, and on the way out the axes are not swapped back: (B, H, T, K) has as many elements as (B,
    T, D). Each output is then made of one head at several positions, later ones among them. A model can learn around
    it; in one project a test that trained on copying still passed.""",
    reported=("jsbaan/transformer-from-scratch 6", "ajhalthor/Transformer-Neural-Network 4"),
    wrong=SelfAttention(join=RESHAPED),
    right=SelfAttention(),
    blind=(GRADIENT, EARLY, SCORES, ONE_HEAD),
    caught=(LATER, APPEND, ORDER, PARITY),
    wrong_code=(merge_by_reshape,),
    right_code=(merge_heads,),
)


def by_model_width(q):  # (B,H,T,K)
    return (q.shape[1] * q.shape[-1]) ** -0.5


ROOM.exhibit(
    "The scale of the wrong width",
    """The paper divides by √d_k, the width of a head; code has a d at hand that is the width of the model. The softmax
    becomes too flat, and training copes. Its siblings divide by the root of the number of heads, or by nothing, or by
    d**-0.5 where they should multiply. Whatever moves must still move, so that no property of tokens sees it; but the
    scale has a purpose, and that can be checked: scores of random queries and keys have deviation 1.""",
    reported=(
        "omihub777/ViT-CIFAR 12",
        "lucidrains/vit-pytorch 65",
        "karpathy/ng-video-lecture 6",
        "esceptico/perceiver-io 9",
    ),
    wrong=SelfAttention(scale=by_model_width),
    right=SelfAttention(),
    blind=(GRADIENT, LATER, EARLY, APPEND, ORDER, ONE_HEAD),
    caught=(SCORES, PARITY),
    wrong_code=(by_model_width,),
    right_code=(by_head_width,),
)


def tile_heads(k, n_heads):  # (B,G,S,K) -> (B,H,S,K)
    return np.tile(k, (1, n_heads // k.shape[1], 1, 1))


def sum_tiled_heads(dk, n_groups):  # (B,H,S,K) -> (B,G,S,K)
    B, H, S, K = dk.shape
    return dk.reshape(B, H // n_groups, n_groups, S, K).sum(1)


ROOM.exhibit(
    "Grouped heads tiled",
    """With two key/value heads for four queries, heads 0 and 1 share the first: 0, 0, 1, 1. A tile gives 0, 1, 0, 1.
    Both are "repeat" in some library, and the names trade places between them. With one key/value head, or as many as
    queries, there is no difference. Trained from scratch it is merely another order of heads; with published weights
    every second head reads another's keys.""",
    reported=("ekzhang/jax-js 180", "onnx/onnx 7274"),
    wrong=SelfAttention(share=Pair(tile_heads, sum_tiled_heads), n_kv_heads=2),
    right=SelfAttention(n_kv_heads=2),
    blind=(GRADIENT, LATER, EARLY, APPEND, ORDER, SCORES, ONE_HEAD),
    caught=(PARITY,),
    wrong_code=(tile_heads, sum_tiled_heads),
    right_code=(repeat_heads, sum_heads),
)


def softmax_then_mask(scores, allowed):
    weights, saved = softmax(scores)
    return np.where(allowed, weights, 0), (saved, allowed)


def softmax_then_mask_backward(dweights, saved):
    saved, allowed = saved
    return softmax_backward(np.where(allowed, dweights, 0), saved)


ROOM.exhibit(
    "The mask after the softmax",
    """The zeros stand where they should. But the denominator has seen the future: how much is left for the past tells
    what comes. Dividing by the sum once more repairs the mathematics and not the arithmetic: where a masked score leads
    by far, what is left underflows, and 0/0 comes out.""",
    reported=("huggingface/pytorch-image-models 2236", "abisee/pointer-generator 88"),
    wrong=SelfAttention(weigh=Pair(softmax_then_mask, softmax_then_mask_backward)),
    right=SelfAttention(),
    blind=(GRADIENT, EARLY, ORDER, SCORES),
    caught=(LATER, APPEND, ONE_HEAD, PARITY),
    wrong_code=(softmax_then_mask, softmax_then_mask_backward),
    right_code=(mask_then_softmax,),
)


def mask_inverted(scores, allowed):
    return softmax(np.where(allowed, -np.inf, scores))


ROOM.exhibit(
    "The mask inverted",
    """True keeps in one library and drops in the next, at times within one library. A causal mask turned round lets
    every position see what follows and nothing else: the training loss is splendid and the model useless. The last row
    may attend to nothing; where an all-masked row is not cared for, it is NaN, and that is the lucky case.""",
    reported=("rasbt/LLMs-from-scratch 1061", "lsdefine/attention-is-all-you-need-keras 6"),
    wrong=SelfAttention(weigh=Pair(mask_inverted, softmax_backward)),
    right=SelfAttention(),
    blind=(GRADIENT, ORDER, SCORES),
    caught=(LATER, EARLY, APPEND, ONE_HEAD, PARITY),
    wrong_code=(mask_inverted,),
    right_code=(mask_then_softmax,),
)
