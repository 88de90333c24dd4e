"""Attention after a recurrence (Luong, Pham & Manning 2015, section 3.1, "global"): what it said, with what it sees.

    forward     s = scores(x, memory)               dot, general or concat
                z = softmax(s) memory               the context
                y = tanh(W [z, x])                  the paper's h̃

    backward    the forward read from the bottom up; x and the memory were each used twice, so their gradients add up

Nothing here goes back into the recurrence, so it is done for all steps at once. (The paper's input feeding, section
3.3, would hand y to the next step.)
"""

import numpy as np

from ..convention import backward_of, block
from ..ops import context, context_backward, linear, linear_backward, tanh, tanh_backward


@block
def luong_attention(p, x, memory, *, scores, mask=None):
    """x asks, the memory answers, and both are made one

    p: out (D', E + D), a linear map; scores, the parameters of `scores` if it has any   x (B, T, D)   memory (B, S, E)
    ->   y (B, T, D')

    scores: `dot_scores`, `general_scores` or `concat_scores`   mask (B, S) Boolean, True = a token is there
    """
    saved, of_scores = {"by": scores}, [p["scores"]] if "scores" in p else []
    s, saved["scores"] = scores(*of_scores, x, memory)  # (B,T,S)
    z, saved["attend"] = context(s, memory, mask=mask)  # (B,T,E)
    y, saved["out"] = linear(p["out"], np.concatenate([z, x], -1))  # (B,T,D')
    y, saved["tanh"] = tanh(y)
    return y, saved


@backward_of(luong_attention)
def luong_attention_backward(dy, saved):
    """dx, dmemory, g"""
    g = {}
    dy = tanh_backward(dy, saved["tanh"])
    dboth, g["out"] = linear_backward(dy, saved["out"])
    dz, dx = np.split(dboth, [saved["attend"].shape[-1]], -1)  # [z, x]
    ds, dmemory = context_backward(dz, saved["attend"])
    dx_asked, dmemory_scored, *g_scores = saved["by"].backward(ds, saved["scores"])
    if g_scores:
        (g["scores"],) = g_scores
    return dx + dx_asked, dmemory + dmemory_scored, g  # both were used twice: add
