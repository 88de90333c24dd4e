"""Adam with decoupled weight decay (Kingma & Ba 2015, algorithm 1; Loshchilov & Hutter 2019, algorithm 2).

    m ← β₁ m + (1 - β₁) g            m̂ = m / (1 - β₁ᵗ)        the mean of the gradient
    v ← β₂ v + (1 - β₂) g²           v̂ = v / (1 - β₂ᵗ)        the mean of its square
    w ← w - η λ w - η m̂ / (√v̂ + ε)                            t counts from 1

The decay λ acts on w itself, at the rate η, as in PyTorch. Our η is the paper's schedule times Adam's α, but its decay
has the schedule alone, so that its λ is our α λ. Added to g, it would be divided by √v̂ and all but vanish where
gradients are large. Nothing is differentiated through an update: it has no backward.
"""

import numpy as np

from ..convention import op
from ..threads import spread


@op(gradient=False, w="...", g="...", m="...", v="...")
def adamw(w, g, m, v, *, t, learning_rate, beta1, beta2, eps, weight_decay, factor=1.0, out=None):
    """The new w, m, v of one leaf. All (...); t is the number of this step, from 1.

    factor: what g is multiplied by first (clipping)   out: three arrays to write to, perhaps w, m and v themselves
    """
    g = g if factor == 1 else factor * g
    m = beta1 * m + (1 - beta1) * g
    v = beta2 * v + (1 - beta2) * (g * g)
    m_hat = m / (1 - beta1**t)
    v_hat = v / (1 - beta2**t)
    w = w - learning_rate * (weight_decay * w + m_hat / (np.sqrt(v_hat) + eps))
    if out is None:
        return w, m, v
    for place, new in zip(out, (w, m, v), strict=True):
        place[...] = new
    return out


@op(gradient=False)
def adamw_many(w, g, m, v, *, learning_rate, weight_decay, out=None, **settings):
    """`adamw` of many leaves: lists of arrays   ->   three lists, the new w, m and v

    learning_rate and weight_decay are lists as well, a number for each leaf; the other settings are the same for all.
    One leaf after the other, or spread over threads. As one operation, it leaves an implementation the choice of a
    single pass over all of them: a model has hundreds of leaves, and most are small.
    """

    def move(leaf):
        w, g, m, v, rate, decay, place = leaf
        return adamw(w, g, m, v, learning_rate=rate, weight_decay=decay, out=place, **settings)

    places = [None] * len(w) if out is None else list(zip(*out, strict=True))
    each = zip(w, g, m, v, learning_rate, weight_decay, places, strict=True)
    new = spread(move, each, sum(leaf.nbytes for leaf in g))
    return out or tuple([leaf[i] for leaf in new] for i in range(3))
