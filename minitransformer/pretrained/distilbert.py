"""DistilBERT as published: its configuration and the names of its tensors, with whichever head it has."""

from ..models import DistilBERT, MaskedLanguageModel, SentenceEncoder, SpanFinder, TextClassifier, TokenClassifier
from ..ops import relu
from .encoder import Encoder, Head

SIZES = {
    "vocab_size": "vocab_size",
    "context_length": "max_position_embeddings",
    "n_layers": "n_layers",
    "n_heads": "n_heads",
    "d_model": "dim",
    "d_ff": "hidden_dim",
}
SETTINGS = {"dropout_rate": ("dropout", 0.1), "attention_dropout_rate": ("attention_dropout", 0.1)}
FIXED = {
    "activation": ("gelu",),
    "sinusoidal_pos_embds": (False, True),  # only how its table began: it is in the file like any other
    "tie_word_embeddings": (True,),
}
MAPS = {
    "attention.q_lin": "attention.q",
    "attention.k_lin": "attention.k",
    "attention.v_lin": "attention.v",
    "attention.out_lin": "attention.out",
    "sa_layer_norm": "norm1",
    "ffn.lin1": "feed_forward.up",
    "ffn.lin2": "feed_forward.down",
    "output_layer_norm": "norm2",
}
HEADS = (
    Head(
        "DistilBertForMaskedLM",
        MaskedLanguageModel,
        {"vocab_transform": "transform", "vocab_layer_norm": "norm"},
        {"vocab_projector.bias": "table.bias"},
    ),
    Head(
        "DistilBertForSequenceClassification",
        TextClassifier,
        {"pre_classifier": "pooler", "classifier": "classifier"},
        settings={"dropout_rate": ("seq_classif_dropout", 0.2)},
        fixed={"activation": relu, "drops_first": False},
    ),
    Head(
        "DistilBertForTokenClassification",
        TokenClassifier,
        {"classifier": "classifier"},
        fixed={"dropout_rate": None},
    ),
    Head(
        "DistilBertForQuestionAnswering",
        SpanFinder,
        {"qa_outputs": "ends"},
        settings={"dropout_rate": ("qa_dropout", 0.1)},
    ),
    Head("DistilBertModel", SentenceEncoder, {}),
)
PUBLISHED = Encoder(
    "distilbert",
    DistilBERT,
    SIZES,
    SETTINGS,
    FIXED,
    prefix="distilbert.",
    tables={
        "embeddings.word_embeddings": ("token", "vocab_size"),
        "embeddings.position_embeddings": ("position", "context_length"),
    },
    norm="embeddings.LayerNorm",
    layer="transformer.layer.",
    maps=MAPS,
    heads=HEADS,
    elsewhere=("vocab_", "pre_classifier.", "classifier.", "qa_outputs.", "distilbert.embeddings.position_ids"),
)
