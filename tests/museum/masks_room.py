"""The fifth room: masks, and numbers too large for an exponential."""

import numpy as np

from minitransformer.gradcheck import Draw
from minitransformer.gradcheck.cases import case
from minitransformer.ops import attention, gru, gru_backward, softmax, softmax_backward
from minitransformer.ops.attention import may_attend
from minitransformer.ops.softmax import stable_softmax

from .checks import distance, gradient_check, parity
from .exhibit import Check, Pair, Room

ROOM = Room(
    "Masks and infinities",
    """With square shapes, scores of moderate size and at least one key for every query, everything in this room is
    right. Nobody's data stays there.""",
)

# ------------------------------------------------------------------------------------------- the causal corner


def queries_and_keys(T, S):
    def draw(rng):
        return rng.normal(size=(1, 2, T, 4)), *rng.normal(size=(2, 1, 2, S, 4))

    return draw


def attended(corner, q, k, v):
    """Attention with the causal mask that this function makes."""
    return attention(q, k, v, mask=corner(q, k.shape[2], None, True)[None, None])


def corner_case(corner, rng):
    def forward(q, k, v):
        return attended(corner, q, k, v)

    pair = Pair(forward, lambda dy, saved: attention.backward(dy, saved)[:3])
    return case(pair, **dict(zip("qkv", queries_and_keys(3, 9)(rng))))


def step_like_whole(corner, rng):
    """The last three queries of nine, computed alone, against the whole."""
    q, k, v = queries_and_keys(9, 9)(rng)
    return distance(attended(corner, q[:, :, -3:], k, v)[0], attention(q, k, v, causal=True)[0][:, :, -3:])


def least_heard_key(corner, rng):
    """How much the last of three queries hears of the key that it hears least, of nine."""
    q, k, v = queries_and_keys(3, 9)(rng)
    _, saved = attended(corner, q, k, v)
    dy = np.zeros_like(q)
    dy[:, :, -1] = rng.normal(size=dy[:, :, -1].shape)
    dv = attention.backward(dy, saved)[2]
    return np.abs(dv).sum((0, 1, 3)).min()


def corner_at_top_left(q, S, mask, causal):
    if not causal:
        return mask
    lower = np.tri(q.shape[2], S, dtype=bool)
    return lower if mask is None else lower & mask


ROOM.exhibit(
    "The causal corner",
    """Query t may see keys 0 to t. That is the mask of a whole text, where there are as many queries as keys, and it is
    what a well-known function does with any other shape as well. In decoding the newest query is the *last* row: with
    one query and a cache full of keys, this mask leaves it the first of them. What it ignores, it ignores in both
    passes.""",
    reported=("pytorch/pytorch 103082", "NVIDIA/cutlass 2336", "pytorch/executorch 21749"),
    wrong=corner_at_top_left,
    right=may_attend,
    blind=(
        parity(
            "parity, as many queries as keys",
            lambda corner, *qkv: attended(corner, *qkv)[0],
            lambda *qkv: attention(*qkv, causal=True)[0],
            queries_and_keys(5, 5),
        ),
        gradient_check("gradient check, 3 queries and 9 keys", corner_case),
    ),
    caught=(
        Check("the last 3 of 9 queries alone, against the whole", step_like_whole, at_most=1e-12),
        Check("what the last query hears of the key it hears least", least_heard_key, at_least=1e-6),
    ),
)

# ------------------------------------------------------------------------------------------ masked softmax


def masked(rng):
    """Scores, and what may be attended to: at least one key in every row."""
    allowed = rng.random((6, 5)) < 0.5
    allowed[:, 0] = True
    return 2 * rng.normal(size=(6, 5)), allowed


def masked_case(thing, rng):
    scores, allowed = masked(rng)

    def forward(scores):
        weights = thing(scores, allowed)
        return weights, weights

    def backward(dweights, weights):
        return weights * (dweights - (dweights * weights).sum(-1, keepdims=True))

    return case(Pair(forward, backward), scores=scores)


def row_without_a_key(thing, rng):
    scores, allowed = masked(rng)
    allowed[2] = False
    return thing(scores, allowed)[2]


def on_masked_keys(thing, rng):
    """The largest weight of a masked key, among scores around -12000."""
    scores, allowed = masked(rng)
    allowed[:, 1] = False
    return np.max(np.where(allowed, 0, thing(scores - 12000, allowed)))


def masked_softmax(scores, allowed):
    return stable_softmax(np.where(allowed, scores, -np.inf))


MASKED_GRADIENT = gradient_check("gradient check", masked_case)
MASKED_PARITY = parity("parity, a key in every row", lambda thing, *args: thing(*args), masked_softmax, masked)
NO_NAN = Check("NaNs in a row without a key", lambda t, rng: np.isnan(row_without_a_key(t, rng)).sum(), at_most=0)
ZEROS = Check("largest weight in a row without a key", lambda t, rng: np.max(row_without_a_key(t, rng)), at_most=0)
ZERO_TIMES = Check("0 times a row without a key", lambda t, rng: np.sum(0 * row_without_a_key(t, rng)), at_most=0)
LOW_SCORES = Check("largest weight of a masked key, scores near -12000", on_masked_keys, at_most=0)
MASKED = {"right": masked_softmax, "right_code": (masked_softmax, stable_softmax)}


def softmax_of_infinities(scores, allowed):
    scores = np.where(allowed, scores, -np.inf)
    weights = np.exp(scores - scores.max(-1, keepdims=True))
    return weights / weights.sum(-1, keepdims=True)


ROOM.exhibit(
    "A row without a key",
    """A query of padding, a first position that may not see itself: a row may have nothing to attend to. Then the
    maximum is -∞, -∞ less -∞ is NaN, and NaN it stays: the loss does ignore that row, but ignoring is multiplying with
    zero, and the gradient of every weight is NaN. One project had a test for it, which called another function.""",
    reported=("allenai/allennlp 890", "pytorch/pytorch 131060", "tracel-ai/burn 4694"),
    wrong=softmax_of_infinities,
    blind=(MASKED_GRADIENT, MASKED_PARITY, LOW_SCORES),
    caught=(NO_NAN, ZEROS, ZERO_TIMES),
    **MASKED,
)


def softmax_less_a_billion(scores, allowed):
    return stable_softmax(scores + np.where(allowed, 0, -1e9))


ROOM.exhibit(
    "A billion less",
    """No infinities, no NaN: a large number is taken off where the mask says so. In a row without a key it is taken off
    everywhere, and a softmax does not feel what is taken off everywhere. Out comes a weighted mean of padding. It is
    finite, so nothing stops; it hangs on what the padding holds, so the same text gives other numbers in another
    batch.""",
    reported=("keras-team/keras 21149",),
    wrong=softmax_less_a_billion,
    blind=(MASKED_GRADIENT, MASKED_PARITY, NO_NAN, ZERO_TIMES, LOW_SCORES),
    caught=(ZEROS,),
    **MASKED,
)


def softmax_with_small_infinity(scores, allowed):
    return stable_softmax(np.where(allowed, scores, -1e4))


ROOM.exhibit(
    "A small infinity",
    """-10000 fits into half precision, where a billion does not, and exp(-10000) is zero. But a softmax knows no zero
    point: what counts is the distance to the others. Where the live scores lie lower than the mask, the masked key
    takes all. A leak from the future in one model was put down to this.""",
    reported=("huggingface/transformers 10484",),
    wrong=softmax_with_small_infinity,
    blind=(MASKED_GRADIENT, MASKED_PARITY, NO_NAN),
    caught=(LOW_SCORES, ZEROS),
    **MASKED,
)

# ------------------------------------------------------------------------------------- the softmax's own shift


def softmax_at(offset):
    """How far the softmax of logits around this number is from that of the same logits around zero."""

    def measure(thing, rng):
        x = rng.normal(size=(3, 5))
        return distance(thing(x + offset)[0], softmax(x)[0])

    return Check(f"parity, logits near {offset}", measure, at_most=1e-9, kind="parity")


def y_backward(dy, y):
    return y * (dy - (dy * y).sum(-1, keepdims=True))


SOFTMAX_GRADIENT = gradient_check("gradient check", lambda thing, rng: case(thing, x=2 * rng.normal(size=(3, 5))))
NEAR_0, NEAR_1000, NEAR_MINUS_800 = map(softmax_at, (0, 1000, -800))
SOFTMAX = {"right": Pair(softmax, softmax_backward), "right_code": (softmax, stable_softmax)}


def softmax_without_shift(x):
    y = np.exp(x) / np.exp(x).sum(-1, keepdims=True)
    return y, y


ROOM.exhibit(
    "A softmax as it is written",
    """exp(x) / Σ exp(x), as every text has it. From a logit of about 710 on, float64 has no number for exp; float32
    from 89, float16 from 12 on. Infinity by infinity is NaN. Tests have logits around zero, and so has a model, at the
    start.""",
    reported=("uTensor/uTensor 175", "deeplearning4j/deeplearning4j 6039"),
    wrong=Pair(softmax_without_shift, y_backward),
    blind=(SOFTMAX_GRADIENT, NEAR_0),
    caught=(NEAR_1000, NEAR_MINUS_800),
    wrong_code=(softmax_without_shift,),
    **SOFTMAX,
)


def softmax_shifted_down_only(x):
    top = np.maximum(x.max(-1, keepdims=True), 0)
    y = np.exp(x - top)
    y /= y.sum(-1, keepdims=True)
    return y, y


ROOM.exhibit(
    "A maximum that begins at zero",
    """The repair of the last one: look for the maximum, and begin with zero, since it is only large numbers that
    overflow. That is so. But where all logits are far below zero nothing is shifted, every exp is 0, and 0/0 is NaN.
    The test that came with the repair has large logits.""",
    reported=("uTensor/uTensor 176",),
    wrong=Pair(softmax_shifted_down_only, y_backward),
    blind=(SOFTMAX_GRADIENT, NEAR_0, NEAR_1000),
    caught=(NEAR_MINUS_800,),
    wrong_code=(softmax_shifted_down_only,),
    **SOFTMAX,
)


# ------------------------------------------------------------------------------ what a recurrent network says last


def padded_rows(rng, lengths=(5, 2, 3)):
    """Parameters of a GRU, three rows, and where their tokens are: the rest is padding."""
    draw = Draw(rng)
    return draw.cell(3, 4, 6), draw(3, 5, 4), np.arange(5) < np.array(lengths)[:, None]


def last_case(thing, rng):
    p, x, mask = padded_rows(rng)
    return case(thing, p=p, x=x, static={"mask": mask})


def off_each_alone(lengths):
    """How far the summaries of a batch are from the last states of its rows, each read alone and without padding."""

    def measure(thing, rng):
        p, x, mask = padded_rows(rng, lengths)
        alone = [gru(p, row[there][None])[0][1][0] for row, there in zip(x, mask, strict=True)]
        return distance(thing(p, x, mask=mask)[0], alone)

    return measure


LAST_GRADIENT = gradient_check("gradient check, rows of unequal length", last_case)
EQUAL_LENGTHS = Check("rows of equal length: off each row alone", off_each_alone((5, 5, 5)), at_most=1e-12)
UNEQUAL_LENGTHS = Check("rows of unequal length: off each row alone", off_each_alone((5, 2, 3)), at_most=1e-12)


def last_place(p, x, *, mask):
    (y, _), saved = gru(p, x)
    return y[:, -1], (y.shape, saved)


def last_place_backward(dsummary, saved):
    shape, saved = saved
    dy = np.zeros(shape, dsummary.dtype)
    dy[:, -1] = dsummary
    dx, _, g = gru_backward(dy, None, saved)
    return dx, g


def last_state(p, x, *, mask):
    (_, h), saved = gru(p, x, mask=mask)
    return h, saved


def last_state_backward(dsummary, saved):
    dx, _, g = gru_backward(None, dsummary, saved)
    return dx, g


ROOM.exhibit(
    "The last place of a padded row",
    """A recurrent network's last output sums the text up, and the last output is at index -1. In a batch the shorter
    texts end earlier, and what stands there is what the network made of their padding, read like any other token. It
    learns to live with that as long as the padding is the same; beside longer texts, the same text is another one.""",
    reported=("bentrevett/pytorch-sentiment-analysis 86",),
    wrong=Pair(last_place, last_place_backward),
    right=Pair(last_state, last_state_backward),
    blind=(LAST_GRADIENT, EQUAL_LENGTHS),
    caught=(UNEQUAL_LENGTHS,),
)
