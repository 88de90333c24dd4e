"""Losses over models: things made from a model.

loss, saved = thing(p, batch...)        g = thing.backward(1.0, saved)
"""

from ..convention import registered
from ..models.tied import add_head
from ..ops import (
    counted_targets,
    cross_entropy,
    cross_entropy_backward,
    linear_cross_entropy,
    linear_cross_entropy_backward,
)


@registered("loss")
class next_token_loss:
    """next_token_loss(model): the cross-entropy of what comes next.

    Targets are the ids one place on; nobody shifts here.

    forward     loss = cross_entropy(model(ids), targets)
    backward    the forward read from the bottom up
    """

    def __init__(self, model, *, label_smoothing=0.0):
        self.model, self.label_smoothing = model, label_smoothing

    def __call__(self, p, ids, targets, *, key=None):
        """ids (B, T)   targets (B, T), -100 where none counts   ->   loss, the mean over the targets that count"""
        saved = {}
        logits, saved["model"] = self.model.forward(p, ids, key=key)
        loss, saved["cross_entropy"] = cross_entropy(logits, targets, label_smoothing=self.label_smoothing)
        return loss, saved

    def backward(self, dloss, saved):
        dlogits = cross_entropy_backward(dloss, saved["cross_entropy"])
        return self.model.backward(dlogits, saved["model"])

    @staticmethod
    def count(ids, targets):
        """How many targets the mean was taken over: the weight of this batch among others."""
        return counted_targets(targets)


@registered("loss")
class fused_next_token_loss(next_token_loss):
    """fused_next_token_loss(model): the same number, for a model whose head is a linear map without a bias.

    The kernel of `linear_cross_entropy` never has all the logits of a large vocabulary; the reference does.

    forward     loss = linear_cross_entropy(head, hidden(ids), targets)
    backward    the forward read from the bottom up
    """

    def __call__(self, p, ids, targets, *, key=None):
        """ids (B, T)   targets (B, T), -100 where none counts   ->   loss, the mean over the targets that count"""
        saved, head = {}, p[self.model.head]
        h, saved["hidden"] = self.model.hidden(p, ids, key=key)
        loss, saved["head"] = linear_cross_entropy(head, h, targets, label_smoothing=self.label_smoothing)
        return loss, saved

    def backward(self, dloss, saved):
        dh, g_head = linear_cross_entropy_backward(dloss, saved["head"])
        return add_head(self.model.hidden_backward(dh, saved["hidden"]), self.model, g_head)


@registered("loss")
class translation_loss:
    """translation_loss(model): the cross-entropy of a target sequence given its source.

    forward     loss = cross_entropy(model(source, target), targets)
    backward    the forward read from the bottom up
    """

    def __init__(self, model, *, label_smoothing=0.1):
        self.model, self.label_smoothing = model, label_smoothing

    def __call__(self, p, source, source_mask, target, targets, *, key=None):
        """source (B, S)   source_mask (B, 1, 1, S)   target (B, T), what the decoder reads   targets (B, T), what it
        should say, -100 where none counts   ->   loss, the mean over the targets that count
        """
        saved = {}
        logits, saved["model"] = self.model.forward(p, source, target, source_mask=source_mask, key=key)
        loss, saved["cross_entropy"] = cross_entropy(logits, targets, label_smoothing=self.label_smoothing)
        return loss, saved

    def backward(self, dloss, saved):
        dlogits = cross_entropy_backward(dloss, saved["cross_entropy"])
        return self.model.backward(dlogits, saved["model"])

    @staticmethod
    def count(source, source_mask, target, targets):
        """How many targets the mean was taken over: the weight of this batch among others."""
        return counted_targets(targets)


@registered("loss")
class label_loss:
    """label_loss(model): the cross-entropy of labels: of texts, of tokens, of what was masked, of a span's two ends.

    forward     loss = cross_entropy(model(ids), targets)
    backward    the forward read from the bottom up
    """

    extended = False  # nor are the models with labels, for their gelu

    def __init__(self, model, *, label_smoothing=0.0):
        self.model, self.label_smoothing = model, label_smoothing

    def __call__(self, p, ids, types, mask, targets, *, key=None):
        """ids, types (B, T)   mask (B, 1, 1, T)   targets, the shape of the logits but for their last axis, -100 where
        none counts   ->   loss, the mean over the targets that count
        """
        saved = {}
        logits, saved["model"] = self.model.forward(p, ids, types=types, mask=mask, key=key)
        loss, saved["cross_entropy"] = cross_entropy(logits, targets, label_smoothing=self.label_smoothing)
        return loss, saved

    def backward(self, dloss, saved):
        dlogits = cross_entropy_backward(dloss, saved["cross_entropy"])
        return self.model.backward(dlogits, saved["model"])

    @staticmethod
    def count(ids, types, mask, targets):
        """How many targets the mean was taken over: the weight of this batch among others."""
        return counted_targets(targets)
