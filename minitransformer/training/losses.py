"""Losses over models: things made from a model.

loss, saved = thing(p, batch...)        g = thing.backward(1.0, saved)
"""

import numpy as np

from ..convention import registered
from ..data.pairs import IGNORED
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
    """fused_next_token_loss(model): the same as next_token_loss in less memory, of a head that has no bias.

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


@registered("loss")
class masked_token_loss(label_loss):
    """masked_token_loss(model): the label_loss of what was masked, a MaskedLanguageModel's, which is asked there alone.

    forward     loss = cross_entropy(model(ids)[places], targets[places])           places: where a target counts
    backward    the forward read from the bottom up
    """

    def __call__(self, p, ids, types, mask, targets, *, key=None):
        """ids, types, targets (B, T), -100 where none counts   mask (B, 1, 1, T)
        ->   loss, the mean over the targets that count
        """
        saved, places = {}, np.flatnonzero(targets != IGNORED)
        logits, saved["model"] = self.model.forward(p, ids, types=types, mask=mask, places=places, key=key)  # (N,V)
        targets = targets.reshape(-1)[places]
        loss, saved["cross_entropy"] = cross_entropy(logits, targets, label_smoothing=self.label_smoothing)
        return loss, saved

    def backward(self, dloss, saved):
        dlogits = cross_entropy_backward(dloss, saved["cross_entropy"])
        return self.model.backward(dlogits, saved["model"])


@registered("loss")
class pretraining_loss:
    """pretraining_loss(model): what a PreTraining is trained with, the sum of two means (Devlin et al. 2019, A.2).

    forward     masked = cross_entropy(model(ids)[places], targets[places])         places: where a target counts
                pairs  = cross_entropy(model(ids), origins)
    backward    the forward read from the bottom up

    The two are means over different numbers, of tokens and of pairs. So they stay apart, and whoever adds up pieces of
    a batch weighs each by its own count.
    """

    extended = False  # nor is a BERT, for its gelu

    def __init__(self, model):
        self.model = model

    def __call__(self, p, ids, types, mask, targets, origins, *, key=None):
        """ids, types, targets (B, T), -100 where none counts   mask (B, 1, 1, T)   origins (B), 0 where the second
        text follows the first, 1 where it comes from elsewhere   ->   masked, pairs, each a loss
        """
        saved, places = {}, np.flatnonzero(targets != IGNORED)
        logits, saved["model"] = self.model.forward(p, ids, types=types, mask=mask, places=places, key=key)
        said, follows = logits  # (N,V), (B,2)
        masked, saved["masked"] = cross_entropy(said, targets.reshape(-1)[places])
        pairs, saved["pairs"] = cross_entropy(follows, origins)
        return (masked, pairs), saved

    def backward(self, dmasked, dpairs, saved):
        dfollows = None if dpairs is None else cross_entropy_backward(dpairs, saved["pairs"])
        dsaid = None if dmasked is None else cross_entropy_backward(dmasked, saved["masked"])
        return self.model.backward(dsaid, dfollows, saved["model"])

    @staticmethod
    def count(ids, types, mask, targets, origins):
        """How many tokens, and how many pairs the means were taken over: the weights of this batch among others."""
        return counted_targets(targets), len(origins)
