"""The twins of BERT and of the heads over it: those of transformers, with our weights."""

import torch
import transformers
from torch import nn

from minitransformer import models, ops
from minitransformer.convention import fold
from minitransformer.pretrained.bert import config_of, table
from minitransformer.training.losses import label_loss
from minitransformer.trees import leaves

from .twins import call, twin, twin_of

KINDS = {
    models.MaskedLanguageModel: transformers.BertForMaskedLM,
    models.SentenceEncoder: transformers.BertModel,
    models.SpanFinder: transformers.BertForQuestionAnswering,
    models.TextClassifier: transformers.BertForSequenceClassification,
    models.TokenClassifier: transformers.BertForTokenClassification,
}


def published(model):
    """transformers' model of this kind and size, in float64, and as in evaluation."""
    settings = config_of(model) | {"pad_token_id": None}  # or the row of padding would have no gradient
    config = transformers.BertConfig(**settings, attn_implementation="eager")
    kind = KINDS[type(model)]
    more = {"add_pooling_layer": False} if kind is transformers.BertModel else {}
    return kind(config, **more).double().eval()


def named(model, p):
    """Our parameters (tensors) under the published names."""
    parameters = dict(leaves(p))
    found = {row.theirs: parameters[row.ours[0]] for row in table(model)}
    bare = type(model) is models.SentenceEncoder
    return {name.removeprefix("bert.") if bare else name: each for name, each in found.items()}


def theirs(model, p, ids, types, mask):
    padding = torch.ones_like(ids) if mask is None else mask[:, 0, 0].long()
    types = torch.zeros_like(ids) if types is None else types
    return call(published(model), named(model, p), ids, token_type_ids=types, attention_mask=padding)


@twin_of(models.BERT)
def _(model):
    def forward(p, ids, *, types=None, mask=None, key=None):
        if key is None:
            encoder = models.SentenceEncoder(model)
            return theirs(encoder, {"body": p}, ids, types, mask).last_hidden_state
        h = twin(ops.learned_positions)(p["position"], twin(ops.embedding)(p["token"], ids))
        h = h + twin(ops.embedding)(p["type"], torch.zeros_like(ids) if types is None else types)
        h = twin(ops.layer_norm)(p["norm"], h, eps=model.eps)
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
        def forward(p, ids, *, types=None, mask=None, key=None):
            if key is None:
                return of_theirs(theirs(model, p, ids, types, mask), mask)
            h = twin(model.body)(p["body"], ids, types=types, mask=mask, key=fold(key, 0))
            return of_hidden(model, p, h, mask, fold(key, 1))

        return forward

    return make


def dropped(model, h, key):
    return twin(ops.dropout)(h, rate=model.body.dropout_rate, key=key)


def masked_language_model(model, p, h, mask, key):
    h = nn.functional.gelu(twin(ops.linear)(p["transform"], h))
    h = twin(ops.layer_norm)(p["norm"], h, eps=model.body.eps)
    return h @ p["body"]["token"]["weight"].T + p["table"]["bias"]


def text_classifier(model, p, h, mask, key):
    h = torch.tanh(twin(ops.linear)(p["pooler"], h[:, 0]))
    return twin(ops.linear)(p["classifier"], dropped(model, h, key))


def token_classifier(model, p, h, mask, key):
    return twin(ops.linear)(p["classifier"], dropped(model, h, key))


def span_finder(model, p, h, mask, key):
    return twin(ops.linear)(p["ends"], h).swapaxes(1, 2)


def sentence(model, h, mask):
    """The mean as the authors' own code takes it; or the first."""
    if model.pooling == "first":
        return h[:, 0]
    weight = torch.ones_like(h[..., :1]) if mask is None else mask[:, 0, 0, :, None].to(h.dtype).expand(h.shape)
    return (h * weight).sum(1) / weight.sum(1)


twin_of(models.MaskedLanguageModel)(head_twin(lambda found, mask: found.logits, masked_language_model))
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
