"""BERT folders: what is written is read again, whatever head is asked for, and what does not fit is said."""

import json

import numpy as np
import pytest
from safetensors.numpy import load_file, save_file

from minitransformer.models import (
    BERT,
    MaskedLanguageModel,
    PreTraining,
    SentenceEncoder,
    SpanFinder,
    TextClassifier,
    TokenClassifier,
)
from minitransformer.pretrained import labels_of, load_pretrained, save_pretrained
from minitransformer.tokenizers import WordPieceTokenizer

from ..arrays import same_bits

TOKENIZER = WordPieceTokenizer.train("the cat sat on the mat; the cat, the mat — né à Łódź 猫 and again", 60)
BODY = BERT(TOKENIZER.vocab_size, 9, 2, 2, 2, 6, 10)
MODELS = [
    MaskedLanguageModel(BODY),
    TextClassifier(BODY, 3),
    TokenClassifier(BODY, 4),
    SpanFinder(BODY),
    SentenceEncoder(BODY),
    PreTraining(BODY),
]
IN_ONE = {
    "model": {"type": "WordPiece", "vocab": {}},
    "normalizer": {"type": "BertNormalizer", "clean_text": True, "handle_chinese_chars": True, "lowercase": True},
    "pre_tokenizer": {"type": "BertPreTokenizer"},
}
every_head = pytest.mark.parametrize("model", MODELS, ids=lambda model: type(model).__name__)


def saved(model, rng, folder, **more):
    p = model.init(rng)
    save_pretrained(folder, model, p, TOKENIZER, **more)
    return p


def change(path, **more):
    path.write_text(json.dumps(json.loads(path.read_text(encoding="utf-8")) | more), encoding="utf-8")


@every_head
def test_what_was_written_is_read(model, rng, tmp_path):
    p = saved(model, rng, tmp_path / "bert")
    found = load_pretrained(tmp_path / "bert")
    assert found.model == model and same_bits(found.p, p)
    assert found.tokenizer.to_json() == TOKENIZER.to_json()


@pytest.mark.parametrize("lowercase, strip_accents", [(False, None), (True, False), (False, True)])
def test_the_tokenizers_settings_are_kept(lowercase, strip_accents, rng, tmp_path):
    tokenizer = WordPieceTokenizer(TOKENIZER.vocabulary, lowercase=lowercase, strip_accents=strip_accents)
    save_pretrained(tmp_path / "bert", MODELS[-1], MODELS[-1].init(rng), tokenizer)
    assert load_pretrained(tmp_path / "bert").tokenizer.to_json() == tokenizer.to_json()


def test_labels_are_kept(rng, tmp_path):
    saved(MODELS[1], rng, tmp_path / "a", labels=["good", "bad", "so so"])
    assert labels_of(load_pretrained(tmp_path / "a")) == ["good", "bad", "so so"]
    saved(MODELS[1], rng, tmp_path / "b")
    assert labels_of(load_pretrained(tmp_path / "b")) == ["LABEL_0", "LABEL_1", "LABEL_2"]


@pytest.mark.parametrize("model, labels", [(MODELS[1], ["a", "b"]), (MODELS[1], ["a", "a", "b"]), (MODELS[0], ["a"])])
def test_labels_that_are_not_those_of_the_model_are_not_saved(model, labels, rng, tmp_path):
    with pytest.raises(ValueError, match="classes have . names, each another"):
        saved(model, rng, tmp_path / "bert", labels=labels)
    assert not (tmp_path / "bert").exists()


def test_padding_has_the_id_that_the_vocabulary_gives_it(rng, tmp_path):
    tokenizer = WordPieceTokenizer([*TOKENIZER.vocabulary[1:], "[PAD]"])
    save_pretrained(tmp_path / "bert", MODELS[0], MODELS[0].init(rng), tokenizer)
    config = json.loads((tmp_path / "bert" / "config.json").read_text())
    assert config["pad_token_id"] == tokenizer.pad == tokenizer.vocab_size - 1


def test_a_folder_of_ours_is_no_published_one(tmp_path):
    (tmp_path / "config.json").write_text('{"task": "text"}')
    with pytest.raises(ValueError, match="is not that of a published model, but of a run"):
        load_pretrained(tmp_path)


@pytest.mark.parametrize("token", ["a\nb", "x\r", "x\ry"])
def test_a_token_that_would_break_its_line(token, rng, tmp_path):
    tokenizer = WordPieceTokenizer([*TOKENIZER.vocabulary[:-1], token])
    with pytest.raises(ValueError, match="has a line break"):
        save_pretrained(tmp_path / "bert", MODELS[0], MODELS[0].init(rng), tokenizer)
    assert not (tmp_path / "bert").exists()


def test_a_bare_body_is_not_saved(rng, tmp_path):
    with pytest.raises(ValueError, match="a BERT has no published form here; there are: MaskedLanguageModel, "):
        save_pretrained(tmp_path / "bert", BODY, BODY.init(rng), TOKENIZER)


@every_head
def test_the_body_under_another_head(model, rng, tmp_path):
    p = saved(model, rng, tmp_path / "bert")
    found = load_pretrained(tmp_path / "bert", head=SentenceEncoder)
    assert found.model == SentenceEncoder(BODY) and same_bits(found.p["body"], p["body"])
    for head in map(type, MODELS[:4]):
        if type(model) is PreTraining and head is MaskedLanguageModel:  # which is a part of it
            found = load_pretrained(tmp_path / "bert", head=head)
            assert found.model == MODELS[0] and same_bits(found.p, {name: p[name] for name in found.p})
        elif type(model) is not head:
            message = f"its head is that of a {type(model).__name__}, and not of a {head.__name__}"
            with pytest.raises(ValueError, match=message):
                load_pretrained(tmp_path / "bert", head=head)


def test_a_head_that_is_not_there(rng, tmp_path):
    saved(MODELS[4], rng, tmp_path / "bert")
    change(tmp_path / "bert" / "config.json", architectures=["BertForQuestionAnswering"])
    with pytest.raises(ValueError, match="missing: qa_outputs.weight; missing: qa_outputs.bias"):
        load_pretrained(tmp_path / "bert")


def test_names_as_the_first_files_have_them(rng, tmp_path):
    """gamma and beta, a second head, the tied table once more, and numbers of places."""
    p = saved(MODELS[0], rng, tmp_path / "bert")
    path = tmp_path / "bert" / "model.safetensors"
    old = {
        name.replace("LayerNorm.weight", "LayerNorm.gamma").replace("LayerNorm.bias", "LayerNorm.beta"): each
        for name, each in load_file(path).items()
    }
    old |= {
        "bert.embeddings.position_ids": np.arange(9)[None],
        "bert.pooler.dense.weight": np.zeros((6, 6), "f"),
        "bert.pooler.dense.bias": np.zeros(6, "f"),
        "cls.seq_relationship.weight": np.zeros((2, 6), "f"),
        "cls.seq_relationship.bias": np.zeros(2, "f"),
        "cls.predictions.decoder.weight": p["body"]["token"]["weight"].copy(),
        "cls.predictions.decoder.bias": p["table"]["bias"].copy(),
    }
    save_file(old, path)
    change(tmp_path / "bert" / "config.json", architectures=["BertForPreTraining"])
    found = load_pretrained(tmp_path / "bert", head=MaskedLanguageModel)
    assert found.model == MODELS[0] and same_bits(found.p, p)
    both = load_pretrained(tmp_path / "bert")
    assert both.model == MODELS[5] and not both.p["pooler"]["weight"].any()


def test_a_body_without_the_prefix(rng, tmp_path):
    p = saved(MODELS[4], rng, tmp_path / "bert")
    path = tmp_path / "bert" / "model.safetensors"
    save_file({name.removeprefix("bert."): each for name, each in load_file(path).items()}, path)
    assert same_bits(load_pretrained(tmp_path / "bert").p, p)


def test_a_tensor_twice(rng, tmp_path):
    saved(MODELS[4], rng, tmp_path / "bert")
    path = tmp_path / "bert" / "model.safetensors"
    tensors = load_file(path)
    tensors["embeddings.LayerNorm.weight"] = tensors["bert.embeddings.LayerNorm.weight"].copy()
    save_file(tensors, path)
    with pytest.raises(ValueError, match="bert.embeddings.LayerNorm.weight is there twice"):
        load_pretrained(tmp_path / "bert")


@pytest.mark.parametrize(
    "config, message",
    [
        ({"architectures": ["BertLMHeadModel"]}, "architectures is .*BertForMaskedLM"),
        ({"architectures": "BertModel"}, "architectures is"),
        ({"architectures": [["BertModel"]]}, "architectures is"),
        ({"architectures": [10**400]}, r"architectures is \[1000{,99}\.\.\.; there are"),
        ({"hidden_act": "relu"}, "hidden_act is 'relu'; what is here has 'gelu'"),
        ({"position_embedding_type": "relative_key"}, "position_embedding_type"),
        ({"hidden_size": 7}, "n_heads=2 does not divide d_model=7"),
        ({"hidden_size": 8}, "has shape"),
        ({"num_hidden_layers": 3}, "num_hidden_layers is 3, but there are tensors of 2 layers"),
        ({"num_hidden_layers": 10**9}, "tensors of 2 layers"),
        ({"intermediate_size": 11}, r"has shape \(10, 6\), expected \(11, 6\)"),
        ({"intermediate_size": 10**11}, r"intermediate.dense.weight has shape \(10, 6\), expected \(10+, 6\)"),
        ({"max_position_embeddings": 10**30}, r"position_embeddings.weight has shape"),
        ({"type_vocab_size": 3}, r"token_type_embeddings.weight has shape"),
        ({"layer_norm_eps": float("inf")}, "eps must be a number above 0, not inf"),
        ({"attention_probs_dropout_prob": None}, "a dropout rate must be at least 0 and below 1, not None"),
        ({"vocab_size": 7}, "tokenizer has .* tokens, but the model's embedding 7"),
        ({"hidden_dropout_prob": "much"}, "config.json"),
        ({"attention_probs_dropout_prob": 1.0}, "below 1"),
        ({"layer_norm_eps": None}, "eps must be a number above 0, not None"),
        ({"model_type": "deberta"}, "model_type 'deberta'; there are: bert, distilbert, gpt2, llama, roberta"),
    ],
)
def test_configurations_that_do_not_fit(config, message, rng, tmp_path):
    saved(MODELS[0], rng, tmp_path / "bert")
    change(tmp_path / "bert" / "config.json", **config)
    with pytest.raises(ValueError, match=message):
        load_pretrained(tmp_path / "bert")


@pytest.mark.parametrize(
    "labels", [{"0": "a"}, {"0": "a", "2": "b"}, {"1": "a", "2": "b"}, ["a", "b"], {}, {"0": "a", "1": "a", "2": "b"}]
)
def test_labels_that_do_not_fit(labels, rng, tmp_path):
    saved(MODELS[1], rng, tmp_path / "bert")
    change(tmp_path / "bert" / "config.json", id2label=labels)
    with pytest.raises(ValueError, match=r"id2label|has shape|n_classes|1 label"):
        load_pretrained(tmp_path / "bert")


@pytest.mark.parametrize("n", [0, -1, 10**12, "2", 2.0])
def test_numbers_of_labels_that_make_no_sense(n, rng, tmp_path):
    saved(MODELS[1], rng, tmp_path / "bert")
    change(tmp_path / "bert" / "config.json", id2label=None, num_labels=n)
    with pytest.raises(ValueError, match="num_labels is"):
        load_pretrained(tmp_path / "bert")


def test_a_parameter_of_whole_numbers(rng, tmp_path):
    saved(MODELS[4], rng, tmp_path / "bert")
    path = tmp_path / "bert" / "model.safetensors"
    save_file(load_file(path) | {"bert.embeddings.LayerNorm.bias": np.zeros(6, np.int64)}, path)
    with pytest.raises(ValueError, match="LayerNorm.bias is of dtype I64, which is of whole numbers"):
        load_pretrained(tmp_path / "bert")


@pytest.mark.parametrize(
    "name, content, message",
    [
        ("vocab.txt", None, "neither vocab.txt nor tokenizer.json"),
        ("vocab.txt", b"\xff\n", "vocab.txt is damaged"),
        ("vocab.txt", b"a\nb\n", r"has no \[PAD\]"),
        ("vocab.txt", b"[PAD]\n[UNK]\n[CLS]\n[SEP]\n[MASK]\na\na\n", "comes twice"),
        ("vocab.txt", b"", r"has no \[PAD\]"),
        ("tokenizer_config.json", b"[]", "tokenizer_config.json is damaged"),
        ("tokenizer_config.json", b"{", "tokenizer_config.json is damaged"),
        ("tokenizer_config.json", b'{"do_lower_case": "no"}', "neither true nor false"),
        ("tokenizer_config.json", b'{"tokenize_chinese_chars": false}', "tokenize_chinese_chars is false"),
        ("tokenizer_config.json", b'{"tokenizer_class": "BertJapaneseTokenizer"}', "another than BERT's: .*Japanese"),
        ("tokenizer_config.json", b'{"tokenizer_class": "MPNetTokenizer"}', "another than BERT's: .*MPNet"),
        ("tokenizer_config.json", b'{"tokenizer_class": "FunnelTokenizer"}', "another than BERT's: .*Funnel"),
        ("tokenizer_config.json", b'{"tokenizer_class": ["BertTokenizer"]}', "another than BERT's"),
        ("tokenizer_config.json", b'{"word_tokenizer_type": "mecab"}', "another than BERT's: .*'mecab'"),
        ("tokenizer_config.json", b'{"subword_tokenizer_type": "character"}', "another than BERT's: .*'character'"),
        ("added_tokens.json", b'{"[MASK]": 5}', r"vocab\.txt is damaged or .*its ids are not 0, 1, 2"),
        ("added_tokens.json", b'{"[MASK]": true}', "its ids are not 0, 1, 2"),
        ("added_tokens.json", b'{"<e1>": 5}', r"vocab\.txt is damaged or .*special tokens of its own.*<e1>"),
        (
            "tokenizer_config.json",
            b'{"added_tokens_decoder": {"5": {"content": "<e1>"}}}',
            r"vocab\.txt is damaged or .*special tokens of its own.*<e1>",
        ),
        ("tokenizer.json", b"{}", "tokenizer.json is damaged or another tokenizer"),
        ("tokenizer.json", b"[]", "tokenizer.json is damaged or another tokenizer"),
        ("tokenizer.json", b'{"model": {"type": "BPE", "vocab": {}}}', "of the kind BPE, and WordPiece is needed"),
        ("tokenizer.json", b'{"model": {"type": "WordPiece", "vocab": {}}, "normalizer": null}', "its normalizer has"),
        ("tokenizer.json", {"pre_tokenizer": {"type": "Whitespace"}}, "its pre_tokenizer has"),
        ("tokenizer.json", {"model": {"vocab": {}, "continuing_subword_prefix": "@@"}}, "its model has .*@@"),
        ("tokenizer.json", {"model": {"vocab": {}, "max_input_chars_per_word": 5}}, "its model has .*5"),
        ("tokenizer.json", {"added_tokens": [{"content": "<e1>", "id": 5}]}, "special tokens of its own.*<e1>"),
        ("tokenizer.json", {"model": {"vocab": {"a": 1}}}, "its ids are not 0, 1, 2"),
    ],
)
def test_damaged_tokenizers(name, content, message, rng, tmp_path):
    saved(MODELS[4], rng, tmp_path / "bert")
    path = tmp_path / "bert" / name
    if isinstance(content, dict):
        content = json.dumps(IN_ONE | content).encode()
    path.unlink() if content is None else path.write_bytes(content)
    with pytest.raises(ValueError, match=message):
        load_pretrained(tmp_path / "bert")


def test_one_file_and_the_settings_beside_it(rng, tmp_path):
    """Where both speak, it is the settings that hold, as for transformers, unless its class has none of its own."""
    saved(MODELS[4], rng, tmp_path / "bert")
    vocab = {text: id for id, text in enumerate(TOKENIZER.vocabulary)}
    model = {"type": "WordPiece", "vocab": vocab, "unk_token": "[UNK]", "max_input_chars_per_word": 100}
    (tmp_path / "bert" / "tokenizer.json").write_text(json.dumps(IN_ONE | {"model": model}))
    change(tmp_path / "bert" / "tokenizer_config.json", do_lower_case=False)
    assert not load_pretrained(tmp_path / "bert").tokenizer.lowercase
    for name in ("PreTrainedTokenizerFast", "TokenizersBackend"):
        change(tmp_path / "bert" / "tokenizer_config.json", tokenizer_class=name, tokenize_chinese_chars=False)
        assert load_pretrained(tmp_path / "bert").tokenizer.lowercase
    (tmp_path / "bert" / "tokenizer_config.json").unlink()
    found = load_pretrained(tmp_path / "bert").tokenizer
    assert found.lowercase and found.vocabulary == TOKENIZER.vocabulary


def test_a_class_without_its_one_file(rng, tmp_path):
    """vocab.txt says nothing of capitals: the settings do, whatever the class; and its name may stand beside, too."""
    saved(MODELS[4], rng, tmp_path / "bert")
    change(tmp_path / "bert" / "tokenizer_config.json", tokenizer_class="PreTrainedTokenizerFast", do_lower_case=False)
    assert not load_pretrained(tmp_path / "bert").tokenizer.lowercase
    plain = {"word_tokenizer_type": "basic", "subword_tokenizer_type": "wordpiece", "tokenizer_class": None}
    change(tmp_path / "bert" / "tokenizer_config.json", **plain)
    assert not load_pretrained(tmp_path / "bert").tokenizer.lowercase
    for name in ("ElectraTokenizer", "ElectraTokenizerFast", "MobileBertTokenizer", "LayoutLMTokenizerFast"):
        change(tmp_path / "bert" / "tokenizer_config.json", tokenizer_class=name)
        assert load_pretrained(tmp_path / "bert").tokenizer.to_json() == TOKENIZER.to_json() | {"lowercase": False}
    change(tmp_path / "bert" / "config.json", tokenizer_class="BertJapaneseTokenizer")
    with pytest.raises(ValueError, match=r"config\.json: its tokenizer is another than BERT's: .*Japanese"):
        load_pretrained(tmp_path / "bert")


@pytest.mark.parametrize(
    "more, message",
    [
        ({"problem_type": "multi_label_classification"}, "not one class among several"),
        ({"problem_type": "regression"}, "not one class among several"),
        ({"id2label": {"0": "score"}}, "1 label"),
    ],
)
def test_what_gives_no_class(more, message, rng, tmp_path):
    saved(MODELS[1], rng, tmp_path / "bert")
    change(tmp_path / "bert" / "config.json", **more)
    with pytest.raises(ValueError, match=message):
        load_pretrained(tmp_path / "bert")


def test_a_special_token_that_was_added(rng, tmp_path):
    """Behind a vocabulary that was made without it."""
    saved(MODELS[4], rng, tmp_path / "bert")
    others, n = [text for text in TOKENIZER.vocabulary if text != "[MASK]"], TOKENIZER.vocab_size - 1
    (tmp_path / "bert" / "vocab.txt").write_text("".join(f"{text}\n" for text in others), encoding="utf-8")
    (tmp_path / "bert" / "added_tokens.json").write_text(json.dumps({"[MASK]": n, "[PAD]": 0}))
    found = load_pretrained(tmp_path / "bert").tokenizer
    assert found.vocabulary == [*others, "[MASK]"] and found.mask == n


def test_lines_that_end_as_on_windows(rng, tmp_path):
    saved(MODELS[4], rng, tmp_path / "bert")
    path = tmp_path / "bert" / "vocab.txt"
    path.write_bytes(path.read_bytes().replace(b"\n", b"\r\n").removesuffix(b"\r\n"))
    assert load_pretrained(tmp_path / "bert").tokenizer.vocabulary == TOKENIZER.vocabulary
