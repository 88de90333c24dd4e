"""BERT as published: its configuration and the names of its tensors, with whichever head it has."""

from ..models import (
    BERT,
    MaskedLanguageModel,
    PreTraining,
    SentenceEncoder,
    SpanFinder,
    TextClassifier,
    TokenClassifier,
)
from ..ops import tanh
from .encoder import Encoder, Head

SIZES = {
    "vocab_size": "vocab_size",
    "context_length": "max_position_embeddings",
    "n_types": "type_vocab_size",
    "n_layers": "num_hidden_layers",
    "n_heads": "num_attention_heads",
    "d_model": "hidden_size",
    "d_ff": "intermediate_size",
}
SETTINGS = {
    "dropout_rate": ("hidden_dropout_prob", 0.1),
    "attention_dropout_rate": ("attention_probs_dropout_prob", 0.1),
    "eps": ("layer_norm_eps", 1e-12),
}
FIXED = {
    "hidden_act": ("gelu",),
    "position_embedding_type": ("absolute",),
    "is_decoder": (False,),
    "add_cross_attention": (False,),
    "tie_word_embeddings": (True,),
}
TABLES = {
    "embeddings.word_embeddings": ("token", "vocab_size"),
    "embeddings.position_embeddings": ("position", "context_length"),
    "embeddings.token_type_embeddings": ("type", "n_types"),
}
MAPS = {
    "attention.self.query": "attention.q",
    "attention.self.key": "attention.k",
    "attention.self.value": "attention.v",
    "attention.output.dense": "attention.out",
    "attention.output.LayerNorm": "norm1",
    "intermediate.dense": "feed_forward.up",
    "output.dense": "feed_forward.down",
    "output.LayerNorm": "norm2",
}
CLASSIFIER_DROPOUT = {"dropout_rate": ("classifier_dropout", None)}  # None: as the body's
SAID = {"cls.predictions.transform.dense": "transform", "cls.predictions.transform.LayerNorm": "norm"}
SAID_BIAS = {"cls.predictions.bias": "table.bias"}
HEADS = (
    Head("BertForMaskedLM", MaskedLanguageModel, SAID, SAID_BIAS),
    Head(
        "BertForPreTraining",
        PreTraining,
        SAID | {"bert.pooler.dense": "pooler", "cls.seq_relationship": "next"},
        SAID_BIAS,
    ),
    Head(
        "BertForSequenceClassification",
        TextClassifier,
        {"bert.pooler.dense": "pooler", "classifier": "classifier"},
        settings=CLASSIFIER_DROPOUT,
        fixed={"activation": tanh, "drops_first": False},
    ),
    Head("BertForTokenClassification", TokenClassifier, {"classifier": "classifier"}, settings=CLASSIFIER_DROPOUT),
    Head("BertForQuestionAnswering", SpanFinder, {"qa_outputs": "ends"}, fixed={"dropout_rate": 0.0}),
    Head("BertModel", SentenceEncoder, {}),
)
PUBLISHED = Encoder(
    "bert",
    BERT,
    SIZES,
    SETTINGS,
    FIXED,
    prefix="bert.",
    tables=TABLES,
    norm="embeddings.LayerNorm",
    layer="encoder.layer.",
    maps=MAPS,
    heads=HEADS,
    parts={PreTraining: MaskedLanguageModel},
    elsewhere=("bert.pooler.", "cls.", "classifier.", "qa_outputs.", "bert.embeddings.position_ids"),
)
