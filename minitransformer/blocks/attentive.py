"""A recurrent operation that looks before every step: the decoder of Bahdanau, Cho & Bengio 2015 (section 3.1, A.2.2).

    forward     k = U memory                                once, for the memory stays what it is
                for t = 0, 1, ...       with h, ..., the state before step t:
                    q = W h + b
                    s = v tanh(q + k)                       a score for every position of the source
                    z_t = softmax(s) memory                 what is seen there: the context
                    h, ... = cell([x_t, z_t], h, ...)       y_t = h

    backward    from the last step to the first, with dh, ..., what the loss feels of the state after step t:
                    dh += dy_t                                      y_t = h
                    dx_t, dz, dh', ... = cell'(dh, ...)             h, ... = cell([x_t, z_t], h', ...)
                    ds, dmemory += context'(dz + dz_t)              z_t went into the cell, and out
                    dq, dk += additive_scores'(ds)                  s = v tanh(q + k)
                    dh' += dq W                                     h' was used twice: it asked, and it went on
                dmemory += dk U                                     k = U memory

What is felt of a position of the source arrives there in one step from wherever it was looked at. Through the states
alone, it would have to pass all that lies between.
"""

import numpy as np

from ..convention import registered
from ..ops import additive_scores, additive_scores_backward, context, context_backward, linear, linear_backward
from ..trees import tree_map


@registered("combinator")
class attentive:
    """attentive(cell): a recurrent operation that is handed, beside x, what its state asks of a memory.

    p: cell, whose inputs are D + E wide; cross_attention: query (A, H), key (A, E), linear maps, and score (A)
    x (B, T, D)   memory (B, S, E)   states (B, H), before the first step, zeros where absent
    mask (B, S) Boolean, True = the memory has a token there
    ->   y (B, T, H), contexts (B, T, E), last states (B, H)

    ValueError for sequences of length 0, and where x and the memory are not of one batch.
    """

    def __init__(self, cell):
        self.cell = cell

    def __call__(self, p, x, memory, *states, mask=None):
        if x.shape[1] == 0:
            raise ValueError(f"attentive: x has shape {x.shape}: sequences of length 0 have no last state")
        if len(memory) != len(x):
            raise ValueError(f"attentive: memory has shape {memory.shape}, expected ({len(x)}, S, E), as many as x has")
        look, given = p["cross_attention"], {i for i, state in enumerate(states) if state is not None}
        asked = {"query": [], "score": [], "attend": []}
        saved = {"cell": [], "cross_attention": asked, "given": given, "width": x.shape[-1]}
        k, asked["key"] = linear(look["key"], memory)  # (B,S,A)
        h, *others = states or (None,)
        if h is None:
            h = np.zeros((len(x), look["query"]["weight"].shape[-1]), x.dtype, like=x)
        y, contexts = [], []
        for t in range(x.shape[1]):
            q, saved_query = linear(look["query"], h[:, None])  # (B,1,A)
            s, saved_score = additive_scores(look["score"], q, k)  # (B,1,S)
            z, saved_attend = context(s, memory, mask=mask)  # (B,1,E)
            seen = np.concatenate([x[:, t : t + 1], z], -1)  # (B,1,D+E)
            (y_t, h, *others), saved_cell = self.cell(p["cell"], seen, h, *others)
            y.append(y_t)
            contexts.append(z)
            asked["query"].append(saved_query)
            asked["score"].append(saved_score)
            asked["attend"].append(saved_attend)
            saved["cell"].append(saved_cell)
        return (np.concatenate(y, 1), np.concatenate(contexts, 1), h, *others), saved

    def backward(self, dy, dcontexts, *dlast_and_saved):
        *dstates, saved = dlast_and_saved
        asked, D = saved["cross_attention"], saved["width"]
        dx, dmemory, dk, g = [], 0, 0, None
        for t in reversed(range(len(saved["cell"]))):
            dseen, dh, *dothers, g_cell = self.cell.backward(at(dy, t), *dstates, saved["cell"][t])
            dx_t, dz = dseen[..., :D], dseen[..., D:]  # seen = [x_t, z_t]
            if dcontexts is not None:
                dz = dz + at(dcontexts, t)  # z_t went into the cell, and out: add
            ds, dmemory_t = context_backward(dz, asked["attend"][t])  # z_t = softmax(s) memory
            dq, dk_t, g_score = additive_scores_backward(ds, asked["score"][t])  # s = v tanh(q + k)
            dh_asked, g_query = linear_backward(dq, asked["query"][t])  # q = W h + b
            dstates = [dh + dh_asked[:, 0], *dothers]  # h was used twice: add
            dx.append(dx_t)
            dmemory, dk = dmemory + dmemory_t, dk + dk_t  # every step looks at the same memory: add
            g_t = {"cell": g_cell, "cross_attention": {"query": g_query, "score": g_score}}
            g = g_t if g is None else tree_map(np.add, g, g_t)  # every step has the same weights: add
        dmemory_k, g["cross_attention"]["key"] = linear_backward(dk, asked["key"])  # k = U memory
        dstates = [dstate if i in saved["given"] else None for i, dstate in enumerate(dstates)]
        return np.concatenate(dx[::-1], 1), dmemory + dmemory_k, *dstates, g  # the memory was used twice: add


def at(d, t):
    """What is felt of step t (B, 1, ...); None where nothing is."""
    return None if d is None else d[:, t : t + 1]
