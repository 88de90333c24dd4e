"""The second room: wrong backwards, and the gradient checks that are blind to them."""

import numpy as np

from minitransformer.blocks import multi_head_attention, pre_norm_layer, recompute
from minitransformer.convention import fold
from minitransformer.gradcheck import Draw, check, differences, worst
from minitransformer.gradcheck.cases import case
from minitransformer.gradcheck.check import Run, compare, judge
from minitransformer.ops import (
    dropout,
    dropout_backward,
    embedding,
    embedding_backward,
    gelu,
    gelu_backward,
    gelu_tanh,
    gelu_tanh_backward,
    layer_norm,
    layer_norm_backward,
    linear,
    linear_backward,
    softmax,
    softmax_backward,
)
from minitransformer.ops.dropout import draw_kept, keep
from minitransformer.training.optimizer import AdamW
from minitransformer.trees import leaves

from .checks import along, distance, gradient_check, parity, popular_gradient_check
from .exhibit import Check, Pair, Room

ROOM = Room(
    "Blind gradient checks",
    """Here the backwards are wrong, and gradient checks pass them all the same: by the loss they take, the inputs they
    choose, the leaves they look at, or the error they allow. A random upstream gradient on an ordinary case is all that
    most of these need. (They stand in no registry, and so find what the forward kept in `saved.values`.)""",
)


def value(thing, *args, **static):
    """y, without what was saved."""
    return thing(*args, **static)[0]


# --------------------------------------------------------------------------------------------- layer norm


def norm_case(*shape, plain=False):
    """A layer norm of this shape; plain: γ is one and β zero, as after initialisation."""

    def make(thing, rng):
        D = shape[-1]
        plain_p = {"weight": np.ones(D), "bias": np.zeros(D)}
        return case(thing, p=plain_p if plain else Draw(rng).norm(D), x=rng.normal(size=shape))

    return make


PLAIN, RANDOM = norm_case(2, 3, 8, plain=True), norm_case(2, 3, 8)
SUM = popular_gradient_check("gradient check, loss Σ y, γ = 1", PLAIN, lambda y: y, np.ones_like)
SQUARES = popular_gradient_check("gradient check, loss Σ y², γ = 1", PLAIN, np.square, lambda y: 2 * y)
SQUARES_GAMMA = popular_gradient_check("gradient check, loss Σ y², random γ", RANDOM, np.square, lambda y: 2 * y)
NORM = gradient_check("gradient check, random dy, γ = 1", PLAIN)


def norm_backward_without_variance(dy, saved):
    xhat, rstd, weight = saved.values
    rows = tuple(range(dy.ndim - 1))
    g = {"weight": (dy * xhat).sum(rows), "bias": dy.sum(rows)}
    dxhat = dy * weight
    return rstd * (dxhat - dxhat.mean(-1, keepdims=True)), g


ROOM.exhibit(
    "A layer norm that forgets its variance",
    """The backward goes through the mean and not through the variance. The loss that everybody writes first is the sum
    of the outputs; its dy is all ones, and mean(dx̂ x̂) is then the mean of x̂, which is zero: the missing term would
    have contributed nothing. The sum of squares sees it.""",
    reported=("pytorch/pytorch 63541", "torch/nn 744", "HomericIntelligence/Odyssey 3808"),
    wrong=Pair(layer_norm, norm_backward_without_variance),
    right=Pair(layer_norm, layer_norm_backward),
    blind=(SUM,),
    caught=(SQUARES, SQUARES_GAMMA, NORM),
    wrong_code=(norm_backward_without_variance,),
    right_code=(layer_norm_backward,),
)


def norm_backward_without_mean(dy, saved):
    xhat, rstd, weight = saved.values
    rows = tuple(range(dy.ndim - 1))
    g = {"weight": (dy * xhat).sum(rows), "bias": dy.sum(rows)}
    dxhat = dy * weight
    return rstd * (dxhat - xhat * (dxhat * xhat).mean(-1, keepdims=True)), g


ROOM.exhibit(
    "A layer norm that forgets its mean",
    """The other term, and the other blind loss. With the sum of squares dy is 2 x̂ where γ is one, its mean is zero,
    and what was forgotten would have been nothing. Each of the two popular losses is blind to one of the two terms; a γ
    that is not one ends it, and so does a random dy.""",
    reported=("HomericIntelligence/Odyssey 3666",),
    wrong=Pair(layer_norm, norm_backward_without_mean),
    right=Pair(layer_norm, layer_norm_backward),
    blind=(SQUARES,),
    caught=(SUM, SQUARES_GAMMA, NORM),
    wrong_code=(norm_backward_without_mean,),
    right_code=(layer_norm_backward,),
)


def norm_backward_of_matrices(dy, saved):
    xhat, rstd, weight = saved.values
    rows = tuple(range(dy.ndim - 1))
    g = {"weight": (dy * xhat).sum(rows), "bias": dy.sum(rows)}
    width = dy.size // len(dy)
    dxhat = dy * weight
    through_mean = dxhat.sum(-1, keepdims=True) / width
    through_variance = xhat * (dxhat * xhat).sum(-1, keepdims=True) / width
    return rstd * (dxhat - through_mean - through_variance), g


ROOM.exhibit(
    "A layer norm for matrices",
    """How long is a row? As long as everything divided by the number of rows, and that is the first axis: of a matrix.
    Tests have matrices. Between an embedding and a head there is one axis more, and every mean is too small by the
    length of the text. In the reported case the kernel wrote outside its memory besides.""",
    reported=("flagos-ai/FlagGems 5392",),
    wrong=Pair(layer_norm, norm_backward_of_matrices),
    right=Pair(layer_norm, layer_norm_backward),
    blind=(gradient_check("gradient check of a matrix", norm_case(4, 8)),),
    caught=(gradient_check("gradient check at rank three", norm_case(2, 3, 8)),),
    wrong_code=(norm_backward_of_matrices,),
    right_code=(layer_norm_backward,),
)

# ------------------------------------------------------------------------------------------------ softmax


def softmax_case(thing, rng):
    return case(thing, x=2 * rng.normal(size=(2, 3, 5)))


def row_sum_of_output(thing, rng):
    return distance(value(thing, rng.normal(size=(3, 5))).sum(-1), 1)


def row_sum_of_gradient(thing, rng):
    run = Run(softmax_case(thing, rng), np.float64, rng)
    return np.max(np.abs(run.gradients()["x"].sum(-1)))


def softmax_backward_like_exp(dy, saved):
    (y,) = saved.values
    return y * dy


ROOM.exhibit(
    "A softmax that is only an exponential",
    """The derivative of exp is exp, and the sum below it is forgotten. Whatever looks at the forward is content. No
    differences are needed to see it: adding one number to a whole row changes nothing, so every row of the gradient
    must add up to zero. For the same reason the gradient of a key bias under attention is zero, which is a free check
    of any attention that has one.""",
    reported=("microsoft/unilm 510",),
    wrong=Pair(softmax, softmax_backward_like_exp),
    right=Pair(softmax, softmax_backward),
    blind=(
        Check("every row of y adds up to 1", row_sum_of_output, at_most=1e-12),
        parity("parity of y", value, lambda x: softmax(x)[0], lambda rng: (rng.normal(size=(3, 5)),)),
    ),
    caught=(
        Check("every row of dx adds up to 0", row_sum_of_gradient, at_most=1e-12),
        gradient_check("gradient check", softmax_case),
    ),
    wrong_code=(softmax_backward_like_exp,),
    right_code=(softmax_backward,),
)


def elementwise_relative_error(case, rng):
    run = Run(case, np.float64, rng)
    analytic, error = run.gradients(), 0.0
    for name, found in differences(run, rng).items():
        for u, numeric in found:
            got = along(analytic[name], u)
            error = max(error, abs(numeric - got) / max(abs(numeric), abs(got)))
    return error


def error_of_the_project(case, rng):
    return worst(check(case, np.float64, rng))


def linear_case(rng):
    p = {"weight": rng.normal(size=(3, 4)), "bias": rng.normal(size=3)}
    return case(linear, p=p, x=rng.normal(size=(2, 5, 4)))


def attention_case(rng):
    x = rng.normal(size=(2, 5, 6))
    p, static = Draw(rng).attention(6), {"n_heads": 2, "causal": True}
    return case(multi_head_attention, p=p, x=x, memory=x, bias=None, static=static, zero=("p.k.bias",), effort=(4, 2))


ROOM.exhibit(
    "A gradient check that cries wolf",
    """This time the check is the bug. `|a - b| / max(|a|, |b|)`, element by element, is what everybody learns; it
    accepts a right linear map and refuses a wrong layer norm. Then it meets the key bias of a right attention. Its
    gradient is zero: one side says 1e-17 and the other 1e-11, and the relative error is the largest there is. Who gets
    used to that loosens the bar, or skips the leaf. An error needs a scale: the largest gradient of the leaf, or of
    all.""",
    reported=("microsoft/unilm 510",),
    wrong=elementwise_relative_error,
    right=error_of_the_project,
    blind=(
        Check("its error at a right linear map", lambda error, rng: error(linear_case(rng), rng), at_most=1e-5),
        Check(
            "its error at a wrong layer norm",
            lambda error, rng: error(norm_case(2, 3, 8)(Pair(layer_norm, norm_backward_without_mean), rng), rng),
            at_least=1e-3,
        ),
    ),
    caught=(Check("its error at a right attention", lambda error, rng: error(attention_case(rng), rng), at_most=1e-5),),
    right_code=(compare, judge),
)

# ---------------------------------------------------------------------------------- embeddings, used twice


def ids_case(*ids):
    return lambda thing, rng: case(thing, p={"weight": rng.normal(size=(7, 4))}, ids=np.array(ids))


def share_of_contributions(thing, rng):
    ids = np.minimum(rng.zipf(1.3, 4096), 1000) - 1
    _, saved = embedding({"weight": np.zeros((1000, 1))}, ids)
    return thing.backward(np.ones((4096, 1)), saved)["weight"].sum() / 4096


def embedding_backward_by_index(dy, saved):
    ids, weight = saved.values
    dweight = np.zeros_like(weight)
    dweight[ids] += dy
    return {"weight": dweight}


ROOM.exhibit(
    "An embedding that keeps the last",
    """It reads like the formula. But `dweight[ids] += dy` reads all rows, adds, and writes all rows back: of two equal
    ids only the last one counts. Ids that are all different pass, and a test with few ids from a large vocabulary has
    no others. Text is not like that: most of its tokens are a few common ones.""",
    reported=("pytorch/pytorch 1528", "tenstorrent/tt-metal 6232"),
    wrong=Pair(embedding, embedding_backward_by_index),
    right=Pair(embedding, embedding_backward),
    blind=(gradient_check("gradient check, no id twice", ids_case(3, 0, 5)),),
    caught=(
        gradient_check("gradient check, an id twice", ids_case(3, 0, 3)),
        Check("share of the contributions kept, ids as common as words", share_of_contributions, at_least=1, at_most=1),
    ),
    wrong_code=(embedding_backward_by_index,),
    right_code=(embedding_backward,),
)


def tied(p, ids):
    h, saved_token = embedding(p, ids)
    logits, saved_head = linear(p, h)
    return logits, (saved_token, saved_head)


def tied_backward_of_one(dlogits, saved):
    saved_token, saved_head = saved
    dh, g_head = linear_backward(dlogits, saved_head)
    g_token = embedding_backward(dh, saved_token)
    return g_head | g_token


def tied_backward(dlogits, saved):
    saved_token, saved_head = saved
    dh, g_head = linear_backward(dlogits, saved_head)
    g_token = embedding_backward(dh, saved_token)
    return {"weight": g_head["weight"] + g_token["weight"]}


def tied_case(thing, rng):
    return case(thing, p={"weight": rng.normal(size=(7, 4))}, ids=np.array([[3, 0, 3]]))


ROOM.exhibit(
    "Tied weights, one gradient lost",
    """One table reads the ids and writes the logits, so two gradients arrive under one name. Joining two dicts keeps
    the later. The loss falls; the rows that are read learn from their reading alone, the others nothing at all. What
    looks at the outputs sees nothing.""",
    reported=("paiml/entrenar 314",),
    wrong=Pair(tied, tied_backward_of_one),
    right=Pair(tied, tied_backward),
    blind=(
        parity(
            "parity of the logits",
            value,
            lambda p, ids: p["weight"][ids] @ p["weight"].T,
            lambda rng: ({"weight": rng.normal(size=(7, 4))}, np.array([[3, 0, 3]])),
        ),
    ),
    caught=(gradient_check("gradient check of the table", tied_case),),
    wrong_code=(tied_backward_of_one,),
    right_code=(tied_backward,),
)


class Copied:
    def init(self, rng):
        table = rng.normal(size=(7, 4))
        return {"token": {"weight": table}, "head": {"weight": table.copy()}}

    def forward(self, p, ids):
        h, saved_token = embedding(p["token"], ids)
        logits, saved_head = linear(p["head"], h)
        return logits, (saved_token, saved_head)

    def backward(self, dlogits, saved):
        saved_token, saved_head = saved
        dh, g_head = linear_backward(dlogits, saved_head)
        return {"token": embedding_backward(dh, saved_token), "head": g_head}


class Tied:
    def init(self, rng):
        return {"token": {"weight": rng.normal(size=(7, 4))}}

    def forward(self, p, ids):
        logits, saved = tied(p["token"], ids)
        return logits, saved

    def backward(self, dlogits, saved):
        return {"token": tied_backward(dlogits, saved)}


def tables_drift(model, rng):
    p, ids = model.init(rng), np.array([[3, 0, 3]])
    logits, saved = model.forward(p, ids)
    AdamW().step(p, model.backward(rng.normal(size=logits.shape), saved), 0.1)
    tables = [table for _, table in leaves(p)]
    return max(distance(table, tables[0]) for table in tables)


ROOM.exhibit(
    "Tied weights, a copy",
    """The head starts as a copy of the embedding, which is equal and not the same. Each has a right gradient, so every
    gradient check passes. After one step of the optimizer they are two tables. Loading a checkpoint without tying again
    comes to the same.""",
    reported=("paiml/entrenar 314", "rasbt/LLMs-from-scratch 822"),
    wrong=Copied(),
    right=Tied(),
    blind=(
        gradient_check("gradient check", lambda model, rng: case(model, p=model.init(rng), ids=np.array([[3, 0, 3]]))),
    ),
    caught=(Check("the table of the input and of the output, after a step", tables_drift, at_most=0),),
    wrong_code=(Copied,),
    right_code=(Tied,),
)

# ----------------------------------------------------------------------------------------------------- GELU


def gelu_backward_by_tanh(dy, saved):
    x, _ = saved.values
    _, saved_tanh = gelu_tanh(x)
    return gelu_tanh_backward(dy, saved_tanh)


def allclose(thing, rng):
    run = Run(case(thing, x=2 * rng.normal(size=(4, 5))), np.float64, rng)
    analytic, found = run.gradients(), differences(run, rng)
    return max(abs(d - analytic["x"][u]) / (1e-3 + 1e-2 * abs(d)) for u, d in found["x"] if isinstance(u, tuple))


LOOSE = Check("gradient check to rtol 1e-2, atol 1e-3: error / allowed", allclose, at_most=1, kind="gradient check")
GELU = gradient_check("gradient check", lambda thing, rng: case(thing, x=2 * rng.normal(size=(4, 5))))

ROOM.exhibit(
    "The GELU of two minds",
    """There are two functions of this name, the exact one and its approximation by tanh, and they are close. A forward
    of the one with a backward of the other passes at the tolerances that float32 makes customary; in float64, at the
    bar that a right pair reaches easily, it does not.""",
    reported=("kyutai-labs/pocket-tts 278",),
    wrong=Pair(gelu, gelu_backward_by_tanh),
    right=Pair(gelu, gelu_backward),
    blind=(LOOSE,),
    caught=(GELU,),
    wrong_code=(gelu_backward_by_tanh,),
    right_code=(gelu_backward,),
)

ROOM.exhibit(
    "The other GELU",
    """The tanh approximation where the weights were trained with the exact function. Forward and backward belong
    together, so no gradient check has a word to say. GPT-2 has one, BERT the other, and configurations call both
    "gelu". Only parity tells.""",
    reported=("vllm-project/vllm 3411",),
    wrong=Pair(gelu_tanh, gelu_tanh_backward),
    right=Pair(gelu, gelu_backward),
    blind=(GELU,),
    caught=(parity("parity", value, lambda x: gelu(x)[0], lambda rng: (2 * rng.normal(size=(20, 5)),)),),
    wrong_code=(gelu_tanh,),
    right_code=(gelu,),
)

# -------------------------------------------------------------------------------- dropout, and running twice


def dropout_case(rate):
    def make(thing, rng):
        return case(thing, x=rng.normal(size=(3, 5)), static={"rate": rate, "key": Draw(rng).key()})

    return make


def dropout_with_two_masks(x, *, rate, key):
    kept = draw_kept(x.shape, rate, fold(key, 0))
    return keep(x, kept, rate), (rate, key)


def dropout_with_two_masks_backward(dy, saved):
    rate, key = saved
    kept = draw_kept(dy.shape, rate, fold(key, 1))
    return keep(dy, kept, rate)


ROOM.exhibit(
    "Dropout that draws again",
    """No key twice, says a good rule, and so the backward makes itself a fresh one. But it is the forward's mask that
    it needs: what was dropped must feel nothing. The two masks agree at most places, and the gradient still points
    roughly downhill. At rate zero, as in most tests, all is well.""",
    reported=("allenai/OLMo-core 828",),
    wrong=Pair(dropout_with_two_masks, dropout_with_two_masks_backward),
    right=Pair(dropout, dropout_backward),
    blind=(gradient_check("gradient check at rate 0", dropout_case(0.0)),),
    caught=(gradient_check("gradient check at rate 0.4", dropout_case(0.4)),),
)


class recompute_with_fresh_randomness:
    def __init__(self, thing):
        self.thing = thing

    def __call__(self, *args, **static):
        return self.thing(*args, **static)[0], (args, static)

    def backward(self, *dy_and_saved):
        *dy, (args, static) = dy_and_saved
        static = static | {"key": fold(static["key"], 1)}
        _, saved = self.thing(*args, **static)
        return self.thing.backward(*dy, saved)


def layer_case(rate):
    def make(thing, rng):
        draw = Draw(rng)
        static = {"n_heads": 2, "activation": gelu_tanh, "dropout_rate": rate, "key": draw.key()}
        zero = ("p.attention.k.bias",)
        return case(thing, p=draw.layer(6, 5), x=draw(2, 3, 6), static=static, zero=zero, effort=(1, 1))

    return make


def apart_from_the_layer_itself(thing, rng):
    seed = int(rng.integers(2**32))

    def gradients(layer):
        rng = np.random.default_rng(seed)
        return Run(layer_case(0.2)(layer, rng), np.float64, rng).gradients()

    without = gradients(pre_norm_layer)
    return max(distance(g, without[name]) for name, g in gradients(thing).items())


ROOM.exhibit(
    "Recomputing another forward",
    """To save memory a layer forgets what it saved, and runs again in the backward. If it draws other dropout masks
    this time, the gradient belongs to a forward that never happened. Recomputing is held to be neutral, so that nobody
    looks here: one project noticed when switching it off took the loss from 2.495 to 2.195.""",
    reported=("allenai/OLMo-core 828", "openai/guided-diffusion 167"),
    wrong=recompute_with_fresh_randomness(pre_norm_layer),
    right=recompute(pre_norm_layer),
    blind=(gradient_check("gradient check without dropout", layer_case(0.0)),),
    caught=(
        gradient_check("gradient check with dropout", layer_case(0.2)),
        Check("distance from the gradient without recomputing", apart_from_the_layer_itself, at_most=0),
    ),
    wrong_code=(recompute_with_fresh_randomness,),
    right_code=(recompute,),
)

# -------------------------------------------------------------------------------------------------- residuals


def residual_case(thing, rng):
    draw = Draw(rng)
    return case(thing, p={"first": draw.linear(4, 4), "second": draw.linear(4, 4)}, x=draw(2, 3, 4))


def residual_inputs(rng):
    return tuple(residual_case(RESIDUAL, rng).args.values())


def residual(p, x):
    saved = {}
    h, saved["first"] = linear(p["first"], x)
    x = x + h
    h, saved["second"] = linear(p["second"], x)
    x = x + h
    return x, saved


def residual_backward(dy, saved):
    g = {}
    dh, g["second"] = linear_backward(dy, saved["second"])
    dx = dy + dh
    dh, g["first"] = linear_backward(dx, saved["first"])
    return dx + dh, g


RESIDUAL = Pair(residual, residual_backward)
OUTPUT = parity("parity of y", value, lambda p, x: residual(p, x)[0], residual_inputs)


def residual_in_place(p, x):
    saved = {}
    h, saved["first"] = linear(p["first"], x)
    x = x + h
    h, saved["second"] = linear(p["second"], x)
    x += h
    return x, saved


ROOM.exhibit(
    "A residual added in place",
    """The array is the function's own, and `+=` saves one allocation. But the linear map has kept that very array to
    make the gradient of its weights from, and it now holds something else. The output is the same to the last bit, and
    so is the gradient of the input, which does not need it. A framework with a tape finds this out by counting
    versions; here the check of every leaf does.""",
    reported=("karpathy/nanoGPT 72", "vllm-project/vllm 24500"),
    wrong=Pair(residual_in_place, residual_backward),
    right=RESIDUAL,
    blind=(OUTPUT, gradient_check("gradient check of the input alone", residual_case, only="x")),
    caught=(gradient_check("gradient check of every leaf", residual_case),),
    wrong_code=(residual_in_place,),
    right_code=(residual,),
)


def residual_backward_without_skip(dy, saved):
    g = {}
    dh, g["second"] = linear_backward(dy, saved["second"])
    dh, g["first"] = linear_backward(dh, saved["first"])
    return dh, g


ROOM.exhibit(
    "A backward without the skip",
    """The forward adds what came in; the backward goes through the branches and forgets that the stream flows past them
    as well. Each branch alone is right, and has its own test that passes, and so is the last weight of the block. In
    the reported case a reviewer saw it. It is the block that must be checked.""",
    reported=("NVIDIA/Fuser 2922",),
    wrong=Pair(residual, residual_backward_without_skip),
    right=RESIDUAL,
    blind=(OUTPUT, gradient_check("gradient check of the last branch", residual_case, only="p.second")),
    caught=(gradient_check("gradient check of every leaf", residual_case),),
    wrong_code=(residual_backward_without_skip,),
    right_code=(residual_backward,),
)
