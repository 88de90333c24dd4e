"""Cross-entropy between logits and target ids, averaged over the targets that count.

    forward     ℓ = log softmax(z) = z - log Σ exp z
                loss = -1/N Σ_n Σ_i t_ni ℓ_ni               over the N rows whose target is not `ignore_index`
                t = (1 - α) onehot + α/V                    α = label smoothing (Szegedy et al. 2016, section 7)

    backward    ∂ℓ_i/∂z_j = δ_ij - softmax(z)_j   and   Σ_i t_i = 1:

                dz = (softmax(z) - t) dloss / N             zero in the rows that do not count

A batch without a single target that counts has loss 0 and gradients 0. Note which rows N counts: dividing by all rows
lets padding shrink the loss, and adding means of unequal pieces is not the mean of the whole.
"""

import numpy as np

from ..convention import backward_of, op
from .embedding import check_ids


def counted_targets(targets, ignore_index=-100):
    """How many targets count: the N of the mean."""
    return int((targets != ignore_index).sum())


def check_smoothing(label_smoothing):
    if not 0 <= label_smoothing < 1:
        raise ValueError(f"label_smoothing must be at least 0 and below 1, not {label_smoothing}")


def checked_targets(targets, vocab_size, ignore_index):
    """ids, with 0 where none counts; where one counts; and the N of the mean, at least 1"""
    counted = targets != ignore_index
    ids = np.where(counted, targets, 0)
    check_ids(ids, vocab_size, "targets")
    return ids, counted, max(counted_targets(targets, ignore_index), 1)


@op(logits="... V", targets="int ...")
def cross_entropy(logits, targets, *, ignore_index=-100, label_smoothing=0.0):
    """loss = mean over the targets that count of -Σ t log softmax(logits)

    logits (..., V)   targets (...) integers in 0 ... V - 1, or `ignore_index`   ->   loss, a number
    """
    check_smoothing(label_smoothing)
    ids, counted, n = checked_targets(targets, logits.shape[-1], ignore_index)
    shifted = logits - logits.max(-1, keepdims=True)
    logp = shifted - np.log(np.exp(shifted).sum(-1, keepdims=True))  # (..., V)
    nll = -np.take_along_axis(logp, ids[..., None], -1)[..., 0]  # (...)
    if label_smoothing:
        nll = (1 - label_smoothing) * nll - label_smoothing * logp.mean(-1)
    return np.where(counted, nll, 0).sum() / n, (logp, ids, counted, n, label_smoothing)


@backward_of(cross_entropy)
def cross_entropy_backward(dloss, saved):
    """dlogits = (softmax(z) - t) dloss / N"""
    logp, ids, counted, n, label_smoothing = saved
    dlogits = np.exp(logp, order="C")
    if label_smoothing:
        dlogits -= label_smoothing / logp.shape[-1]  # the uniform part of t
    rows = dlogits.reshape(-1, dlogits.shape[-1])  # the same memory, as rows
    rows[np.arange(len(rows)), ids.reshape(-1)] -= 1 - label_smoothing  # the one-hot part of t
    dlogits[~counted] = 0
    dlogits *= dloss / n
    return dlogits
