"""What the parity tests call: the cases of the gradient check, and beside them those that PyTorch's own modules can do.

Most cases of the gradient check draw dropout, or mask a query whole; neither is for the modules of torch.nn.
"""

import numpy as np

from minitransformer import gradcheck, ops
from minitransformer.blocks import (
    bidirectional,
    feed_forward,
    highway,
    multi_head_attention,
    post_norm_decoder_layer,
    post_norm_layer,
    pre_norm_decoder_layer,
    pre_norm_layer,
    recompute,
    recurrence,
    stack,
)
from minitransformer.gradcheck.cases import KEY_BIAS, Case, case
from minitransformer.models import (
    AWDLSTM,
    BERT,
    GPT2,
    BahdanauSeq2Seq,
    DistilBERT,
    ELMo,
    LLaMA,
    LuongSeq2Seq,
    MaskedLanguageModel,
    PreNormTransformer,
    PreTraining,
    RoBERTa,
    SentenceEncoder,
    Seq2Seq,
    SpanFinder,
    TextClassifier,
    TokenClassifier,
    Transformer,
    ULMFiT,
)
from minitransformer.training.losses import (
    fused_next_token_loss,
    label_loss,
    masked_token_loss,
    next_token_loss,
    pretraining_loss,
    translation_loss,
)

GATES, STATES = {"rnn": 1, "gru": 3, "lstm": 4}, {"rnn": "h", "gru": "h", "lstm": "hc"}
MORE = {}  # name of a thing -> function of a Draw that yields cases


def more_of(*things):
    def decorate(function):
        for thing in things:
            MORE[thing.__name__] = lambda draw, thing=thing: function(draw, thing)
        return function

    return decorate


def draw_cases(name, draw):
    """[Case, ...] of the thing of this name."""
    drawn = gradcheck.draw_cases(name, draw) if name in gradcheck.CASES else []
    return drawn + list(MORE[name](draw) if name in MORE else [])


def no_row_alone(mask):
    """The mask with the first key open to every query."""
    mask[..., 0] = True
    return mask


def row_far_off(draw, *shape):
    """Normal numbers, the first row a thousand times as large."""
    x = draw(*shape)
    x[0] *= 1000
    return x


def in_layers(draw, cell, widths, H, both=False):
    """Parameters of a recurrence whose layers read rows of these widths."""
    ways = ("forward", "backward")
    cells = [[draw.cell(GATES[cell.name], width, H) for _ in range(1 + both)] for width in widths]
    return [dict(zip(ways, pair)) if both else pair[0] for pair in cells]


# ------------------------------------------------------------------------------------------------------ operations


@more_of(ops.linear)
def _(draw, linear):
    D, E = draw.sizes(2, least=2)
    yield case(linear, p=draw.linear(E, D), x=draw(1, D))
    yield case(linear, p=draw.linear(1, 1), x=draw(3, 2, 4, 1))


@more_of(ops.layer_norm)
def _(draw, layer_norm):
    B, T, D = draw.sizes(3, least=3)
    yield case(layer_norm, p=draw.norm(D), x=5 + 3 * draw(B, T, D))  # far from mean 0 and variance 1
    yield case(layer_norm, p=draw.norm(D), x=np.full((T, D), 2.0))  # rows of equal values


@more_of(ops.rms_norm)
def _(draw, rms_norm):
    B, T, D = draw.sizes(3, least=2)
    yield case(rms_norm, p={"weight": draw(D)}, x=5 + 3 * draw(B, T, D))
    yield case(rms_norm, p={"weight": draw(1)}, x=draw(T, 1), static={"eps": 1.0})  # a small one leaves no gradient


@more_of(ops.softmax, ops.relu, ops.gelu, ops.gelu_tanh, ops.silu, ops.tanh)
def _(draw, thing):
    yield case(thing, x=row_far_off(draw, *draw.sizes(3, least=2)))  # where the exponentials end
    yield case(thing, x=draw(*draw.sizes(2, least=2)))


@more_of(ops.attention)
def _(draw, attention):
    B, G, T, S, K = draw.sizes(5, least=2)
    q, k, v = draw(B, 3 * G, T, K), draw(B, G, S, K), draw(B, G, S, K)
    no_bias = {"q": q, "k": k, "v": v, "bias": None}
    fewer, more = min(T, S), max(T, S)
    some = no_row_alone(draw.mask(B, 3 * G, T, S))
    yield case(attention, **no_bias)  # grouped, nothing else
    yield case(attention, **no_bias, static={"mask": some})
    yield case(attention, **no_bias, static={"mask": no_row_alone(draw.mask(1, 3 * G, 1, S))})
    yield case(attention, q=q, k=k, v=v, bias=draw(B, 3 * G, T, S), static={"mask": some[:1]})
    for bias in (draw(1, 1, T, S), draw(B, 1, T, S), draw(1, 3 * G, 1, S)):
        yield case(attention, q=q, k=k, v=v, bias=bias)
    few, many = draw(B, G, fewer, K), draw(B, G, more, K)
    yield case(attention, q=few, k=many, v=draw(B, G, more, K), bias=None, static={"causal": True})
    yield case(attention, q=many, k=few, v=draw(B, G, fewer, K), bias=None, static={"causal": True})
    yield case(attention, q=30 * q, k=k, v=v, bias=None)  # weights near 0 and 1
    yield case(attention, q=q, k=draw(B, 1, 1, K), v=draw(B, 1, 1, K), bias=None)  # one head for all, one key


def padded(draw, B, T, side="right"):
    """(B, T), True = a token is there: of every row but the first some are missing at one end."""
    there = np.arange(T) < np.r_[T, draw.rng.integers(1, T + 1, B - 1)][:, None]
    return there if side == "right" else there[:, ::-1]


@more_of(ops.conv1d)
def _(draw, conv1d):
    B, T, D, E, K = draw.sizes(5)
    for padding in ((0, 0), (K - 1, 0), (1, 2)):
        yield case(
            conv1d, p={"weight": draw(E, D, K), "bias": draw(E)}, x=draw(B, T + K, D), static={"padding": padding}
        )


@more_of(ops.rnn, ops.gru, ops.lstm)
def _(draw, cell):
    gates, states = GATES[cell.name], STATES[cell.name]
    for more in ({}, {"reverse": True}, *[{"activation": ops.relu}] * (cell is ops.rnn)):
        B, T, D, H = draw.sizes(4, least=2)
        p, x, given = draw.cell(gates, D, H), draw(B, T, D), {name: draw(B, H) for name in states}
        yield case(cell, p=p, x=x, **given, static=more)
        for side in ("left", "right"):
            yield case(cell, p=p, x=x, **given, static={"mask": padded(draw, B, T, side), **more})
        yield case(cell, p=p, x=x[:, :1], **given, static=more)
    yield case(cell, p=draw.cell(gates, 1, 1), x=draw(1, 4, 1), **dict.fromkeys(states))
    yield case(cell, p=p, x=10 * x, **given)  # gates near 0 and 1


@more_of(ops.cross_entropy)
def _(draw, cross_entropy):
    B, T, V = draw.sizes(3, least=3)
    targets = draw.ids(V, B, T)
    some = np.where(draw.rng.random((B, T)) < 0.5, -100, targets)
    some[-1] = targets[-1]
    yield case(cross_entropy, logits=row_far_off(draw, B, T, V), targets=some)
    yield case(cross_entropy, logits=draw(B, T, V), targets=targets, static={"label_smoothing": 0.3})
    yield case(cross_entropy, logits=draw(B, T, V), targets=targets, static={"ignore_index": int(targets[0, 0])})
    yield case(cross_entropy, logits=draw(V), targets=targets[0, :1].reshape(()))


@more_of(ops.linear_cross_entropy)
def _(draw, linear_cross_entropy):
    B, T, V, D = draw.sizes(4, least=3)
    p, targets = {"weight": draw(V, D)}, draw.ids(V, B, T)
    ignored = {"ignore_index": int(targets[0, 0])}
    yield case(linear_cross_entropy, p=p, x=row_far_off(draw, B, T, D), targets=targets, static=ignored)
    yield case(linear_cross_entropy, p=p, x=draw(D), targets=targets[0, :1].reshape(()))


@more_of(ops.embedding)
def _(draw, embedding):
    T, V, D = draw.sizes(3)
    yield case(embedding, p={"weight": draw(V, D)}, ids=np.zeros(T, np.int64))  # one id only


@more_of(ops.sinusoidal_positions)
def _(draw, sinusoidal_positions):
    for D in (1, 6, 7):
        yield case(sinusoidal_positions, x=draw(2, 5, D), static={"positions": draw.ids(5000, 5)})


@more_of(ops.learned_positions)
def _(draw, learned_positions):
    B, T, D = draw.sizes(3)
    static = {"positions": draw.ids(T, T)}
    yield case(learned_positions, p={"weight": draw(T, D)}, x=draw(B, T, D), static=static)


@more_of(ops.adamw)
def _(draw, adamw):
    for t in (1, 2, 1000):
        shape = draw.sizes(2)
        args = {"w": draw(*shape), "g": draw(*shape), "m": draw(*shape), "v": draw(*shape) ** 2}
        rates = {"learning_rate": 0.03, "beta1": 0.9, "beta2": 0.99, "eps": 1e-3, "weight_decay": 0.2}
        yield Case(adamw, None, args, {"t": t, **rates})


@more_of(ops.adamw_many)
def _(draw, adamw_many):
    one, other = (next(more for more in MORE["adamw"](draw, adamw_many)) for _ in range(2))
    args = {name: [one.args[name], other.args[name]] for name in one.args}
    yield Case(adamw_many, None, args, one.static | {"learning_rate": [0.03, 0.3], "weight_decay": [0.2, 0.0]})


@more_of(ops.global_norm)
def _(draw, global_norm):
    D, E, F = draw.sizes(3)
    g = {"layers": [draw.linear(E, D), draw.linear(F, E)], "norm": draw.norm(D), "large": 1000 * draw(F)}
    yield Case(global_norm, None, {"g": g}, {})


# ---------------------------------------------------------------------------------------------------------- blocks


@more_of(feed_forward)
def _(draw, feed_forward):
    B, T, D, F = draw.sizes(4)
    for activation in (ops.relu, ops.gelu):
        yield case(feed_forward, p=draw.feed_forward(D, F), x=draw(B, T, D), static={"activation": activation})


@more_of(multi_head_attention)
def _(draw, multi_head_attention):
    B, T, S, K, E = draw.sizes(5, least=2)
    D = 3 * K
    x, memory, p = draw(B, T, D), draw(B, S, E), draw.attention(D, memory_width=E)

    def attend(p, memory, bias=None, **static):
        static["n_heads"] = 3
        return case(multi_head_attention, p=p, x=x, memory=memory, bias=bias, zero=("p.k.bias",), static=static)

    yield attend(p, memory)
    yield attend(p, memory, mask=no_row_alone(draw.mask(B, 3, T, S)))
    yield attend(p, memory, draw(1, 3, T, S), mask=no_row_alone(draw.mask(B, 1, 1, S)))
    yield attend(draw.attention(D), x, draw(B, 1, T, T), causal=True)  # self-attention
    yield attend(draw.attention(D, 3, 1), x, n_kv_heads=1)


@more_of(bidirectional)
def _(draw, _):
    for cell in (ops.rnn, ops.gru, ops.lstm):
        B, T, D, H = draw.sizes(4, least=2)
        (p,), given = in_layers(draw, cell, [D], H, both=True), {name: draw(2, B, H) for name in STATES[cell.name]}
        x, thing = draw(B, T, D), bidirectional(cell)
        yield case(thing, p=p, x=x, **given)
        yield case(thing, p=p, x=x, **dict.fromkeys(given), static={"mask": padded(draw, B, T)})


@more_of(recurrence)
def _(draw, _):
    for cell in (ops.rnn, ops.gru, ops.lstm):
        B, T, D, H = draw.sizes(4, least=2)
        names, x, mask = STATES[cell.name], draw(B, T, D), padded(draw, B, T)
        p = in_layers(draw, cell, [D, H, H], H)
        yield case(recurrence(cell), p=p, x=x, **dict.fromkeys(names))
        yield case(recurrence(cell), p=p, x=x, **{name: draw(3, B, H) for name in names}, static={"mask": mask})
        p, thing = in_layers(draw, cell, [D, 2 * H], H, both=True), recurrence(bidirectional(cell))
        yield case(thing, p=p, x=x, **dict.fromkeys(names))
        yield case(thing, p=p, x=x, **{name: draw(2, 2, B, H) for name in names}, static={"mask": mask})
    p = in_layers(draw, ops.rnn, [D, 2 * H], H, both=True)
    yield case(recurrence(bidirectional(ops.rnn)), p=p, x=x, h=None, static={"activation": ops.relu})


@more_of(pre_norm_layer, post_norm_layer)
def _(draw, layer):
    B, T, K, F = draw.sizes(4, least=2)
    for activation in (ops.relu, ops.gelu):
        for more in ({"causal": True}, {"mask": draw.padding(B, T), "eps": 0.1}, {}):
            static = {"n_heads": 3, "activation": activation, **more}
            yield case(layer, p=draw.layer(3 * K, F), x=draw(B, T, 3 * K), zero=(f"p.{KEY_BIAS}",), static=static)


DECODER_ZERO = (KEY_BIAS, f"cross_{KEY_BIAS}")


@more_of(pre_norm_decoder_layer, post_norm_decoder_layer)
def _(draw, layer):
    B, T, S, K, F = draw.sizes(5, least=2)
    zero = tuple(f"p.{name}" for name in DECODER_ZERO)
    for activation in (ops.relu, ops.gelu):
        for more in ({"mask": draw.padding(B, T)[..., ::-1]}, {"memory_mask": draw.padding(B, S), "eps": 0.1}, {}):
            static = {"n_heads": 3, "activation": activation, **more}
            args = {"x": draw(B, T, 3 * K), "memory": draw(B, S, 3 * K)}
            yield case(layer, p=draw.decoder_layer(3 * K, F), **args, zero=zero, static=static)


@more_of(stack, recompute)
def _(draw, combinator):
    B, T, K, F = draw.sizes(4, least=2)
    for layer in (pre_norm_layer, post_norm_layer):
        p, zero = draw.layer(2 * K, F), (f"p.{KEY_BIAS}",)
        if combinator is stack:
            p = [p, draw.layer(2 * K, F), draw.layer(2 * K, F)]
            zero = tuple(f"p.{i}.{KEY_BIAS}" for i in range(3))
        static = {"n_heads": 2, "activation": ops.gelu, "causal": True}
        yield case(combinator(layer), p=p, x=draw(B, T, 2 * K), zero=zero, static=static)
    S = T + 3
    for layer in (pre_norm_decoder_layer, post_norm_decoder_layer):
        p, zero = draw.decoder_layer(2 * K, F), tuple(f"p.{name}" for name in DECODER_ZERO)
        if combinator is stack:
            p = [p, draw.decoder_layer(2 * K, F), draw.decoder_layer(2 * K, F)]
            zero = tuple(f"p.{i}.{name}" for i in range(3) for name in DECODER_ZERO)
        static = {"n_heads": 2, "activation": ops.gelu, "memory_mask": draw.padding(B, S)}
        args = {"x": draw(B, T, 2 * K), "memory": draw(B, S, 2 * K)}
        yield case(combinator(layer), p=p, **args, zero=zero, static=static)


@more_of(highway)
def _(draw, highway):
    B, T, D = draw.sizes(3, least=3)
    p = {"transform": draw.linear(D, D), "gate": draw.linear(D, D)}
    yield case(highway, p=p, x=draw(B, T, D), static={"activation": ops.relu})


# ---------------------------------------------------------------------------------------------- models and losses


GPT2_ZERO = tuple(f"p.layers.{i}.{KEY_BIAS}" for i in range(3))


def gpt2(draw, **more):
    """A GPT-2 whose sizes are all distinct, and parameters away from where they start."""
    model = GPT2(vocab_size=13, context_length=11, n_layers=3, n_heads=2, d_model=10, **more)
    return model, draw.perturbed(model.init(draw.rng, np.float64))


@more_of(GPT2)
def _(draw, _):
    for T, more in ((7, {}), (11, {"recompute": True}), (1, {})):
        model, p = gpt2(draw, **more)
        yield case(model, p=p, ids=draw.ids(13, 4, T), zero=GPT2_ZERO)
    yield case(model, p=p, ids=draw.ids(13, 4, 7), zero=GPT2_ZERO, static={"positions": draw.ids(11, 4, 7)})


def llama(draw, **more):
    """A LLaMA whose sizes are all distinct, and parameters away from where they start."""
    sizes = {"n_layers": 3, "n_heads": 6, "n_kv_heads": 2, "d_model": 12, "d_head": 4, "d_ff": 7}
    model = LLaMA(vocab_size=13, context_length=11, **sizes, **more)
    return model, draw.perturbed(model.init(draw.rng, np.float64))


LLAMA3 = {"kind": "llama3", "factor": 8.0, "low": 1.0, "high": 4.0, "context": 60}  # so that it bends between the two


@more_of(LLaMA)
def _(draw, _):
    for T, more in (
        (7, {}),
        (11, {"tied": True, "pairing": "neighbours"}),
        (1, {}),
        (9, {"rotary_scaling": LLAMA3, "rotary_base": 50.0, "recompute": True}),
        (9, {"rotary_scaling": {"kind": "linear", "factor": 3.0}, "eps": 1e-3}),
    ):
        model, p = llama(draw, **more)
        yield case(model, p=p, ids=draw.ids(13, 4, T))
    model, p = llama(draw)
    yield case(
        model, p=p, ids=draw.ids(13, 4, 7), static={"positions": draw.rng.permuted(np.tile(np.arange(7), (4, 1)))}
    )


@more_of(next_token_loss, fused_next_token_loss)
def _(draw, loss_class):
    for label_smoothing in (0.0, 0.1):
        model, p = gpt2(draw)
        ids, targets = draw.ids(13, 4, 7), draw.ids(13, 4, 7)
        targets[np.arange(7) >= draw.rng.integers(1, 7, 4)[:, None]] = -100
        loss = loss_class(model, label_smoothing=label_smoothing)
        yield case(loss, p=p, ids=ids, targets=targets, zero=GPT2_ZERO)


TRANSFORMER_ZERO = (
    *(f"p.encoder.{i}.{KEY_BIAS}" for i in range(2)),
    *(f"p.decoder.{i}.{name}" for i in range(2) for name in DECODER_ZERO),
)


def transformer(draw, kind, shared):
    """A model whose sizes are all distinct, its parameters away from where they start, and a batch of 4 for it."""
    other = {"shared": True} if shared else {"shared": False, "target_vocab_size": 11}
    model = kind(vocab_size=13, n_layers=2, n_heads=3, d_model=12, d_ff=17, **other)
    p = draw.perturbed(model.init(draw.rng, np.float64))
    return model, {"p": p, "source": draw.ids(13, 4, 7), "target": draw.ids(11, 4, 5)}


@more_of(Transformer, PreNormTransformer)
def _(draw, kind):
    for shared in (True, False):
        for source_mask in (None, draw.padding(4, 7)[..., ::-1]):
            model, args = transformer(draw, kind, shared)
            yield case(model, **args, zero=TRANSFORMER_ZERO, static={"source_mask": source_mask})


def seq2seq(draw, kind, **more):
    """A model whose sizes are all distinct, its parameters away from where they start, and a batch of 4 for it."""
    model = kind(vocab_size=13, target_vocab_size=11, n_layers=3, d_model=6, **more)
    p = draw.perturbed(model.init(draw.rng, np.float64))
    return model, {"p": p, "source": draw.ids(13, 4, 7), "target": draw.ids(11, 4, 5)}


@more_of(Seq2Seq, LuongSeq2Seq, BahdanauSeq2Seq)
def _(draw, kind):
    settings = {
        Seq2Seq: [{"summary": "last"}, {"summary": "mean"}],
        LuongSeq2Seq: [{"score": score} for score in ("dot", "general", "concat")],
        BahdanauSeq2Seq: [{}],
    }
    for cell in GATES:
        for more in settings[kind]:
            for source_mask in (None, padded(draw, 4, 7)[:, None, None]):
                model, args = seq2seq(draw, kind, cell=cell, dropout_rate=0.0, **more)
                yield case(model, **args, static={"source_mask": source_mask})


@more_of(translation_loss)
def _(draw, _):
    for kind, label_smoothing in ((Transformer, 0.1), (PreNormTransformer, 0.0)):
        model, args = transformer(draw, kind, shared=False)
        targets = np.where(np.arange(5) >= draw.rng.integers(1, 6, 4)[:, None], -100, draw.ids(11, 4, 5))
        p, source, target = args.values()
        loss, mask = translation_loss(model, label_smoothing=label_smoothing), draw.padding(4, 7)
        args = {"p": p, "source": source, "source_mask": mask, "target": target, "targets": targets}
        yield case(loss, **args, zero=TRANSFORMER_ZERO)


BERT_ZERO = tuple(f"layers.{i}.{KEY_BIAS}" for i in range(3))
BODIES = (
    BERT(vocab_size=13, context_length=11, n_types=2, n_layers=3, n_heads=2, d_model=10, d_ff=17),
    DistilBERT(vocab_size=13, context_length=11, n_layers=3, n_heads=2, d_model=10, d_ff=17),
    RoBERTa(13, n_positions=15, padding_idx=3, n_types=2, n_layers=3, n_heads=2, d_model=10, d_ff=17, eps=1e-3),
)
AS_PUBLISHED = {
    (DistilBERT, TextClassifier): {"activation": ops.relu},
    (RoBERTa, TextClassifier): {"drops_first": True},
}  # how a head differs from that over a BERT


def bert(draw, head=None, body=BODIES[0], **more):
    """A body whose sizes are all distinct, or a head over one; parameters away from where they start; and a batch."""
    model = body if head is None else head(body, **more | AS_PUBLISHED.get((type(body), head), {}))
    args = {"p": draw.perturbed(model.init(draw.rng, np.float64)), "ids": draw.ids(13, 4, 7)}
    return model, args, tuple(f"p.{'body.' if head else ''}{name}" for name in BERT_ZERO)


def bert_cases(draw, body, head=None, **more):
    types = {"types": draw.ids(getattr(body, "n_types", 1), 4, 7)}
    for static in ({}, types, {"mask": draw.padding(4, 7)[..., ::-1]}):
        model, args, zero = bert(draw, head, body, **more)
        yield case(model, **args, zero=zero, static=static)


@more_of(*map(type, BODIES))
def _(draw, kind):
    (body,) = (body for body in BODIES if type(body) is kind)
    yield from bert_cases(draw, body)


@more_of(MaskedLanguageModel, SentenceEncoder, SpanFinder, TextClassifier, TokenClassifier)
def _(draw, head):
    more = {"n_classes": 5} if head in (TextClassifier, TokenClassifier) else {}
    for body in BODIES:
        yield from bert_cases(draw, body, head, **more)


@more_of(PreTraining)
def _(draw, head):
    yield from bert_cases(draw, BODIES[0], head)
    model, args, zero = bert(draw, head)
    yield case(model, **args, zero=zero, static={"places": draw.rng.permutation(28)[:5]})


@more_of(masked_token_loss)
def _(draw, loss):
    for body in BODIES:
        model, args, zero = bert(draw, MaskedLanguageModel, body)
        types = draw.ids(getattr(body, "n_types", 1), 4, 7)
        yield case(loss(model), **args, **masked_batch(draw, types), zero=zero)


@more_of(pretraining_loss)
def _(draw, loss):
    model, args, zero = bert(draw, PreTraining)
    batch = masked_batch(draw, draw.ids(2, 4, 7))
    yield case(loss(model), **args, **batch, origins=draw.ids(2, 4), zero=zero)


def masked_batch(draw, types):
    """What a loss takes behind ids: some tokens of most rows are asked, of the first row none."""
    targets = np.where(draw.rng.random((4, 7)) < 0.6, -100, draw.ids(13, 4, 7))
    targets[0], targets[1, 2] = -100, 5
    return {"types": types, "mask": draw.padding(4, 7)[..., ::-1], "targets": targets}


@more_of(label_loss)
def _(draw, _):
    types, mask = draw.ids(2, 4, 7), draw.padding(4, 7)[..., ::-1]
    for head, size, shape in ((TokenClassifier, 5, (4, 7)), (TextClassifier, 5, (4,)), (SpanFinder, 7, (4, 2))):
        model, args, zero = bert(draw, head, **({} if head is SpanFinder else {"n_classes": size}))
        targets = draw.ids(size, *shape)
        targets.flat[0] = -100
        if head is SpanFinder:  # what moves all places alike is felt by no softmax over them
            zero += ("p.ends.bias", "p.body.layers.2.norm2.bias")
        batch = {"types": types, "mask": mask, "targets": targets}
        yield case(label_loss(model), **args, **batch, zero=zero)


@more_of(AWDLSTM)
def _(draw, _):
    """The defaults' rates and no key: evaluation. Then three layers with all dropout that there is."""
    for n_layers, key in ((1, None), (3, draw.key())):
        model = AWDLSTM(vocab_size=13, n_layers=n_layers, d_model=5, d_hidden=7)
        p = draw.perturbed(model.init(draw.rng, np.float64))
        states = dict.fromkeys(f"{name}{i}" for i in range(n_layers) for name in "hc")
        yield case(model, p=p, ids=draw.ids(13, 4, 6), **states, static={"key": key})


@more_of(ULMFiT)
def _(draw, _):
    for key in (None, draw.key()):
        model = ULMFiT(AWDLSTM(vocab_size=13, n_layers=2, d_model=5, d_hidden=7), n_classes=3)
        static = {"mask": padded(draw, 4, 6)[:, None, None], "key": key}
        yield case(model, p=draw.perturbed(model.init(draw.rng, np.float64)), ids=draw.ids(13, 4, 6), static=static)


@more_of(ELMo)
def _(draw, _):
    """With ReLU, as published: also where words are shorter than a filter is wide."""
    filters = ((1, 3), (2, 4), (5, 2))
    for key in (None, draw.key()):
        model = ELMo(n_characters=11, vocab_size=13, d_character=5, filters=filters, n_highway=2, d_model=6)
        p, there = draw.perturbed(model.init(draw.rng, np.float64)), np.arange(7) < draw.ids(8, 4, 6)[..., None]
        there[:, 0, 0] = True
        yield case(model, p=p, characters=draw.ids(11, 4, 6, 7), static={"mask": there, "key": key})
