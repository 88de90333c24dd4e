"""The twins of BERT and those after it, and of the heads over them: those of transformers, with our weights."""

from typing import Any, NamedTuple

import torch
import transformers
from torch import nn

from minitransformer import models, ops
from minitransformer.convention import fold
from minitransformer.pretrained import ARCHITECTURES
from minitransformer.training.losses import label_loss, masked_token_loss, pretraining_loss
from minitransformer.trees import leaves

from .twins import call, twin, twin_of

TASKS = {
    models.MaskedLanguageModel: "ForMaskedLM",
    models.PreTraining: "ForPreTraining",
    models.SentenceEncoder: "Model",
    models.SpanFinder: "ForQuestionAnswering",
    models.TextClassifier: "ForSequenceClassification",
    models.TokenClassifier: "ForTokenClassification",
}


class Family(NamedTuple):
    """What transformers calls our bodies: its classes begin so, and its files have this before the body's names."""

    name: str
    published: Any

    def kind(self, head):
        return getattr(transformers, self.name + TASKS[head])

    def configuration(self, **settings):
        return getattr(transformers, f"{self.name}Config")(**settings)


FAMILIES = {
    models.BERT: Family("Bert", ARCHITECTURES["bert"]),
    models.DistilBERT: Family("DistilBert", ARCHITECTURES["distilbert"]),
    models.RoBERTa: Family("Roberta", ARCHITECTURES["roberta"]),
}


def family_of(model):
    return FAMILIES[type(model.body)]


def every_row_learns(module):
    """The row of padding, too: what is said at places of padding comes from there, as everything else."""
    for part in module.modules():
        if isinstance(part, nn.Embedding):
            part.padding_idx = None
    return module


def published(model):
    """transformers' model of this kind and size, in float64, and as in evaluation."""
    family = family_of(model)
    config = family.configuration(**family.published.config_of(model), attn_implementation="eager")
    return every_row_learns(unpooled(family.kind(type(model)), config)).double().eval()


def unpooled(kind, config):
    """A body alone without what follows it in theirs: some come with a pooler."""
    pooled = kind in (transformers.BertModel, transformers.RobertaModel)
    return kind(config, **({"add_pooling_layer": False} if pooled else {}))


def named(model, p):
    """Our parameters (tensors) under the published names."""
    encoder = family_of(model).published
    parameters = dict(leaves(p))
    found = {row.theirs: parameters[row.ours[0]] for row in encoder.table(model)}
    bare = type(model) is models.SentenceEncoder
    return {name.removeprefix(encoder.prefix) if bare else name: each for name, each in found.items()}


def theirs(model, p, ids, types, mask):
    padding = torch.ones_like(ids) if mask is None else mask[:, 0, 0].long()
    types = torch.zeros_like(ids) if types is None else types
    more = {} if type(model.body) is models.DistilBERT else {"token_type_ids": types}
    return call(published(model), named(model, p), ids, attention_mask=padding, **more)


def embedded(model, p, ids, types):
    """What goes into the first norm."""
    positions = None
    if type(model) is models.RoBERTa:
        positions = torch.full_like(ids, model.padding_idx)
        for row, tokens in zip(positions, ids != model.padding_idx, strict=True):
            row[tokens] = torch.arange(int(tokens.sum())) + model.padding_idx + 1
    h = twin(ops.learned_positions)(p["position"], twin(ops.embedding)(p["token"], ids), positions=positions)
    if type(model) is models.DistilBERT:
        return h
    return h + twin(ops.embedding)(p["type"], torch.zeros_like(ids) if types is None else types)


@twin_of(models.RoBERTa)
@twin_of(models.DistilBERT)
@twin_of(models.BERT)
def _(model):
    def forward(p, ids, *, types=None, mask=None, key=None):
        if key is None:
            encoder = models.SentenceEncoder(model)
            return theirs(encoder, {"body": p}, ids, types, mask).last_hidden_state
        h = twin(ops.layer_norm)(p["norm"], embedded(model, p, ids, types), eps=model.eps)
        h = twin(ops.dropout)(h, rate=model.dropout_rate, key=fold(key, 0))
        return twin(model.layers)(
            p["layers"],
            h,
            key=fold(key, 1),
            n_heads=model.n_heads,
            activation=ops.gelu,
            mask=mask,
            eps=model.eps,
            dropout_rate=model.dropout_rate,
            attention_dropout_rate=model.attention_dropout_rate,
        )

    return forward


def head_twin(of_theirs, of_hidden):
    """of_theirs: of transformers' output, the part that is ours   of_hidden: what the head does, with dropout"""

    def make(model):
        def forward(p, ids, *, types=None, mask=None, places=None, key=None):
            if key is None:
                found = of_theirs(theirs(model, p, ids, types, mask), mask)
            else:
                h = twin(model.body)(p["body"], ids, types=types, mask=mask, key=fold(key, 0))
                found = of_hidden(model, p, h, key)
            if places is None:
                return found
            said, *more = found if isinstance(found, tuple) else (found,)
            said = said.flatten(0, 1)[places]
            return (said, *more) if more else said

        return forward

    return make


def dropped(rate, h, key, i):
    return twin(ops.dropout)(h, rate=rate, key=fold(key, i))


def masked_language_model(model, p, h, key):
    h = nn.functional.gelu(twin(ops.linear)(p["transform"], h))
    h = twin(ops.layer_norm)(p["norm"], h, eps=model.body.eps)
    return h @ p["body"]["token"]["weight"].T + p["table"]["bias"]


def pre_training(model, p, h, key):
    first = torch.tanh(twin(ops.linear)(p["pooler"], h[:, 0]))
    return masked_language_model(model, p, h, key), twin(ops.linear)(p["next"], first)


def text_classifier(model, p, h, key):
    h = dropped(model.rate, h[:, 0], key, 2) if model.drops_first else h[:, 0]
    h = twin(model.activation)(twin(ops.linear)(p["pooler"], h))
    return twin(ops.linear)(p["classifier"], dropped(model.rate, h, key, 1))


def token_classifier(model, p, h, key):
    return twin(ops.linear)(p["classifier"], dropped(model.rate, h, key, 1))


def span_finder(model, p, h, key):
    return twin(ops.linear)(p["ends"], dropped(model.dropout_rate, h, key, 1)).swapaxes(1, 2)


def sentence(model, h, mask):
    """The mean as the authors' own code takes it; or the first."""
    if model.pooling == "first":
        return h[:, 0]
    weight = torch.ones_like(h[..., :1]) if mask is None else mask[:, 0, 0, :, None].to(h.dtype).expand(h.shape)
    return (h * weight).sum(1) / weight.sum(1)


twin_of(models.MaskedLanguageModel)(head_twin(lambda found, mask: found.logits, masked_language_model))
twin_of(models.PreTraining)(
    head_twin(lambda found, mask: (found.prediction_logits, found.seq_relationship_logits), pre_training)
)
twin_of(models.TextClassifier)(head_twin(lambda found, mask: found.logits, text_classifier))
twin_of(models.TokenClassifier)(head_twin(lambda found, mask: found.logits, token_classifier))
twin_of(models.SpanFinder)(
    head_twin(lambda found, mask: torch.stack([found.start_logits, found.end_logits], 1), span_finder)
)


@twin_of(models.SentenceEncoder)
def _(model):
    def forward(p, ids, *, types=None, mask=None, key=None):
        return sentence(model, twin(model.body)(p["body"], ids, types=types, mask=mask, key=fold(key, 0)), mask)

    return forward


@twin_of(label_loss)
def _(loss):
    def value(p, ids, types, mask, targets, *, key=None):
        logits = twin(loss.model)(p, ids, types=types, mask=mask, key=key)
        return twin(ops.cross_entropy)(logits, targets, label_smoothing=loss.label_smoothing)

    return value


@twin_of(masked_token_loss)
def _(loss):
    return twin(label_loss(loss.model, label_smoothing=loss.label_smoothing))


@twin_of(pretraining_loss)
def _(loss):
    def value(p, ids, types, mask, targets, origins, *, key=None):
        said, follows = twin(loss.model)(p, ids, types=types, mask=mask, key=key)
        return twin(ops.cross_entropy)(said, targets), twin(ops.cross_entropy)(follows, origins)

    return value
