"""Which model a configuration describes: what others' files say is held to what is published, not to what we write."""

import pytest

from minitransformer.models import (
    BERT,
    GPT2,
    DistilBERT,
    LLaMA,
    MaskedLanguageModel,
    RoBERTa,
    SentenceEncoder,
    SpanFinder,
    TextClassifier,
)
from minitransformer.ops import relu
from minitransformer.pretrained.folder import ARCHITECTURES

SIZES = {"n_layers": 2, "n_heads": 2, "d_model": 8}
MODELS = {
    "gpt2": GPT2(11, 8, **SIZES),
    "llama": LLaMA(11, 8, n_kv_heads=1, d_head=2, eps=1e-3, tied=True, d_ff=5, **SIZES),
    "bert": MaskedLanguageModel(BERT(11, 8, d_ff=10, **SIZES)),
    "roberta": MaskedLanguageModel(RoBERTa(11, 10, d_ff=10, **SIZES)),
    "distilbert": MaskedLanguageModel(DistilBERT(11, 8, d_ff=10, **SIZES)),
}
BERTS = {
    "hidden_act": ("gelu", "gelu_new"),
    "position_embedding_type": ("absolute", "relative_key"),
    "is_decoder": (False, True),
    "add_cross_attention": (False, True),
    "tie_word_embeddings": (True, False),
}
SETTINGS = {  # as published, and as it is in another model
    "gpt2": {
        "activation_function": ("gelu_new", "gelu"),
        "layer_norm_epsilon": (1e-5, 1e-6),
        "scale_attn_weights": (True, False),
        "scale_attn_by_inverse_layer_idx": (False, True),
        "add_cross_attention": (False, True),
        "tie_word_embeddings": (True, False),
    },
    "llama": {
        "hidden_act": ("silu", "gelu"),
        "attention_bias": (False, True),
        "mlp_bias": (False, True),
        "pretraining_tp": (1, 2),
    },
    "bert": BERTS,
    "roberta": BERTS,
    "distilbert": {"activation": ("gelu", "relu"), "tie_word_embeddings": (True, False)},
}
HEADS = {
    "DistilBertForSequenceClassification": TextClassifier(MODELS["distilbert"].body, 3, activation=relu),
    "DistilBertForQuestionAnswering": SpanFinder(MODELS["distilbert"].body, dropout_rate=0.3),
}
BERTS_ABSENT = {"hidden_dropout_prob": 0.1, "attention_probs_dropout_prob": 0.1, "layer_norm_eps": 1e-12}
ABSENT = [  # what it is where nothing is said
    *(("bert", MODELS["bert"], name, value) for name, value in BERTS_ABSENT.items()),
    *(("roberta", MODELS["roberta"], name, value) for name, value in BERTS_ABSENT.items()),
    *(("distilbert", MODELS["distilbert"], name, 0.1) for name in ("dropout", "attention_dropout")),
    ("distilbert", HEADS["DistilBertForSequenceClassification"], "seq_classif_dropout", 0.2),
    ("distilbert", HEADS["DistilBertForQuestionAnswering"], "qa_dropout", 0.1),
    ("bert", SentenceEncoder(MODELS["bert"].body), "architectures", ["BertModel"]),
    ("llama", MODELS["llama"], "rms_norm_eps", 1e-6),
    ("llama", MODELS["llama"], "num_key_value_heads", 2),
    ("llama", MODELS["llama"], "head_dim", 4),
    ("llama", MODELS["llama"], "tie_word_embeddings", False),
]


@pytest.mark.parametrize("kind, setting", [(kind, setting) for kind in SETTINGS for setting in SETTINGS[kind]])
def test_a_setting_as_published_and_as_in_another_model(kind, setting):
    published, other = SETTINGS[kind][setting]
    there, model = ARCHITECTURES[kind], MODELS[kind]
    config = there.config_of(model)
    assert config[setting] == published and there.model_of(config) == model
    assert there.model_of({name: value for name, value in config.items() if name != setting}) == model
    with pytest.raises(ValueError, match=f"{setting} is {other!r}; what is here has"):
        there.model_of(config | {setting: other})


@pytest.mark.parametrize("kind, model, setting, value", ABSENT, ids=lambda each: each if isinstance(each, str) else "")
def test_what_is_not_said(kind, model, setting, value):
    there = ARCHITECTURES[kind]
    config = there.config_of(model, ["a", "b", "c"])
    del config[setting]
    assert there.model_of(config) == there.model_of(config | {setting: value})


@pytest.mark.parametrize("kind", MODELS)
def test_every_size_must_be_said(kind):
    there = ARCHITECTURES[kind]
    config = there.config_of(MODELS[kind])
    sizes = (there.SIZES if hasattr(there, "SIZES") else there.sizes).values()
    assert len(sizes) >= 5
    for name in sizes:
        with pytest.raises(ValueError, match=f"there is no {name}$"):
            there.model_of({other: value for other, value in config.items() if other != name})
