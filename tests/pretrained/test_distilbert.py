"""DistilBERT folders: what is written is read again, under whichever command, and what does not fit is said."""

import json

import numpy as np
import pytest
from safetensors.numpy import load_file, save_file

from minitransformer.cli import main
from minitransformer.models import (
    DistilBERT,
    MaskedLanguageModel,
    SentenceEncoder,
    SpanFinder,
    TextClassifier,
    TokenClassifier,
)
from minitransformer.ops import relu
from minitransformer.pretrained import load_pretrained, save_pretrained

from ..arrays import same_bits
from .test_bert import TOKENIZER, change

BODY = DistilBERT(TOKENIZER.vocab_size, 9, 2, 2, 6, 10, dropout_rate=0.3)
MODELS = {
    "fill-mask": MaskedLanguageModel(BODY),
    "classify": TextClassifier(BODY, 3, activation=relu, dropout_rate=0.4),
    "tag": TokenClassifier(BODY, 4),
    "answer": SpanFinder(BODY, 0.2),
    "embed": SentenceEncoder(BODY),
}
every_head = pytest.mark.parametrize("command", MODELS)


@pytest.fixture
def saved(rng, tmp_path):
    """saved(command): the folder of a model that this command takes, the model and its parameters."""

    def save(command):
        model, folder = MODELS[command], tmp_path / "distilbert"
        p = model.init(rng)
        save_pretrained(folder, model, p, TOKENIZER)
        return folder, model, p

    return save


@every_head
def test_what_was_written_is_read(command, saved):
    folder, model, p = saved(command)
    found = load_pretrained(folder)
    assert found.model == model and same_bits(found.p, p)
    assert found.tokenizer.to_json() == TOKENIZER.to_json()
    config = json.loads((folder / "tokenizer_config.json").read_text())
    assert config["tokenizer_class"] == "DistilBertTokenizer"
    assert config["model_max_length"] == model.body.context_length


@every_head
def test_the_commands_read_with_it(command, saved, capsys):
    folder, *_ = saved(command)
    texts = (
        ["cat", "--text", "the cat sat", "--stride", "0"] if command == "answer" else ["the [MASK] sat", "[MASK] cat"]
    )
    assert main([command, str(folder), *texts, "--backend", "reference"]) == 0
    assert len(capsys.readouterr().out.splitlines()) >= 2


@every_head
def test_a_body_without_the_prefix_and_with_what_heads_left(command, saved):
    """The tied table once more, another head's tensors, and numbers of places."""
    folder, model, p = saved(command)
    path = folder / "model.safetensors"
    bare = {name.removeprefix("distilbert."): each for name, each in load_file(path).items()}
    bare |= {"vocab_projector.weight": p["body"]["token"]["weight"].copy(), "embeddings.position_ids": np.arange(9)}
    if command in ("fill-mask", "embed"):
        bare |= {"pre_classifier.weight": np.zeros((6, 6), "f"), "qa_outputs.bias": np.zeros(2, "f")}
    save_file(bare, path)
    assert same_bits(load_pretrained(folder).p, p)
    assert same_bits(load_pretrained(folder, head=SentenceEncoder).p["body"], p["body"])


def test_a_table_that_began_as_waves_is_one_like_any_other(saved):
    folder, model, p = saved("embed")
    change(folder / "config.json", sinusoidal_pos_embds=True)
    assert same_bits(load_pretrained(folder).p, p)


@pytest.mark.parametrize(
    "config, message",
    [
        ({"architectures": ["DistilBertForMultipleChoice"]}, "architectures is .*DistilBertForMaskedLM"),
        ({"architectures": ["BertForMaskedLM"]}, "architectures is .*DistilBertForMaskedLM"),
        ({"architectures": ["DistilBertForQuestionAnswering"]}, "missing: qa_outputs.weight"),
        ({"activation": "relu"}, "activation is 'relu'; what is here has 'gelu'"),
        ({"sinusoidal_pos_embds": "yes"}, "sinusoidal_pos_embds is 'yes'"),
        ({"dim": 7}, "n_heads=2 does not divide d_model=7"),
        ({"dim": 8}, "has shape"),
        ({"n_layers": 3}, "n_layers is 3, but there are tensors of 2 layers"),
        ({"n_layers": 10**9}, "tensors of 2 layers"),
        ({"n_layers": "two"}, "n_layers must be at least 1, not 'two'"),
        ({"hidden_dim": 10**11}, r"ffn.lin1.weight has shape \(10, 6\), expected \(10+, 6\)"),
        ({"max_position_embeddings": 10**30}, r"position_embeddings.weight has shape"),
        ({"dropout": None}, "a dropout rate must be at least 0 and below 1, not None"),
        ({"seq_classif_dropout": 1.0}, "below 1, not 1.0"),
        ({"attention_dropout": "much"}, "config.json"),
        ({"vocab_size": 7}, "tokenizer has .* tokens, but the model's embedding 7"),
        ({"problem_type": "regression"}, "not one class among several"),
        ({"model_type": "bert"}, "there is no max_position_embeddings|there is no type_vocab_size"),
    ],
)
def test_configurations_that_do_not_fit(config, message, saved):
    folder, *_ = saved("classify")
    change(folder / "config.json", **config)
    with pytest.raises(ValueError, match=message):
        load_pretrained(folder)


@pytest.mark.parametrize(
    "model, message",
    [
        (TextClassifier(BODY, 3), "a TextClassifier over a DistilBERT is not published so: activation is .*tanh"),
        (TextClassifier(BODY, 3, activation=relu, drops_first=True), "drops_first is True, not False"),
        (TokenClassifier(BODY, 3, dropout_rate=0.5), "dropout_rate is 0.5, not None"),
        (BODY, "a DistilBERT has no published form here"),
    ],
)
def test_heads_that_have_no_published_form(model, message, rng, tmp_path):
    with pytest.raises(ValueError, match=message):
        save_pretrained(tmp_path / "distilbert", model, model.init(rng), TOKENIZER)
    assert not (tmp_path / "distilbert").exists()


def test_a_classifiers_dropout_is_the_bodys_where_nothing_else_is_said(rng, tmp_path):
    model = TextClassifier(BODY, 3, activation=relu)
    save_pretrained(tmp_path / "distilbert", model, model.init(rng), TOKENIZER)
    found = load_pretrained(tmp_path / "distilbert")
    assert found.model.rate == model.rate == found.config["seq_classif_dropout"] == 0.3  # theirs must be a number
