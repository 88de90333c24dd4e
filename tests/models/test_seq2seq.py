"""What must hold of the recurrent encoder-decoders beyond what holds of everything: padding, decoding, the door."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from minitransformer.blocks import attentive, bidirectional, cell_of, luong_attention, recurrence
from minitransformer.decoding import beam_search, decode
from minitransformer.gradcheck import Draw
from minitransformer.models import BahdanauSeq2Seq, LuongSeq2Seq, Seq2Seq
from minitransformer.models.luong import SCORES
from minitransformer.ops import linear
from minitransformer.trees import leaves, tree_map

from ..arrays import arrays_in, bytes_of, same_bits
from .encoder_decoders import (
    MOVED,
    V,
    W,
    check_beams_change_places,
    check_decoding_writes_to_nothing_else,
    check_every_token_matters,
    check_no_mask_is_a_mask_of_ones,
    check_padding_is_nothing,
    check_rows_one_by_one,
    check_steps_are_the_forward,
    close,
    draw_p,
    mask_of,
    up_to,
)
from .test_transformer import WeightlessToo, pieces, seeds

SMALL = {"vocab_size": V, "target_vocab_size": W, "d_model": 6, "dropout_rate": 0.2}
MODELS = {
    "LSTM, last states": Seq2Seq(**SMALL, n_layers=2),
    "GRU, mean": Seq2Seq(**SMALL, n_layers=2, cell="gru", summary="mean"),
    "Luong, dot, RNN": LuongSeq2Seq(**SMALL, n_layers=2, cell="rnn", score="dot"),
    "Luong, general, GRU": LuongSeq2Seq(**SMALL, n_layers=1, cell="gru", score="general"),
    "Luong, concat, LSTM": LuongSeq2Seq(**SMALL, n_layers=1, cell="lstm", score="concat"),
    "Bahdanau, GRU": BahdanauSeq2Seq(**SMALL),
    "Bahdanau, LSTM": BahdanauSeq2Seq(**SMALL, n_layers=2, cell="lstm"),
}
every_model = pytest.mark.parametrize("model", MODELS.values(), ids=MODELS)


def formula(model, p, source, target, tokens):
    """What its file says: the source read from its end, by Bahdanau's in both directions."""
    cell, x = cell_of(model.cell), p["target"]["weight"][target]
    both = isinstance(model, BahdanauSeq2Seq)
    reader, more = recurrence(bidirectional(cell) if both else cell), {} if both else {"reverse": True}
    (memory, *states), _ = reader(p["encoder"], p["source"]["weight"][source], mask=tokens, **more)
    if both:
        h = np.tanh(linear(p["begin"], states[0][-1, 1])[0])
        y, z, *_ = attentive(cell)(p["decoder"], x, memory, h, *[None] * (len(states) - 1), mask=tokens)[0]
        h = np.tanh(linear(p["readout"], np.concatenate([y, z, x], -1))[0])
    else:
        if isinstance(model, Seq2Seq) and model.summary == "mean":
            mean = np.array([row[kept].mean(0) for row, kept in zip(memory, tokens)])
            states = [np.stack([mean] * model.n_layers) for _ in states]
        h = recurrence(cell)(p["decoder"], x, *states)[0][0]
    if isinstance(model, LuongSeq2Seq):
        h = luong_attention(p["cross_attention"], h, memory, scores=SCORES[model.score], mask=tokens)[0]
    return linear(p["head"], h)[0]


@every_model
def test_the_formula(model, rng):
    draw = Draw(rng)
    p, source, target, tokens = draw_p(model, rng), draw.ids(V, 3, 5), draw.ids(W, 3, 4), draw.tokens(3, 5)
    close(model.forward(p, source, target, source_mask=mask_of(tokens))[0], formula(model, p, source, target, tokens))


# -------------------------------------------------------------------------------------------------------- padding


@every_model
@given(seed=seeds)
def test_a_batch_of_unequal_lengths_is_its_rows_one_by_one(model, seed):
    check_rows_one_by_one(model, seed, least=1)


@every_model
@given(seed=seeds)
def test_what_stands_in_the_padding_is_nothing(model, seed):
    """Wherever in a source the padding stands."""
    check_padding_is_nothing(model, seed, least=1, anywhere=True)


@every_model
@given(seed=seeds, data=st.data())
def test_every_token_of_a_source_moves_every_output_of_its_row_and_no_other(model, seed, data):
    """Through all states, it may have become little."""
    check_every_token_matters(model, seed, lambda n: data.draw(st.integers(0, n - 1)), moved_by=MOVED / 1000)


@every_model
def test_the_order_of_a_source_matters(model, rng):
    p, source, target = draw_p(model, rng), np.arange(5)[None], rng.integers(0, W, (1, 3))
    before, after = (model.forward(p, ids, target)[0] for ids in (source, source[:, ::-1]))
    assert np.abs(before - after).max(-1).min() > MOVED


@every_model
def test_no_mask_is_a_mask_of_ones(model, rng):
    check_no_mask_is_a_mask_of_ones(model, rng)


# ------------------------------------------------------------------------------------------------------- decoding


@every_model
@given(seed=seeds, pieces=pieces, data=st.data())
def test_steps_of_any_length_are_the_forward(model, seed, pieces, data):
    check_steps_are_the_forward(model, seed, pieces, lambda masks: data.draw(st.sampled_from(masks)), least=1)


@every_model
@pytest.mark.parametrize("masked", [True, False])
@pytest.mark.parametrize("read", [0, 5])
def test_beams_change_places(model, masked, read, rng):
    check_beams_change_places(model, masked, rng, read)


@every_model
def test_greedy_and_beam_say_what_the_forward_finds_likeliest(model, rng):
    """Greedy takes the likeliest token each time; a beam with room for everything finds the likeliest text there is."""
    p, source, T = draw_p(model, rng), rng.integers(0, V, (2, 4)), 3
    mask = mask_of(up_to(np.array([4, 2]), 4))
    every = np.stack(np.meshgrid(*[np.arange(W)] * T, indexing="ij"), -1).reshape(-1, T)  # (W^T,T)
    said = decode(model, p, model.start(p, source, source_mask=mask), [[1], [1]], max_tokens=T)
    best = beam_search(
        model,
        p,
        model.start(p, source, source_mask=mask),
        [[1], [1]],
        width=W**2,
        max_tokens=T,
        end=None,
        length_penalty=0.0,
    )
    for row in range(2):
        target = np.insert(every[:, :-1], 0, 1, axis=1)
        logits, _ = model.forward(
            p, source[[row]].repeat(len(every), 0), target, source_mask=mask[[row]].repeat(len(every), 0)
        )
        log_p = logits - np.log(np.exp(logits).sum(-1, keepdims=True))
        of_tokens = np.take_along_axis(log_p, every[..., None], -1)[..., 0]
        top = of_tokens.sum(1).argmax()
        assert best[row][0].ids.tolist() == every[top].tolist()
        assert abs(best[row][0].score - of_tokens[top].sum()) < 1e-10
        (place,) = np.flatnonzero((every == said[row]).all(1))
        assert np.array_equal(log_p[place].argmax(-1), said[row])


@every_model
def test_decoding_writes_to_nothing_but_its_caches(model, rng):
    check_decoding_writes_to_nothing_else(model, rng)


# ------------------------------------------------------------------------------------------------- its parameters


def test_the_published_size():
    """Sutskever et al., section 3.4: 384 million, of which 64 million are recurrent. (Theirs had no biases.)"""
    p = Seq2Seq(160_000, target_vocab_size=80_000).init(WeightlessToo())
    weights = {path: leaf.size for path, leaf in leaves(p) if path.endswith("weight")}
    assert sum(weights.values()) == 384_000_000
    assert sum(size for path, size in weights.items() if "coder" in path) == 64_000_000


@pytest.mark.parametrize("score", ["dot", "general", "concat"])
def test_what_attention_takes_is_what_it_keeps_of_each_pair_of_places(score, rng):
    model, S, T = LuongSeq2Seq(**SMALL, n_layers=1, score=score), 7, 5
    p = model.init(rng)
    _, saved = model.forward(p, rng.integers(0, V, (1, S)), rng.integers(0, W, (1, T)))
    kept = arrays_in(saved["cross_attention"])
    assert sum(array.size for array in kept if array.shape[:3] == (1, T, S)) == model.attention_size(S, T)


@every_model
def test_the_same_seed_gives_the_same_parameters_in_either_precision(model):
    a, b, single = (model.init(np.random.default_rng(3), *dtype) for dtype in ([np.float64], [np.float64], []))
    assert same_bits(a, b)
    assert same_bits(tree_map(np.float32, a), single)


@every_model
def test_no_two_parameters_share_memory(model, rng):
    p = model.init(rng)
    assert bytes_of(p) == sum(leaf.nbytes for _, leaf in leaves(p))


def test_the_gate_of_an_lstm_begins_open(rng):
    for model in (MODELS["LSTM, last states"], MODELS["Luong, concat, LSTM"]):
        for layer in (p := model.init(rng))["encoder"] + p["decoder"]:
            assert layer["input"]["bias"].tolist() == [0] * 6 + [1] * 6 + [0] * 12  # i, f, n, o
            assert not layer["hidden"]["bias"].any()
            assert 0.3 < np.abs(layer["hidden"]["weight"]).max() <= 6**-0.5


@every_model
def test_dropout_is_on_with_a_key_and_only_then(model, rng):
    p, source, target = draw_p(model, rng), rng.integers(0, V, (2, 4)), rng.integers(0, W, (2, 5))
    key, evaluated = np.random.SeedSequence(1), model.forward(p, source, target)[0]
    assert np.array_equal(evaluated, model.forward(p, source, target)[0])
    assert not np.array_equal(evaluated, model.forward(p, source, target, key=key)[0])


# -------------------------------------------------------------------------------------------------------- the door


@pytest.mark.parametrize(
    "kind, settings, message",
    [
        (Seq2Seq, {"cell": "elman"}, "unknown cell 'elman'; there are: rnn, gru, lstm"),
        (Seq2Seq, {"summary": "max"}, "unknown summary 'max'; there are: last, mean"),
        (LuongSeq2Seq, {"score": "cosine"}, "unknown score 'cosine'; there are: dot, general, concat"),
        (BahdanauSeq2Seq, {"n_layers": 0}, "n_layers must be at least 1, not 0"),
        (LuongSeq2Seq, {"d_model": 2.5}, "d_model must be at least 1, not 2.5"),
        (Seq2Seq, {"target_vocab_size": 0}, "target_vocab_size must be at least 1, not 0"),
    ],
)
def test_configurations_that_make_no_sense(kind, settings, message):
    with pytest.raises(ValueError, match=message):
        kind(**settings)


@every_model
def test_sources_that_make_no_sense(model, rng):
    """In training and in decoding alike, before anything is computed."""
    p, target = draw_p(model, rng), np.zeros((3, 2), int)
    some = np.ones((3, 1, 1, 4), bool)
    none = some.copy()
    none[1] = False
    for source, mask, error, message in (
        (
            np.zeros((3, 0), int),
            None,
            ValueError,
            r"source has shape \(3, 0\), expected \(B, S\) with at least",
        ),
        (np.zeros((3, 4), int), none, ValueError, "source 1 of the batch has no token"),
        (np.zeros((3, 4), int), ~some, ValueError, "source 0 of the batch has no token"),
        (
            np.zeros((3, 4), int),
            some[:2],
            ValueError,
            r"mask has shape \(2, 1, 1, 4\), expected \(3 or 1, 1, 1, 4",
        ),
        (np.zeros((3, 4), int), some[:, 0, 0], ValueError, r"source_mask has shape \(3, 4\)"),
        (np.zeros((3, 4), int), some.astype(float), TypeError, "source_mask must be Boolean, not float64"),
    ):
        with pytest.raises(error, match=message):
            model.forward(p, source, target, source_mask=mask)
        with pytest.raises(error, match=message):
            model.start(p, source, source_mask=mask)


@every_model
def test_a_target_of_length_zero(model, rng):
    p = draw_p(model, rng)
    with pytest.raises(ValueError, match="sequences of length 0"):
        model.forward(p, np.zeros((3, 2), int), np.zeros((3, 0), int))


@every_model
def test_a_state_of_the_wrong_shape(model, rng):
    """Decoding that goes on from another model's state, or another batch's, says which part did not fit."""
    p, source = draw_p(model, rng), rng.integers(0, V, (3, 4))
    caches = model.start(p, source)
    caches[0].states = (caches[0].states[0][..., :-1], *caches[0].states[1:])
    with pytest.raises(ValueError, match=r"has shape .*, expected"):
        model.step(p, np.zeros((3, 1), int), caches)
    caches = model.start(p, source)
    with pytest.raises(ValueError, match=r"has shape .*, expected"):
        model.step(p, np.zeros((2, 1), int), caches)
