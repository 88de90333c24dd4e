"""Which model a configuration describes: what others' files say is held to what is published, not to what we write."""

import pytest

from minitransformer.models import BERT, GPT2, DistilBERT, LLaMA, MaskedLanguageModel, RoBERTa
from minitransformer.pretrained.folder import ARCHITECTURES

SIZES = {"n_layers": 2, "n_heads": 2, "d_model": 6}
MODELS = {
    "gpt2": GPT2(11, 8, **SIZES),
    "llama": LLaMA(11, 8, n_kv_heads=2, d_head=2, d_ff=5, **SIZES),
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


@pytest.mark.parametrize("kind, setting", [(kind, setting) for kind in SETTINGS for setting in SETTINGS[kind]])
def test_a_setting_as_published_and_as_in_another_model(kind, setting):
    published, other = SETTINGS[kind][setting]
    there, model = ARCHITECTURES[kind], MODELS[kind]
    config = there.config_of(model)
    assert config[setting] == published and there.model_of(config) == model
    assert there.model_of({name: value for name, value in config.items() if name != setting}) == model
    with pytest.raises(ValueError, match=f"{setting} is {other!r}; what is here has"):
        there.model_of(config | {setting: other})
