"""What attention gives in float64, of some heads: each is a problem of its own, and all of them would take too long."""

import numpy as np


def known_heads(size):
    """(batch, head) of those that are computed in float64: each head is a problem of its own."""
    last = tuple(n - 1 for n in size.shape[:2])
    return [last] if size.T > 2048 else list(dict.fromkeys([(0, 0), last]))


def expected(inputs, size):
    """{(batch, head): {"y", ...}} of the heads that are known, in float64"""
    found = {}
    for head in known_heads(size):
        parts = exact(*(part[head].astype(np.float64) for part in inputs["float32"]), size.causal)
        found[head] = dict(zip(("y", "dq", "dk", "dv"), parts, strict=True))
    return found


def exact(q, k, v, dy, causal, rows=512):
    """y, dq, dk, dv of one head (T, K): some queries at a time, so that nothing has T × T numbers"""
    T, scale = len(q), q.shape[1] ** -0.5
    y, dq, dk, dv = (np.zeros_like(q) for _ in range(4))
    for i in range(0, T, rows):
        own, seen = slice(i, i + rows), slice(0, min(i + rows, T) if causal else T)
        w = q[own] @ k[seen].T
        w *= scale
        if causal:
            w[:, i:][np.triu_indices(len(w), 1)] = -np.inf
        w -= w.max(-1, keepdims=True)
        np.exp(w, out=w)
        w /= w.sum(-1, keepdims=True)
        y[own] = w @ v[seen]
        dv[seen] += w.T @ dy[own]
        ds = dy[own] @ v[seen].T
        ds -= (dy[own] * y[own]).sum(-1, keepdims=True)
        ds *= w
        ds *= scale
        dq[own] = ds @ k[seen]
        dk[seen] += ds.T @ q[own]
    return y, dq, dk, dv


def off_by(answer, exact):
    """The largest difference over all heads that are known, each relative to the largest number of its kind."""
    worst = 0.0
    for head, parts in exact.items():
        for name, array in answer[head].items():
            difference = np.abs(array - parts[name])
            if not np.isfinite(difference).all():
                return np.inf
            worst = max(worst, float(difference.max() / np.abs(parts[name]).max()))
    return worst
