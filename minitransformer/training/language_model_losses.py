"""Losses over recurrent language models: one that reads a long text piece by piece, and one that reads it both ways."""

from ..convention import registered
from ..ops import counted_targets, cross_entropy, cross_entropy_backward


@registered("loss")
class carried_next_token_loss:
    """carried_next_token_loss(model): the cross-entropy of what comes next, and the state in which the text goes on.

    Handed to the next piece of the same text as a constant, the state carries a memory over the cut, and no gradient:
    backpropagation through time, truncated (Mikolov et al. 2010).

    forward     logits, last = model(ids, states)       loss = cross_entropy(logits, targets)
    backward    the forward read from the bottom up
    """

    def __init__(self, model):
        self.model = model

    def __call__(self, p, ids, targets, *states, key=None):
        """ids (B, T)   targets (B, T), -100 where none counts   states as the model has them, or none
        ->   loss, the mean over the targets that count; last states...
        """
        saved = {}
        (logits, *last), saved["model"] = self.model.forward(p, ids, *states, key=key)
        loss, saved["cross_entropy"] = cross_entropy(logits, targets)
        return (loss, *last), saved

    def backward(self, dloss, *dlast_and_saved):
        *dlast, saved = dlast_and_saved
        dlogits = None if dloss is None else cross_entropy_backward(dloss, saved["cross_entropy"])
        return self.model.backward(dlogits, *dlast, saved["model"])


@registered("loss")
class both_ways_loss:
    """both_ways_loss(model): the cross-entropy of the token after each and of the one before (Peters et al. 2018, 3.1).

    forward     after, before = model(characters)       loss = ½ cross_entropy(after) + ½ cross_entropy(before)
    backward    the forward read from the bottom up

    Two terms, each a mean over targets of its own: in a batch of pieces each is weighted by how many those are.
    """

    def __init__(self, model):
        self.model = model

    def __call__(self, p, characters, mask, after, before, *, key=None):
        """characters, mask (B, T, W)   after, before (B, T), what stands on either side, -100 where nothing counts
        ->   the two terms, half of each way's mean over the targets that count
        """
        saved = {}
        logits, saved["model"] = self.model.forward(p, characters, mask=mask, key=key)
        loss_after, saved["after"] = cross_entropy(logits[0], after)
        loss_before, saved["before"] = cross_entropy(logits[1], before)
        return (0.5 * loss_after, 0.5 * loss_before), saved

    def backward(self, dafter, dbefore, saved):
        felt = (("after", dafter), ("before", dbefore))
        dlogits = [None if d is None else cross_entropy_backward(0.5 * d, saved[way]) for way, d in felt]
        return self.model.backward(*dlogits, saved["model"])

    @staticmethod
    def count(characters, mask, after, before):
        """How many targets each mean was taken over: its weight in this batch among others."""
        return counted_targets(after), counted_targets(before)
