"""RoBERTa folders: what is written is read again, under whichever command, and what does not fit is said."""

import json

import numpy as np
import pytest
from safetensors.numpy import load_file, save_file

from minitransformer.cli import main
from minitransformer.models import (
    MaskedLanguageModel,
    RoBERTa,
    SentenceEncoder,
    SpanFinder,
    TextClassifier,
    TokenClassifier,
)
from minitransformer.pretrained import ARCHITECTURES, load_pretrained, save_pretrained
from minitransformer.pretrained.tokenizers import read_roberta
from minitransformer.tokenizers import BPETokenizer, RobertaTokenizer
from minitransformer.tokenizers.roberta import SPECIAL

from ..arrays import same_bits
from .test_bert import TOKENIZER as PIECES
from .test_bert import change

TOKENIZER = RobertaTokenizer.train("the cat sat on the mat; the cat, the mat — né à Łódź 猫 and again", 290)
BODY = RoBERTa(TOKENIZER.vocab_size, 16, 1, 1, 2, 2, 6, 10)
MODELS = {
    "fill-mask": MaskedLanguageModel(BODY),
    "classify": TextClassifier(BODY, 3, drops_first=True, dropout_rate=0.4),
    "tag": TokenClassifier(BODY, 4),
    "answer": SpanFinder(BODY),
    "embed": SentenceEncoder(BODY),
}
every_head = pytest.mark.parametrize("command", MODELS)


@pytest.fixture
def saved(rng, tmp_path):
    """saved(command): the folder of a model that this command takes, the model and its parameters."""

    def save(command, tokenizer=TOKENIZER):
        model, folder = MODELS[command], tmp_path / "roberta"
        p = model.init(rng)
        save_pretrained(folder, model, p, tokenizer)
        return folder, model, p

    return save


def in_one(**more):
    """A tokenizer.json like the published one."""
    plain = {"lstrip": False, "rstrip": False, "single_word": False, "normalized": True, "special": True}
    vocab = {token.decode("latin-1"): id for id, token in enumerate(TOKENIZER.tokens)}
    return {
        "added_tokens": [{"id": i, "content": text} | plain for i, text in enumerate(SPECIAL[:4])]
        + [{"id": 4, "content": "<mask>"} | plain | {"lstrip": True}],
        "normalizer": None,
        "pre_tokenizer": {"type": "ByteLevel", "add_prefix_space": False, "trim_offsets": True},
        "post_processor": {"type": "RobertaProcessing", "sep": ["</s>", 2], "cls": ["<s>", 0]},
        "model": {"type": "BPE", "vocab": vocab, "merges": []},
    } | more


@every_head
def test_what_was_written_is_read(command, saved):
    folder, model, p = saved(command)
    found = load_pretrained(folder)
    assert found.model == model and same_bits(found.p, p)
    assert found.tokenizer.to_json() == TOKENIZER.to_json()
    config = json.loads((folder / "config.json").read_text())
    assert [config[f"{name}_token_id"] for name in ("bos", "pad", "eos")] == [0, 1, 2]
    assert repr(ARCHITECTURES["roberta"].config_of(model)["pad_token_id"]) == "1"  # no 1.0
    assert config["max_position_embeddings"] == 16 and load_pretrained(folder).model.body.context_length == 14


@every_head
def test_the_commands_read_with_it(command, saved, capsys):
    folder, *_ = saved(command)
    texts = ["cat", "--text", "the cat sat on the mat; " * 3] if command == "answer" else ["the <mask> sat", "<mask>"]
    more = ["--stride", "2", "--json"] if command == "answer" else ["--json"]
    assert main([command, str(folder), *texts, *more, "--backend", "reference"]) == 0
    rows = [json.loads(line) for line in capsys.readouterr().out.splitlines()]
    assert rows
    for row in rows:
        if command in ("answer", "tag"):
            text = texts[2] if command == "answer" else row["text"]
            found = row["answer" if command == "answer" else "span"]
            assert text[row["begin"] : row["end"]] == found and found == found.strip() != ""


@every_head
def test_a_text_as_long_as_the_context_and_longer(command, saved, capsys):
    """14 tokens, of 16 positions."""
    if command == "answer":
        return
    folder, *_ = saved(command)
    text = "<mask>" * 12
    assert main([command, str(folder), text, "--backend", "reference"]) == 0
    assert main([command, str(folder), text + "<mask>", "--backend", "reference"]) == 1
    assert "is longer than the 14 tokens of the model" in capsys.readouterr().err


@every_head
def test_a_body_without_the_prefix_and_with_what_heads_left(command, saved):
    """The tied table once more, another head's tensors, and numbers of places."""
    folder, model, p = saved(command)
    path = folder / "model.safetensors"
    bare = {name.removeprefix("roberta."): each for name, each in load_file(path).items()}
    bare |= {
        "lm_head.decoder.weight": p["body"]["token"]["weight"].copy(),
        "lm_head.decoder.bias": np.zeros(BODY.vocab_size, "f"),
        "embeddings.position_ids": np.arange(16),
        "pooler.dense.bias": np.zeros(6, "f"),
    }
    save_file(bare, path)
    assert same_bits(load_pretrained(folder).p, p)
    assert same_bits(load_pretrained(folder, head=SentenceEncoder).p["body"], p["body"])


@pytest.mark.parametrize(
    "config, message",
    [
        ({"architectures": ["RobertaForCausalLM"]}, "architectures is .*RobertaForMaskedLM"),
        ({"architectures": ["RobertaForQuestionAnswering"]}, "missing: qa_outputs.weight"),
        ({"architectures": ["RobertaForTokenClassification"]}, "missing: classifier.weight.*unknown: classifier.dense"),
        ({"hidden_act": "relu"}, "hidden_act is 'relu'; what is here has 'gelu'"),
        ({"hidden_size": 8}, "has shape"),
        ({"num_hidden_layers": 3}, "num_hidden_layers is 3, but there are tensors of 2 layers"),
        ({"num_hidden_layers": 10**9}, "tensors of 2 layers"),
        ({"intermediate_size": 10**11}, r"intermediate.dense.weight has shape \(10, 6\), expected \(10+, 6\)"),
        ({"max_position_embeddings": 14}, r"position_embeddings.weight has shape \(16, 6\), expected \(14, 6\)"),
        ({"max_position_embeddings": 2}, "n_positions=2 has no room behind padding_idx=1"),
        ({"max_position_embeddings": 10**30}, r"position_embeddings.weight has shape"),
        ({"type_vocab_size": 2}, r"token_type_embeddings.weight has shape \(1, 6\)"),
        ({"pad_token_id": 0}, "the id of padding is 1 in the tokenizer, but 0 in the model"),
        ({"pad_token_id": None}, "padding_idx=None is no id of a vocabulary"),
        ({"pad_token_id": 10**9}, "padding_idx=1000000000 is no id of a vocabulary"),
        ({"pad_token_id": "1"}, "padding_idx='1' is no id of a vocabulary"),
        ({"classifier_dropout": 1.5}, "below 1, not 1.5"),
        ({"classifier_dropout": "much"}, "config.json"),
        ({"layer_norm_eps": 0.0}, "eps must be a number above 0, not 0.0"),
        ({"vocab_size": 7}, "tokenizer has .* tokens, but the model's embedding 7"),
        (
            {"model_type": "xlm-roberta"},
            "has the model_type 'xlm-roberta'; there are: bert, distilbert, gpt2, llama, roberta",
        ),
        ({"is_decoder": True}, "is_decoder is True"),
    ],
)
def test_configurations_that_do_not_fit(config, message, saved):
    folder, *_ = saved("classify")
    change(folder / "config.json", **config)
    with pytest.raises(ValueError, match=message):
        load_pretrained(folder)


def test_the_id_of_padding_may_be_left_out(saved):
    folder, model, _ = saved("classify")
    config = json.loads((folder / "config.json").read_text())
    del config["pad_token_id"]
    (folder / "config.json").write_text(json.dumps(config))
    assert load_pretrained(folder).model == model


@pytest.mark.parametrize(
    "model, tokenizer, message",
    [
        (TextClassifier(BODY, 3), TOKENIZER, "over a RoBERTa is not published so: drops_first is False, not True"),
        (SpanFinder(BODY, 0.1), TOKENIZER, "dropout_rate is 0.1, not 0.0"),
        (MODELS["embed"], PIECES, "a WordPieceTokenizer has no published form here beside a roberta"),
        (MODELS["embed"], BPETokenizer.train("a", 256), "a BPETokenizer has no published form here beside a roberta"),
        (
            SentenceEncoder(RoBERTa(TOKENIZER.vocab_size, 16, 3, 1, 2, 2, 6, 10)),
            TOKENIZER,
            "the id of padding is 1 in the tokenizer, but 3 in the model",
        ),
    ],
)
def test_what_is_not_saved(model, tokenizer, message, rng, tmp_path):
    with pytest.raises(ValueError, match=message):
        save_pretrained(tmp_path / "roberta", model, model.init(rng), tokenizer)
    assert not (tmp_path / "roberta").exists()


# ----------------------------------------------------------------------------------------------------- the tokenizer


@pytest.mark.parametrize(
    "beside, takes",
    [
        ({}, True),
        ({"mask_token": "<mask>", "add_prefix_space": False, "cls_token": "<s>"}, True),
        ({"mask_token": {"content": "<mask>", "lstrip": True}}, True),
        ({"mask_token": {"content": "<mask>", "lstrip": False}}, False),
        ({"mask_token": {"content": "<mask>"}, "pad_token": {"content": "<pad>"}}, False),
    ],
)
def test_settings_beside(beside, takes, saved):
    folder, *_ = saved("embed")
    (folder / "tokenizer_config.json").write_text(json.dumps(beside))
    assert read_roberta(folder).mask_takes_spaces == takes
    (folder / "tokenizer_config.json").unlink()
    assert read_roberta(folder).mask_takes_spaces


@pytest.mark.parametrize(
    "name, content, message",
    [
        ("vocab.json", None, r"has no tokenizer: neither vocab\.json with merges\.txt nor tokenizer\.json"),
        ("vocab.json", {"a": 1}, "its ids are not 0, 1, 2"),
        ("tokenizer_config.json", [], "tokenizer_config.json is damaged"),
        ("tokenizer_config.json", {"add_prefix_space": True}, "add_prefix_space is true"),
        ("tokenizer_config.json", {"cls_token": "[CLS]"}, r"its cls_token is \[CLS\], and <s> is needed"),
        ("tokenizer_config.json", {"mask_token": {"content": "[MASK]"}}, r"its mask_token is \[MASK\], and <mask>"),
        ("tokenizer_config.json", {"mask_token": {"lstrip": True}}, "tokenizer_config.json is damaged"),
        ("tokenizer_config.json", {"pad_token": {"content": "<pad>", "lstrip": True}}, "its token <pad> has lstrip"),
        ("tokenizer_config.json", {"mask_token": {"content": "<mask>", "rstrip": True}}, "<mask> has rstrip"),
        ("tokenizer.json", [], "tokenizer.json is damaged"),
        ("tokenizer.json", {}, "its pre_tokenizer is {}"),
        ("tokenizer.json", in_one(normalizer={"type": "NFC"}), "it has a normalizer"),
        ("tokenizer.json", in_one(pre_tokenizer={"type": "ByteLevel", "add_prefix_space": True}), "its pre_tokenizer"),
        ("tokenizer.json", in_one(pre_tokenizer={"type": "Whitespace"}), "its pre_tokenizer is .*Whitespace"),
        ("tokenizer.json", in_one(post_processor=None), "its post_processor is {}, and RobertaProcessing"),
        (
            "tokenizer.json",
            in_one(post_processor={"type": "RobertaProcessing", "sep": ["[SEP]", 2], "cls": ["<s>", 0]}),
            "its post_processor is",
        ),
        (
            "tokenizer.json",
            in_one(post_processor={"type": "RobertaProcessing", "sep": [], "cls": []}),
            "post_processor",
        ),
        ("tokenizer.json", in_one(added_tokens=[{"id": 5, "content": "<e1>"}]), "special token of its own.*<e1>"),
        ("tokenizer.json", in_one(added_tokens=[{"id": 1, "content": "<pad>", "single_word": True}]), "single_word"),
        ("tokenizer.json", in_one(added_tokens=[{"id": 1}]), "tokenizer.json is damaged"),
    ],
)
def test_damaged_tokenizers(name, content, message, saved):
    folder, *_ = saved("embed")
    (folder / name).unlink(missing_ok=True)
    if content is not None:
        (folder / name).write_text(json.dumps(content))
    with pytest.raises(ValueError, match=message):
        load_pretrained(folder)


def test_special_tokens_of_its_own_beside_two_files(saved):
    """And those that are its own may be told there again; <|endoftext|>, which its vocabulary has too, is letters."""
    folder, *_ = saved("embed")
    vocab = json.loads((folder / "vocab.json").read_text(encoding="utf-8"))
    (folder / "added_tokens.json").write_text(json.dumps({"<mask>": vocab["<mask>"]}))
    assert read_roberta(folder).to_json() == TOKENIZER.to_json()
    (folder / "vocab.json").write_text(json.dumps(vocab | {"<|endoftext|>": len(vocab)}))
    assert len(read_roberta(folder).encode("a<|endoftext|>")) > 2
    (folder / "added_tokens.json").write_text(json.dumps({"<e1>": len(vocab) + 1}))
    with pytest.raises(ValueError, match="it has a special token of its own, which is not here: <e1>"):
        read_roberta(folder)


def test_special_tokens_that_are_missing(saved):
    folder, *_ = saved("embed")
    vocab = json.loads((folder / "vocab.json").read_text(encoding="utf-8"))
    vocab["[MASK]"] = vocab.pop("<mask>")
    (folder / "vocab.json").write_text(json.dumps(vocab))
    with pytest.raises(ValueError, match="its tokenizer is damaged or another: the vocabulary has no <mask>"):
        load_pretrained(folder)
