"""The linear map to a vocabulary and the cross-entropy of what comes out, in one: nobody is handed the logits.

    forward     loss = cross_entropy(x Wᵀ, targets)

    backward    dz = the gradient of the logits z       dx = dz W        dW = dzᵀ x

Here it is the two operations one after the other. As one, it leaves an implementation the choice of never having all
the logits at once: for a batch of a thousand tokens and GPT-2's vocabulary they are 200 MB, and their gradient as much.
"""

from ..convention import backward_of, op
from .cross_entropy import cross_entropy, cross_entropy_backward
from .linear import linear, linear_backward


@op(weight="V D", x="... D", targets="int ...")
def linear_cross_entropy(p, x, targets, *, ignore_index=-100, label_smoothing=0.0):
    """loss = mean over the targets that count of -Σ t log softmax(x Wᵀ)

    p["weight"] (V, D)   x (..., D)   targets (...) integers in 0 ... V - 1, or `ignore_index`   ->   loss, a number
    """
    saved = {}
    logits, saved["linear"] = linear({"weight": p["weight"]}, x)
    settings = {"ignore_index": ignore_index, "label_smoothing": label_smoothing}
    loss, saved["cross_entropy"] = cross_entropy(logits, targets, **settings)
    return loss, saved


@backward_of(linear_cross_entropy)
def linear_cross_entropy_backward(dloss, saved):
    """dx, g"""
    dlogits = cross_entropy_backward(dloss, saved["cross_entropy"])
    return linear_backward(dlogits, saved["linear"])
