"""BERT as published: its configuration and the names of its tensors, with whichever head it has.

The head follows from `architectures`; one can also ask for another one, and find its tensors missing or not.
"""

from typing import Any, NamedTuple

from ..models import BERT, MaskedLanguageModel, SentenceEncoder, SpanFinder, TextClassifier, TokenClassifier
from .config import check_config
from .names import Row

MODELS = (MaskedLanguageModel, SentenceEncoder, SpanFinder, TextClassifier, TokenClassifier)
SIZES = {  # ours -> theirs
    "vocab_size": "vocab_size",
    "context_length": "max_position_embeddings",
    "n_types": "type_vocab_size",
    "n_layers": "num_hidden_layers",
    "n_heads": "num_attention_heads",
    "d_model": "hidden_size",
    "d_ff": "intermediate_size",
}
FIXED = {  # theirs -> the values with which it is the model that we have; the first is the published one
    "hidden_act": ("gelu",),
    "position_embedding_type": ("absolute",),
    "is_decoder": (False,),
    "add_cross_attention": (False,),
    "tie_word_embeddings": (True,),
}
MOST_CLASSES = 1_000_000
PREFIX = "bert."  # which files of a body alone have not
INSIDE = ("embeddings.", "encoder.", "pooler.")


class Head(NamedTuple):
    """A head of ours, and its tensors."""

    architecture: str
    model: Any
    maps: dict  # theirs -> ours; linear maps and norms, each a weight and a bias
    biases: dict = {}  # theirs -> ours; a parameter each


HEADS = (
    Head(
        "BertForMaskedLM",
        MaskedLanguageModel,
        {"cls.predictions.transform.dense": "transform", "cls.predictions.transform.LayerNorm": "norm"},
        {"cls.predictions.bias": "table.bias"},
    ),
    Head("BertForSequenceClassification", TextClassifier, {"bert.pooler.dense": "pooler", "classifier": "classifier"}),
    Head("BertForTokenClassification", TokenClassifier, {"classifier": "classifier"}),
    Head("BertForQuestionAnswering", SpanFinder, {"qa_outputs": "ends"}),
    Head("BertModel", SentenceEncoder, {}),
)
OTHERS = {"BertForPreTraining": MaskedLanguageModel}  # it has a second head, which tells whether a text follows another
ELSEWHERE = (  # what one head has, and another does not look at; and numbers of places, which are no parameters
    "bert.pooler.",
    "cls.",
    "classifier.",
    "qa_outputs.",
    "bert.embeddings.position_ids",
)


def head_of(model):
    return next(head for head in HEADS if type(model) is head.model)


def model_of(config, head=None):
    """The model that config.json describes, or that body under another head. ValueError for what we do not have."""
    check_config(config, SIZES, FIXED)
    body = BERT(
        **{ours: config[theirs] for ours, theirs in SIZES.items()},
        dropout_rate=config.get("hidden_dropout_prob", 0.1),
        attention_dropout_rate=config.get("attention_probs_dropout_prob", 0.1),
        eps=config.get("layer_norm_eps", 1e-12),
    )
    there = published_head(config)
    head = head or there
    if head not in (there, SentenceEncoder):  # which takes any body; other heads may have tensors of the same names
        raise ValueError(f"its head is that of a {there.__name__}, and not of a {head.__name__}")
    if head not in (TextClassifier, TokenClassifier):
        return head(body)
    if config.get("problem_type") not in (None, "single_label_classification") or len(labels_of(config)) == 1:
        what = f"problem_type {config.get('problem_type')!r}, {len(labels_of(config))} label(s)"
        raise ValueError(f"it is not one class among several that it gives ({what}), and nothing else is here")
    return head(body, len(labels_of(config)))


def published_head(config):
    known = {head.architecture: head.model for head in HEADS} | OTHERS
    names = config.get("architectures") or ["BertModel"]
    if not isinstance(names, list) or not isinstance(names[0], str) or names[0] not in known:
        raise ValueError(f"architectures is {names!r}; there are: {', '.join(known)}")
    return known[names[0]]


def labels_of(config):
    """[label], by class: id2label, or LABEL_0, LABEL_1, ... of as many as there are"""
    labels, n = config.get("id2label"), config.get("num_labels", 2)
    if labels is None:
        if type(n) is not int or not 1 <= n <= MOST_CLASSES:
            raise ValueError(f"num_labels is {n!r}, and not from 1 to {MOST_CLASSES:,}")
        return [f"LABEL_{i}" for i in range(n)]
    if not isinstance(labels, dict) or sorted(labels) != sorted(map(str, range(len(labels)))):
        raise ValueError("id2label does not name the classes 0, 1, 2, ... each once")
    if len(set(map(str, labels.values()))) < len(labels):
        raise ValueError("id2label gives two classes one name")
    return [str(labels[str(i)]) for i in range(len(labels))]


def config_of(model, labels=None):
    """What config.json says of this model."""
    body, head = model.body, head_of(model)
    sizes = {theirs: getattr(body, ours) for ours, theirs in SIZES.items()}
    dropout = {
        "hidden_dropout_prob": float(body.dropout_rate),
        "attention_probs_dropout_prob": float(body.attention_dropout_rate),
    }
    fixed = {name: values[0] for name, values in FIXED.items()} | {"layer_norm_eps": float(body.eps)}
    named = {}
    if hasattr(model, "n_classes"):
        labels = labels or [f"LABEL_{i}" for i in range(model.n_classes)]
        named = {
            "id2label": {str(i): label for i, label in enumerate(labels)},
            "label2id": {label: i for i, label in enumerate(labels)},
        }
    return {"model_type": "bert", "architectures": [head.architecture], **sizes, **dropout, **fixed, **named}


def table(model):
    """[Row, ...] of all parameters."""
    head, rows = head_of(model), []

    def pair(theirs, ours):
        rows.extend(Row(f"{theirs}.{kind}", (f"{ours}.{kind}",)) for kind in ("weight", "bias"))

    for theirs, ours in (("word", "token"), ("position", "position"), ("token_type", "type")):
        rows.append(Row(f"bert.embeddings.{theirs}_embeddings.weight", (f"body.{ours}.weight",)))
    pair("bert.embeddings.LayerNorm", "body.norm")
    for i in range(model.body.n_layers):
        ours, theirs = f"body.layers.{i}.", f"bert.encoder.layer.{i}."
        for their_map, our_map in (("query", "q"), ("key", "k"), ("value", "v")):
            pair(f"{theirs}attention.self.{their_map}", f"{ours}attention.{our_map}")
        pair(f"{theirs}attention.output.dense", f"{ours}attention.out")
        pair(f"{theirs}attention.output.LayerNorm", f"{ours}norm1")
        pair(f"{theirs}intermediate.dense", f"{ours}feed_forward.up")
        pair(f"{theirs}output.dense", f"{ours}feed_forward.down")
        pair(f"{theirs}output.LayerNorm", f"{ours}norm2")
    for theirs, ours in head.maps.items():
        pair(theirs, ours)
    return rows + [Row(theirs, (ours,)) for theirs, ours in head.biases.items()]


def check_sizes(model, stored):
    """What config.json says of the sizes, against the tensors: before anything is made of those sizes."""
    body, layer = model.body, "bert.encoder.layer."
    numbers = {name.removeprefix(layer).partition(".")[0] for name in stored if name.startswith(layer)}
    if len(numbers) != body.n_layers:
        raise ValueError(f"num_hidden_layers is {body.n_layers}, but there are tensors of {len(numbers)} layers")
    rows = {
        "bert.embeddings.word_embeddings.weight": body.vocab_size,
        "bert.embeddings.position_embeddings.weight": body.context_length,
        "bert.embeddings.token_type_embeddings.weight": body.n_types,
        f"{layer}0.intermediate.dense.weight": body.d_ff,
    }
    for name, n in rows.items():
        if name in stored and stored[name].shape != (n, body.d_model):
            raise ValueError(f"{name} has shape {stored[name].shape}, expected {(n, body.d_model)}")


def our_view(stored, model):
    """The tensors under their newest names, and without what is no parameter of this model: other heads' among them."""
    head, found = head_of(model), {}
    ours = tuple(f"{name}." for name in head.maps) + tuple(head.biases)
    for name, each in stored.items():
        name = PREFIX + name if name.startswith(INSIDE) else name
        for old, new in ((".gamma", ".weight"), (".beta", ".bias")):  # as they were called in the first files
            name = name.removesuffix(old) + new if name.endswith(old) else name
        if name in found:
            raise ValueError(f"{name} is there twice, under two names")
        if name.startswith(ours) or not name.startswith(ELSEWHERE):
            found[name] = each
    return found
