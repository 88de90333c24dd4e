"""What was learnt from plain text before there were transformers: words from characters, ELMo, AWD-LSTM, ULMFiT."""

import numpy as np

from ...blocks import character_cnn, highway, layer_mix, weight_dropped
from ...convention import fold
from ...models import AWDLSTM, ELMo, ULMFiT
from ...ops import conv1d, gru, locked_dropout, lstm, masked_max, tanh
from ...ops.dropout import draw_kept
from ...training.language_model_losses import both_ways_loss, carried_next_token_loss
from .case import case, cases_of


@cases_of(conv1d)
def _(draw):
    B, T, D, E, K = draw.sizes(5)
    T += K - 1
    p = {"weight": draw(E, D, K), "bias": draw(E)}
    yield case(conv1d, p=p, x=draw(B, T, D))
    static = {"padding": (1, K), "mask": draw.tokens(B, T)}
    yield case(conv1d, p={"weight": p["weight"]}, x=draw(B, T, D), static=static)


@cases_of(masked_max)
def _(draw):
    B, T, D = draw.sizes(3)
    x = apart(draw, B, T, D)
    yield case(masked_max, x=x, static={"mask": draw.tokens(B, T)})


def apart(draw, B, T, D):
    """(B, T, D), along T no two numbers nearer than 0.1 to each other: away from the kink of a maximum"""
    return (
        draw.rng.permuted(np.tile(np.arange(T)[:, None], (B, 1, D)), axis=1) - T / 2 + 0.9 * draw.rng.random((B, T, D))
    )


@cases_of(locked_dropout)
def _(draw):
    B, T, D = draw.sizes(3, least=3)
    for axis, shape in ((1, (B, T, D)), (-1, (T, D))):
        x, how = draw(*shape), {"axis": axis, "rate": 0.3, "key": draw.key()}
        while x.size and not locked_dropout(x, **how)[0].any():  # with all dropped there is nothing to check
            how["key"] = draw.key()
        yield case(locked_dropout, x=x, static=how)


@cases_of(highway)
def _(draw):
    B, T, D = draw.sizes(3)
    p = {"transform": draw.linear(D, D), "gate": draw.linear(D, D)}
    yield case(highway, p=p, x=draw(B, T, D), static={"activation": tanh})


def words(draw, C, B, T, W):
    """ids (B, T, W) of characters and which of them are there: from the front on; the last word of the first row has
    none, where it has others."""
    n = draw.rng.integers(1, W + 1, (B, T))
    n[:1, 1:][:, -1:] = 0
    return draw.ids(C, B, T, W), np.arange(W) < n[..., None]


@cases_of(character_cnn)
def _(draw):
    B, T, W, D = draw.sizes(4, least=2)
    for _ in range(1000):
        ids, mask = words(draw, 5, B, T, W)
        p = character_network(draw, 5, D, ((1, 2), (3, 1)), 4)
        if no_tie_is_near(p, ids, mask):
            break
    yield case(character_cnn, p=p, ids=ids, effort=(2, 1), static={"mask": mask, "activation": tanh})


def character_network(draw, C, D, filters, F):
    """Parameters of `character_cnn`; filters: [(K, how many), ...]"""
    E = sum(n for _, n in filters)
    return {
        "character": {"weight": draw(C, D)},
        "filters": [{"weight": draw(n, D, K), "bias": draw(n)} for K, n in filters],
        "highway": [{name: draw.linear(E, E) for name in ("transform", "gate")}],
        "out": draw.linear(F, E),
    }


def no_tie_is_near(p, ids, mask, margin=0.02):
    """Whether in every word the largest value of every filter is so far above those of other windows.

    Windows of the same characters do not count: they are equal wherever the parameters go.
    """
    ids, mask = ids.reshape(-1, ids.shape[-1]), mask.reshape(-1, ids.shape[-1])
    for p_filter in p["filters"]:
        K = p_filter["weight"].shape[-1]
        h, _ = conv1d(p_filter, p["character"]["weight"][ids], padding=(0, K - 1), mask=mask)
        for word, there, values in zip(ids, mask, h):
            spelt = [*word[there], *[-1] * (K - 1)]
            windows = {tuple(spelt[t : t + K]): values[t] for t in range(there.sum())}
            highest = np.sort(list(windows.values()), 0)[-2:]
            if len(highest) == 2 and (highest[1] - highest[0]).min() < margin:
                return False
    return True


@cases_of(layer_mix)
def _(draw):
    B, T, D, L = draw.sizes(4)
    L += 1  # of one layer, w feels nothing
    yield case(layer_mix, p={"weight": draw(L), "scale": 1 + 0.3 * draw(1)}, h=draw(L, B, T, D))


@cases_of(weight_dropped)
def _(draw):
    B, T, D, H = draw.sizes(4, least=2)
    static = {"weight_rate": 0.3, "key": draw.key()}
    given = {"h": draw(B, H), "c": draw(B, H)}
    yield case(weight_dropped(lstm), p=draw.cell(4, D, H), x=draw(B, T, D), **given, static=static)
    static |= {"mask": draw.tokens(B, T), "reverse": True}
    yield case(weight_dropped(gru), p=draw.cell(3, D, H), x=draw(B, T, D), h=draw(B, H), static=static)


def tiny_awd_lstm(draw):
    """A model, its parameters, ids (B, T)"""
    B, T, V = draw.sizes(3, least=2)
    rates = {name: 0.2 for name in ("word_rate", "input_rate", "hidden_rate", "output_rate", "weight_rate")}
    model = AWDLSTM(vocab_size=V + 4, n_layers=2, d_model=3, d_hidden=4, **rates)
    return model, draw.perturbed(model.init(draw.rng, np.float64)), draw.ids(V + 4, B, T)


def key_for(draw, model, ids, under=lambda key: key):
    """A key with which the model (whose own key is `under` it) drops some of these words, and keeps others."""
    for _ in range(1000):
        key = draw.key()
        kept = draw_kept((model.vocab_size,), model.word_rate, fold(under(key), 0))[ids]
        if kept.any() and not kept.all():
            break
    return key


def states_of(draw, model, B):
    """{name: (B, H)}, h and c of every layer in turn"""
    return {f"{name}{i}": draw(B, model.width(i + 1)) for i in range(model.n_layers) for name in "hc"}


@cases_of(AWDLSTM)
def _(draw):
    model, p, ids = tiny_awd_lstm(draw)
    static = {"mask": draw.tokens(*ids.shape), "key": key_for(draw, model, ids)}
    yield case(model, p=p, ids=ids, **states_of(draw, model, len(ids)), effort=(2, 1), static=static)
    none = dict.fromkeys(states_of(draw, model, len(ids)))
    yield case(model, p=p, ids=ids, **none, effort=(1, 1))


@cases_of(carried_next_token_loss)
def _(draw):
    model, p, ids = tiny_awd_lstm(draw)
    targets = draw.ids(model.vocab_size, *ids.shape)
    targets[:, -1] = -100
    states, static = states_of(draw, model, len(ids)), {"key": key_for(draw, model, ids)}
    yield case(carried_next_token_loss(model), p=p, ids=ids, targets=targets, **states, effort=(1, 1), static=static)


@cases_of(ULMFiT)
def _(draw):
    body, _, ids = tiny_awd_lstm(draw)
    model, mask = ULMFiT(body, n_classes=3, d_hidden=5, activation=tanh), draw.tokens(*ids.shape)
    key = key_for(draw, body, ids, under=lambda key: fold(key, 0))
    for _ in range(1000):
        p = draw.perturbed(model.init(draw.rng, np.float64))
        (h, *_), _ = body.hidden(p["body"], ids, mask=mask, key=fold(key, 0))
        highest = np.sort(np.where(mask[..., None], h, -np.inf), 1)[:, -2:]
        if (highest[:, 1] - highest[:, 0]).min() > 0.01:  # no maximum's tie is near
            break
    yield case(model, p=p, ids=ids, effort=(2, 1), static={"mask": mask[:, None, None], "key": key})


def tiny_elmo(draw):
    """A model, its parameters, characters (B, T, W) and which of them are there; near no maximum's tie"""
    B, T = draw.sizes(2, least=2)
    sizes = {"n_highway": 1, "d_model": 4, "dropout_rate": 0.1, "activation": tanh}
    model = ELMo(n_characters=5, vocab_size=3, d_character=2, filters=((1, 2), (2, 1)), **sizes)
    for _ in range(1000):
        p, (characters, mask) = draw.perturbed(model.init(draw.rng, np.float64)), words(draw, 5, B, T + 1, 3)
        if no_tie_is_near(p["token"], characters, mask):
            break
    return model, p, characters, mask


@cases_of(ELMo)
def _(draw):
    model, p, characters, mask = tiny_elmo(draw)
    yield case(model, p=p, characters=characters, effort=(1, 1), static={"mask": mask, "key": draw.key()})


@cases_of(both_ways_loss)
def _(draw):
    model, p, characters, mask = tiny_elmo(draw)
    after, before = draw.ids(3, 2, *characters.shape[:2])
    after[:, -1] = before[:, 0] = -100
    batch = {"mask": mask, "after": after, "before": before}
    yield case(both_ways_loss(model), p=p, characters=characters, **batch, effort=(1, 1), static={"key": draw.key()})
