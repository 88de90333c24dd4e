"""RoBERTa as published: its layers are called as BERT's are, its heads otherwise."""

from ..models import MaskedLanguageModel, RoBERTa, SentenceEncoder, SpanFinder, TextClassifier, TokenClassifier
from ..ops import tanh
from . import bert
from .encoder import Encoder, Head

SIZES = {"n_positions" if ours == "context_length" else ours: theirs for ours, theirs in bert.SIZES.items()}
HEADS = (
    Head(
        "RobertaForMaskedLM",
        MaskedLanguageModel,
        {"lm_head.dense": "transform", "lm_head.layer_norm": "norm"},
        {"lm_head.bias": "table.bias"},
    ),
    Head(
        "RobertaForSequenceClassification",
        TextClassifier,
        {"classifier.dense": "pooler", "classifier.out_proj": "classifier"},
        settings=bert.CLASSIFIER_DROPOUT,
        fixed={"activation": tanh, "drops_first": True},
    ),
    Head(
        "RobertaForTokenClassification", TokenClassifier, {"classifier": "classifier"}, settings=bert.CLASSIFIER_DROPOUT
    ),
    Head("RobertaForQuestionAnswering", SpanFinder, {"qa_outputs": "ends"}, fixed={"dropout_rate": 0.0}),
    Head("RobertaModel", SentenceEncoder, {}),
)
PUBLISHED = Encoder(
    "roberta",
    RoBERTa,
    SIZES,
    bert.SETTINGS | {"padding_idx": ("pad_token_id", 1)},
    bert.FIXED,
    prefix="roberta.",
    tables=bert.TABLES | {"embeddings.position_embeddings": ("position", "n_positions")},
    norm="embeddings.LayerNorm",
    layer="encoder.layer.",
    maps=bert.MAPS,
    heads=HEADS,
    elsewhere=("roberta.pooler.", "lm_head.", "classifier.", "qa_outputs.", "roberta.embeddings.position_ids"),
)
