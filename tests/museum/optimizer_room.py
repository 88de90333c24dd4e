"""The sixth room: the optimizer, at which no gradient check ever looks."""

import numpy as np

from minitransformer.gradcheck import Draw
from minitransformer.models import GPT2
from minitransformer.ops import adamw, global_norm
from minitransformer.training.clipping import clip_by_global_norm
from minitransformer.training.optimizer import AdamW, matrices
from minitransformer.trees import leaves, tree_map

from .checks import distance
from .exhibit import Check, Room

ROOM = Room(
    "The optimizer",
    """All gradients are right, and what is done with them is not. Losses fall here, too. What sees it are the promises
    of the optimizer, each in its own words: how long a first step is, what a decay does without a gradient, what
    clipping leaves alone.""",
)

# ---------------------------------------------------------------------------------------------------- AdamW

SETTINGS = {"learning_rate": 1e-3, "beta1": 0.9, "beta2": 0.999, "eps": 1e-8, "weight_decay": 0.0}


def first_step(update, g, w=0.0, **settings):
    """How far the first step moves w, in learning rates."""
    w, g = np.full(1, w), np.full(1, g)
    moved, _, _ = update(w, g, np.zeros(1), np.zeros(1), t=1, **SETTINGS | settings)
    return abs(moved - w)[0] / SETTINGS["learning_rate"]


def steps(update, gradients, t=1, m=0.0, v=0.0, **settings):
    """Where these gradients take a weight of 0.5."""
    w, m, v = np.full(1, 0.5), np.full(1, m), np.full(1, v)
    for i, g in enumerate(gradients):
        w, m, v = update(w, np.full(1, g), m, v, t=t + i, **SETTINGS | settings)
    return w


def three_steps(update, rng):
    gradients = rng.uniform(0.5, 2, 3) * rng.choice([-1, 1], 3)
    return distance(steps(update, gradients), steps(adamw, gradients)) / SETTINGS["learning_rate"]


def late_steps(update, rng):
    late = {"gradients": rng.normal(size=3), "t": 100_000, "m": 0.1, "v": 1.0}
    return distance(steps(update, **late), steps(adamw, **late)) / SETTINGS["learning_rate"]


def bottom_of_a_parabola(update, rng):
    """|w| after 400 steps on w²/2 from a random start: it is easy to get down."""
    w, m, v = rng.normal(size=1), np.zeros(1), np.zeros(1)
    for t in range(1, 401):
        w, m, v = update(w, w, m, v, t=t, **SETTINGS | {"learning_rate": 0.02})
    return abs(w[0])


def ten_times_the_decay(update, rng):
    """What ten times the decay does to a weight that has no gradient."""
    w = 1 + rng.random()
    return first_step(update, 0.0, w, weight_decay=0.1) / first_step(update, 0.0, w, weight_decay=0.01)


FIRST = Check("first step, g = 1, in learning rates", lambda u, rng: first_step(u, 1.0), at_least=0.99, at_most=1.01)
TINY = Check("first step, g = ε, in learning rates", lambda u, rng: first_step(u, 1e-8), at_least=0.49, at_most=0.51)
THREE = Check("three steps: parity, in learning rates", three_steps, at_most=1e-5, kind="parity")
LATE = Check("steps after the 100,000th: parity, in learning rates", late_steps, at_most=1e-5, kind="parity")
PARABOLA = Check("distance from the bottom of a parabola", bottom_of_a_parabola, at_most=0.05)


def adamw_uncorrected(w, g, m, v, *, t, learning_rate, beta1, beta2, eps, weight_decay):
    m = beta1 * m + (1 - beta1) * g
    v = beta2 * v + (1 - beta2) * (g * g)
    return w - learning_rate * (weight_decay * w + m / (np.sqrt(v) + eps)), m, v


ROOM.exhibit(
    "Adam without correction",
    """Both means begin at zero and are too small at first, each at its own pace. Corrected, the first step is one
    learning rate long, whatever the gradient. Uncorrected it is several times that, or a part, as the betas have it; a
    thousand steps later there is no difference left. In the code of a famous model it was an oversight that its authors
    say a warm-up covers.""",
    reported=("google-research/bert 153",),
    wrong=adamw_uncorrected,
    right=adamw,
    blind=(LATE, PARABOLA),
    caught=(FIRST, THREE),
)


def adamw_with_step_size(w, g, m, v, *, t, learning_rate, beta1, beta2, eps, weight_decay):
    m = beta1 * m + (1 - beta1) * g
    v = beta2 * v + (1 - beta2) * (g * g)
    step_size = learning_rate * np.sqrt(1 - beta2**t) / (1 - beta1**t)
    return w - learning_rate * weight_decay * w - step_size * m / (np.sqrt(v) + eps), m, v


ROOM.exhibit(
    "An epsilon out of scale",
    """Both corrections in one factor: less work, and the paper itself suggests it. But ε now stands beside the
    uncorrected root, which at first is a small part of the corrected one, and so weighs many times as much. Where
    gradients are as small as ε, early steps nearly vanish.""",
    reported=("karpathy/nanochat 304", "pytorch/pytorch 22628"),
    wrong=adamw_with_step_size,
    right=adamw,
    blind=(FIRST, THREE, LATE, PARABOLA),
    caught=(TINY,),
)


def adamw_with_l2(w, g, m, v, *, t, learning_rate, beta1, beta2, eps, weight_decay):
    g = g + weight_decay * w
    m = beta1 * m + (1 - beta1) * g
    v = beta2 * v + (1 - beta2) * (g * g)
    m_hat = m / (1 - beta1**t)
    v_hat = v / (1 - beta2**t)
    return w - learning_rate * m_hat / (np.sqrt(v_hat) + eps), m, v


ROOM.exhibit(
    "The decay inside",
    """The decay as a part of the gradient, which for plain gradient descent is the same thing. Adam divides by the size
    of the gradient, decay and all: a weight that has no gradient shrinks by one learning rate, however small the decay,
    and one that has a large gradient hardly shrinks. That is what AdamW was written for.""",
    reported=("pytorch/pytorch 21250",),
    wrong=adamw_with_l2,
    right=adamw,
    blind=(
        FIRST,
        TINY,
        THREE,
        PARABOLA,
        Check(
            "decay without a gradient, in learning rates",
            lambda update, rng: first_step(update, 0.0, 1.0, weight_decay=0.1),
            at_least=1e-6,
        ),
    ),
    caught=(Check("ten times the decay does so many times as much", ten_times_the_decay, at_least=9.9, at_most=10.1),),
)


def one_clock(w, g, moments, t):
    moved = {}
    for name in g:
        m, v = moments.get(name, (np.zeros(1), np.zeros(1)))
        moved[name], *moments[name] = adamw(w[name], g[name], m, v, t=t, **SETTINGS)
    return moved


def a_clock_for_each(w, g, moments, t):
    moved = {}
    for name in g:
        m, v, t = moments.get(name, (np.zeros(1), np.zeros(1), 0))
        moved[name], m, v = adamw(w[name], g[name], m, v, t=t + 1, **SETTINGS)
        moments[name] = m, v, t + 1
    return moved


def strides(step, rng, name, frozen=1000, after=20):
    """How far each step moves a parameter, in learning rates; all gradients are alike, and one comes late."""
    w, moments, found = {"first": np.zeros(1), "late": np.zeros(1)}, {}, []
    gradients = {name: np.full(1, rng.uniform(0.5, 2)) for name in w}
    for t in range(1, frozen + after + 1):
        before = w[name]
        w |= step(w, {each: g for each, g in gradients.items() if each == "first" or t > frozen}, moments, t)
        found.append(abs(w[name] - before)[0] / SETTINGS["learning_rate"])
    return found[frozen:] if name == "late" else found


def long_after(step, rng):
    """How far the late one has come when it has been there for long, in strides of one learning rate"""
    return np.mean(strides(step, rng, "late", frozen=100, after=3000)[-1000:])


ROOM.exhibit(
    "One clock for all",
    """The corrections ask how many steps there have been, and the optimizer has counted them: once for all parameters.
    One that was frozen until now begins with moments of zero and corrections of a thousandth step, which correct
    nothing. It leaps, a layer on which pretraining was spent, and thawing was slow for its sake. This house had it too:
    gradients, losses and parity of whole trainings are blind to it as long as nothing thaws.""",
    reported=("deepspeedai/DeepSpeed 8471", "deepspeedai/DeepSpeed 1823"),
    wrong=one_clock,
    right=a_clock_for_each,
    blind=(
        Check(
            "longest step of a parameter that was there first, in learning rates",
            lambda step, rng: max(strides(step, rng, "first")),
            at_most=1.01,
        ),
        Check("a late one's steps, long after, in learning rates", long_after, at_least=0.99, at_most=1.01),
    ),
    caught=(
        Check(
            "first step of one that thaws in the 1,001st, in learning rates",
            lambda step, rng: strides(step, rng, "late")[0],
            at_least=0.99,
            at_most=1.01,
        ),
        Check(
            "longest step of one that thaws, in learning rates",
            lambda step, rng: max(strides(step, rng, "late")),
            at_most=1.01,
        ),
    ),
)

# --------------------------------------------------------------------------------- who decays, by name


def parameters(rng):
    return Draw(rng).perturbed(GPT2(7, 5, n_layers=1, n_heads=2, d_model=4).init(rng, np.float64))


def is_bias(path):
    return path.endswith("bias")


def is_gain(path):
    return path.endswith("weight") and "norm" in path


def is_matrix(path):
    return path.endswith("weight") and "norm" not in path


def share_that_decays(which):
    """Of the parameters of a GPT-2 whose path this is true of, the share that decays."""

    def measure(decays, rng):
        return np.mean([decays(path, w) for path, w in leaves(parameters(rng)) if which(path)])

    return measure


def gain_after_a_thousand_steps(decays, rng):
    """What is left of a gain of one whose gradient is zero."""
    p = {"norm1": {"weight": np.ones(4)}}
    optimizer = AdamW(weight_decay=0.1, decays=decays)
    for _ in range(1000):
        optimizer.step(p, tree_map(np.zeros_like, p), 0.01)
    return p["norm1"]["weight"].min()


def no_bias(path, w):
    return not any(name in path for name in ("bias", "LayerNorm.weight"))


ROOM.exhibit(
    "Decay by the wrong name",
    """Biases and gains shall not decay, and they are found by name. The list came with a model that calls its norms
    LayerNorm; here they are `norm1` and `norm2`, elsewhere `layer_norm` or `ln_f`. No name is missing, no error is
    raised, and the gains go slowly down to zero, against the loss. The number of axes is a better sign.""",
    reported=("huggingface/transformers 16908", "deepspeedai/DeepSpeedExamples 755"),
    wrong=no_bias,
    right=matrices,
    blind=(
        Check("share of the biases that decay", share_that_decays(is_bias), at_most=0),
        Check("share of the matrices that decay", share_that_decays(is_matrix), at_least=1),
    ),
    caught=(
        Check("share of the gains that decay", share_that_decays(is_gain), at_most=0),
        Check("a gain of 1 without a gradient, 1000 steps later", gain_after_a_thousand_steps, at_least=1),
    ),
)

# ------------------------------------------------------------------------------------------------- clipping

SCALE = 2.0**16


def gradient(rng, length=0.3):
    g = rng.normal(size=8)
    return {"w": length * g / np.linalg.norm(g)}


def of_scaled(length):
    """The length of what is left of a gradient of this length, which came multiplied by 2¹⁶; one is allowed."""
    return lambda step, rng: global_norm(step(tree_map(lambda leaf: leaf * SCALE, gradient(rng, length)), SCALE, 1.0))


def direction_of_scaled(step, rng):
    g = gradient(rng)
    kept = step({"w": g["w"] * SCALE}, SCALE, 1.0)["w"]
    return kept @ g["w"] / np.linalg.norm(kept) / np.linalg.norm(g["w"])


def adam_after_scaled(step, rng):
    """The longest first step that Adam makes of it, in learning rates."""
    g = gradient(rng)
    return max(first_step(adamw, one) for one in step({"w": g["w"] * SCALE}, SCALE, 1.0)["w"])


def clip_then_unscale(g, scale, max_norm):
    g, _ = clip_by_global_norm(g, max_norm)
    return tree_map(lambda leaf: leaf / scale, g)


def unscale_then_clip(g, scale, max_norm):
    g = tree_map(lambda leaf: leaf / scale, g)
    g, _ = clip_by_global_norm(g, max_norm)
    return g


ROOM.exhibit(
    "Clipped while scaled",
    """In half precision the loss is multiplied by a large number, so that small gradients survive, and the gradients
    are divided by it again. Clipped in between, every one of them is too long, and comes out shorter by that number.
    Adam divides by their size and so hides it, until they are as small as its ε; or until somebody trains with
    something else.""",
    reported=("Lightning-AI/pytorch-lightning 9694", "pytorch/examples 1196"),
    wrong=clip_then_unscale,
    right=unscale_then_clip,
    blind=(
        Check("length of a gradient of length 3, clipped to 1", of_scaled(3.0), at_most=1 + 1e-9),
        Check("cosine with the gradient", direction_of_scaled, at_least=1 - 1e-9),
        Check("longest first step of Adam, in learning rates", adam_after_scaled, at_least=0.9),
    ),
    caught=(Check("length of a gradient of length 0.3, clipped to 1", of_scaled(0.3), at_least=0.3 - 1e-9),),
)


def pieces(rng, n):
    return [gradient(rng, length) for length in rng.uniform(1, 3, n)]


def add(a, b):
    return tree_map(np.add, a, b)


def cosine_with_the_sum(accumulate, rng):
    found = pieces(rng, 3)
    g, whole = accumulate(found, 1.0)["w"], sum(piece["w"] for piece in found)
    return g @ whole / np.linalg.norm(g) / np.linalg.norm(whole)


def one_piece(accumulate, rng):
    (g,) = pieces(rng, 1)
    return distance(accumulate([g], 1.0)["w"], clip_by_global_norm(g, 1.0)[0]["w"])


def clip_every_piece(pieces, max_norm):
    total = tree_map(np.zeros_like, pieces[0])
    for g in pieces:
        total, _ = clip_by_global_norm(add(total, g), max_norm)
    return total


def clip_the_sum(pieces, max_norm):
    total = tree_map(np.zeros_like, pieces[0])
    for g in pieces:
        total = add(total, g)
    total, _ = clip_by_global_norm(total, max_norm)
    return total


ROOM.exhibit(
    "Clipped piece by piece",
    """The line that clips stands in the loop over the pieces of a batch, a level too deep. What has been gathered is
    cut down again and again, and the last piece weighs most. The length is as promised; the direction is not that of
    the batch.""",
    reported=("huggingface/transformers 986", "huggingface/transformers 1563"),
    wrong=clip_every_piece,
    right=clip_the_sum,
    blind=(
        Check(
            "length, clipped to 1",
            lambda accumulate, rng: global_norm(accumulate(pieces(rng, 3), 1.0)),
            at_most=1 + 1e-9,
        ),
        Check("one piece: distance from the clipped gradient", one_piece, at_most=1e-12),
    ),
    caught=(Check("cosine with the gradient of the batch", cosine_with_the_sum, at_least=1 - 1e-9),),
)
