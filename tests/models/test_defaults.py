"""That a model is by default what its file calls published. (GPT-2's and the Transformer's have theirs beside them.)"""

from dataclasses import fields

import pytest

from minitransformer.models import (
    AWDLSTM,
    BERT,
    BahdanauSeq2Seq,
    DistilBERT,
    ELMo,
    LLaMA,
    LuongSeq2Seq,
    RoBERTa,
    Seq2Seq,
)

RATES = {"dropout_rate": 0.1, "attention_dropout_rate": 0.1}
BASE = {"n_layers": 12, "n_heads": 12, "d_model": 768, "d_ff": 3072, **RATES}
PUBLISHED = {
    BERT: {"vocab_size": 30522, "context_length": 512, "n_types": 2, **BASE, "eps": 1e-12},
    DistilBERT: {"vocab_size": 30522, "context_length": 512, **BASE, "n_layers": 6},
    RoBERTa: {"vocab_size": 50265, "n_positions": 514, "padding_idx": 1, "n_types": 1, **BASE, "eps": 1e-5},
    LLaMA: {
        **{"vocab_size": 32000, "context_length": 2048, "n_layers": 32, "n_heads": 32, "n_kv_heads": 32},
        **{"d_model": 4096, "d_head": 128, "d_ff": 11008, "eps": 1e-6, "rotary_base": 10000.0, "tied": False},
    },
    ELMo: {
        **{"n_characters": 262, "vocab_size": 793471, "d_character": 16, "n_highway": 2, "n_layers": 2, "d_model": 512},
        **{"filters": ((1, 32), (2, 32), (3, 64), (4, 128), (5, 256), (6, 512), (7, 1024)), "dropout_rate": 0.1},
    },
    AWDLSTM: {
        **{"vocab_size": 10000, "n_layers": 3, "d_model": 400, "d_hidden": 1150, "word_rate": 0.1},
        **{"input_rate": 0.4, "hidden_rate": 0.25, "output_rate": 0.4, "weight_rate": 0.5},
    },
    LuongSeq2Seq: {"vocab_size": 50000, "cell": "lstm", "n_layers": 4, "d_model": 1000, "dropout_rate": 0.2},
    BahdanauSeq2Seq: {"vocab_size": 30000, "cell": "gru", "n_layers": 1, "d_model": 1000, "dropout_rate": 0.0},
    Seq2Seq: {"vocab_size": 160000, "cell": "lstm", "n_layers": 4, "d_model": 1000, "summary": "last"},
}


@pytest.mark.parametrize("kind", PUBLISHED, ids=lambda kind: kind.__name__)
def test_the_defaults_are_the_published_ones(kind):
    defaults = {field.name: field.default for field in fields(kind)}
    assert {name: defaults[name] for name in PUBLISHED[kind]} == PUBLISHED[kind]
