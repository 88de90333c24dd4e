"""The third room: forwards that agree with themselves, and not with their definition."""

import numpy as np

from minitransformer.gradcheck import Draw
from minitransformer.gradcheck.cases import case
from minitransformer.ops import dropout, dropout_backward, layer_norm, layer_norm_backward
from minitransformer.ops.dropout import draw_kept, keep
from minitransformer.ops.positions import sinusoid_table

from .checks import distance, gradient_check, later_must_not_matter, parity
from .exhibit import Check, Pair, Room

ROOM = Room(
    "Definitions that agree with themselves",
    """Each of these has a backward that is right for its forward, and the forward is another function than it says.
    What sees it is a property of the definition: what the statistics must be, what must not matter, and what must come
    out in a case that can be worked out by hand.""",
)

# ----------------------------------------------------------------------------------------------- layer norm


def norm_inputs(subject, rng):
    return Draw(rng).norm(8), rng.normal(size=(2, 3, 8))


def normalised(thing, p, x, **static):
    return thing(p, x, **static)[0]


def plain(x, thing, **static):
    """Normalised with γ = 1 and β = 0."""
    D = x.shape[-1]
    return normalised(thing, {"weight": np.ones(D), "bias": np.zeros(D)}, x, **static)


def shifted_and_scaled(thing, rng):
    x = rng.normal(size=(2, 3, 8))
    return distance(plain(3 * x + 5, thing, eps=0.0), plain(x, thing, eps=0.0))


def mean_square(thing, rng):
    return np.mean(plain(rng.normal(size=(2, 3, 8)), thing, eps=0.0) ** 2)


def gradient_of_a_constant_row(thing, rng):
    p, x = norm_inputs(thing, rng)
    x[0, 0] = 1.0
    y, saved = thing(p, x)
    dx, _ = thing.backward(rng.normal(size=y.shape), saved)
    return np.max(np.abs(dx))


def ordinary_rows(rng):
    return norm_inputs(None, rng)


def small_rows(rng):
    return Draw(rng).norm(8), 1e-5 * rng.normal(size=(2, 3, 8))


def reference(p, x):
    return layer_norm(p, x)[0]


GRADIENT = gradient_check("gradient check", lambda thing, rng: case(thing, **dict(zip("px", norm_inputs(thing, rng)))))
INVARIANT = Check("3 x + 5 instead of x: y stays", shifted_and_scaled, at_most=1e-9)
UNIT = Check("mean of y² where γ = 1", mean_square, at_least=1 - 1e-9, at_most=1 + 1e-9)
LEAK = later_must_not_matter(normalised, norm_inputs)
PARITY = parity("parity", normalised, reference, ordinary_rows)
RIGHT_NORM = Pair(layer_norm, layer_norm_backward)


def norm_of_a_sample(p, x, *, eps=1e-5):
    centred = x - x.mean(-1, keepdims=True)
    rstd = 1 / np.sqrt(x.var(-1, ddof=1, keepdims=True) + eps)
    xhat = centred * rstd
    return p["weight"] * xhat + p["bias"], (xhat, rstd, p["weight"])


def norm_of_a_sample_backward(dy, saved):
    xhat, rstd, weight = saved
    rows = tuple(range(dy.ndim - 1))
    g = {"weight": (dy * xhat).sum(rows), "bias": dy.sum(rows)}
    dxhat = dy * weight
    through_variance = xhat * (dxhat * xhat).sum(-1, keepdims=True) / (dy.shape[-1] - 1)
    return rstd * (dxhat - dxhat.mean(-1, keepdims=True) - through_variance), g


ROOM.exhibit(
    "A layer norm of a sample",
    """The variance divided by D - 1, which a library's `std` does unasked. It is a fine estimate of something else. At
    the width of a real model it is hardly to be measured, and at the width of a test it is: the mean square of the
    output must be one.""",
    reported=("harvardnlp/annotated-transformer 119", "codertimo/BERT-pytorch 30"),
    wrong=Pair(norm_of_a_sample, norm_of_a_sample_backward),
    right=RIGHT_NORM,
    blind=(GRADIENT, INVARIANT, LEAK),
    caught=(UNIT, PARITY),
)


def norm_by_deviation(p, x, *, eps=1e-5):
    centred = x - x.mean(-1, keepdims=True)
    std = np.sqrt((centred * centred).mean(-1, keepdims=True))
    xhat = centred / (std + eps)
    return p["weight"] * xhat + p["bias"], (centred, std, eps, p["weight"])


def norm_by_deviation_backward(dy, saved):
    centred, std, eps, weight = saved
    rows, rstd = tuple(range(dy.ndim - 1)), 1 / (std + eps)
    g = {"weight": (dy * centred * rstd).sum(rows), "bias": dy.sum(rows)}
    dxhat = dy * weight
    through_std = centred * rstd / std * (dxhat * centred).mean(-1, keepdims=True)
    return rstd * (dxhat - dxhat.mean(-1, keepdims=True) - through_std), g


ROOM.exhibit(
    "Epsilon beside the root",
    """σ + ε instead of √(σ² + ε). On rows of ordinary size nobody can tell. On a row whose deviation is as small as ε
    the output is two orders of magnitude too large, and on a constant row (padding, say) the derivative of the root is
    infinite: 0 · ∞. Of the first two repairs proposed in one thread, one was √(σ + ε).""",
    reported=("codertimo/BERT-pytorch 30", "hyunwoongko/transformer 7"),
    wrong=Pair(norm_by_deviation, norm_by_deviation_backward),
    right=RIGHT_NORM,
    blind=(
        GRADIENT,
        UNIT,
        LEAK,
        parity("parity to 1e-3, ordinary rows", normalised, reference, ordinary_rows, at_most=1e-3),
    ),
    caught=(
        parity("parity to 1e-3, rows as small as ε", normalised, reference, small_rows, at_most=1e-3),
        Check("largest gradient of a constant row among others", gradient_of_a_constant_row, at_most=1e6),
    ),
)


def norm_over_the_text(p, x, *, eps=1e-5):
    centred = x - x.mean((-2, -1), keepdims=True)
    rstd = 1 / np.sqrt((centred * centred).mean((-2, -1), keepdims=True) + eps)
    xhat = centred * rstd
    return p["weight"] * xhat + p["bias"], (xhat, rstd, p["weight"])


def norm_over_the_text_backward(dy, saved):
    xhat, rstd, weight = saved
    rows = tuple(range(dy.ndim - 1))
    g = {"weight": (dy * xhat).sum(rows), "bias": dy.sum(rows)}
    dxhat = dy * weight
    through_variance = xhat * (dxhat * xhat).mean((-2, -1), keepdims=True)
    return rstd * (dxhat - dxhat.mean((-2, -1), keepdims=True) - through_variance), g


ROOM.exhibit(
    "A layer norm over the text",
    """Everything but the batch is normalised, as one does with pictures. The statistics then know the whole text, and
    through them each position hears of those that follow. The attention below may be as causal as it likes.""",
    reported=("Qualcomm-AI-research/geometric-algebra-transformer 8", "patrick-kidger/equinox 471"),
    wrong=Pair(norm_over_the_text, norm_over_the_text_backward),
    right=RIGHT_NORM,
    blind=(GRADIENT, INVARIANT, UNIT),
    caught=(LEAK, PARITY),
)

# ------------------------------------------------------------------------------------------------ positions

POSITIONS = np.arange(60)


def table_of(thing, positions=POSITIONS):
    return thing(positions, 16, np.float64)


def largest_entry(thing, rng):
    return np.max(np.abs(table_of(thing)))


def nearest_rows(thing, rng):
    """The distance of the two positions that are most alike."""
    table = table_of(thing)
    apart = np.linalg.norm(table[:, None] - table, axis=-1)
    return apart[apart > 0].min() if np.count_nonzero(apart) == len(table) * (len(table) - 1) else 0.0


def product_five_apart(thing, rng):
    """How much P[t] · P[t + 5] varies with t."""
    table = table_of(thing)
    return np.ptp((table[:-5] * table[5:]).sum(-1))


def sinusoids_each_its_own(positions, d_model, dtype):
    column = np.arange(d_model)
    frequency = 10000.0 ** (-2.0 * column / d_model)
    angle = positions[..., None] * frequency
    return np.where(column % 2, np.cos(angle), np.sin(angle)).astype(dtype)


ROOM.exhibit(
    "The exponent of the waves",
    """The paper writes 2i / d for the columns 2i and 2i + 1, so i counts pairs. Code counts columns, and puts its
    column for i: now no two columns turn at one frequency, and most do not turn at all. The values look as they should,
    all positions differ, and models train. But a sine and a cosine of one frequency were the point: only with both is
    the product of two positions a matter of their distance alone. (Sines first and cosines after them, which is
    reported as often, is only another order of columns.)""",
    reported=("jadore801120/attention-is-all-you-need-pytorch 32", "SamLynnEvans/Transformer 25"),
    wrong=sinusoids_each_its_own,
    right=sinusoid_table,
    blind=(
        Check("largest entry", largest_entry, at_most=1),
        Check("distance of the two positions most alike", nearest_rows, at_least=0.01),
    ),
    caught=(
        Check("spread of P[t] · P[t + 5] over t", product_five_apart, at_most=1e-9),
        parity("parity", table_of, lambda positions: table_of(sinusoid_table, positions), lambda rng: (POSITIONS,)),
    ),
)

# -------------------------------------------------------------------------------------------------- dropout


def mean_of_draws(thing, rng):
    """How far the mean over many draws is from x, in deviations of that mean."""
    n, rate = 4000, 0.25
    y, _ = thing(np.ones(n), rate=rate, key=Draw(rng).key())
    return abs(y.mean() - 1) / np.sqrt(rate / (1 - rate) / n)


def evaluated_twice(thing, rng):
    x = rng.normal(size=(4, 5))
    return distance(thing(x, rate=0.4)[0], thing(x, rate=0.4)[0])


def evaluated(thing, rng):
    x = rng.normal(size=(4, 5))
    return distance(thing(x, rate=0.4)[0], x)


DROPOUT = gradient_check(
    "gradient check at rate 0.4",
    lambda thing, rng: case(thing, x=rng.normal(size=(3, 5)), static={"rate": 0.4, "key": Draw(rng).key()}),
)
MEAN = Check("mean of many draws, off x by so many deviations", mean_of_draws, at_most=6)
EVALUATED = Check("distance of y from x in evaluation", evaluated, at_most=0)


def dropout_that_never_rests(x, *, rate, key=None):
    key = key or np.random.SeedSequence(0)
    kept = draw_kept(x.shape, rate, key)
    return keep(x, kept, rate), (kept, rate)


def keep_backward(dy, saved):
    kept, rate = saved
    return keep(dy, kept, rate)


ROOM.exhibit(
    "Dropout that never rests",
    """Somebody forgot to say that this is evaluation, and a default takes care of the missing key. It is a fixed one,
    so that evaluating twice gives the same, which is the test that would have found it. In the reported case a function
    was called that, unlike the layer around it, does not know whether the model is training.""",
    reported=("karpathy/nanoGPT 240", "huggingface/pytorch-image-models 1978"),
    wrong=Pair(dropout_that_never_rests, keep_backward),
    right=Pair(dropout, dropout_backward),
    blind=(DROPOUT, MEAN, Check("evaluated twice: distance", evaluated_twice, at_most=0)),
    caught=(EVALUATED,),
    wrong_code=(dropout_that_never_rests,),
    right_code=(draw_kept, keep, dropout),
)
