"""Texts as vectors of length 1, near each other where they mean the same (Reimers & Gurevych 2019)."""

import numpy as np

from ..models import SentenceEncoder
from .batches import expect, frames_of, outputs, several, whole


def embed(model, p, tokenizer, texts, *, truncate=False):
    """model, a SentenceEncoder   ->   vectors (N, D), each of length 1

    ValueError for a text that is longer than it is made for, unless it may be cut (truncate), and where the model gave
    no numbers.
    """
    expect(model, SentenceEncoder)
    if model.lowers:
        texts = [lowered(text) for text in several(texts)]
    frames = frames_of(model, tokenizer, texts, length=model.max_length, truncate=truncate)
    found = outputs(model, p, frames, tokenizer.pad, whole)
    vectors = np.array(found).reshape(len(found), model.body.d_model)
    if not np.isfinite(vectors).all():
        raise ValueError("the model gave vectors that are NaN or infinite: its parameters are damaged")
    length = np.linalg.norm(vectors, axis=1, keepdims=True)
    return vectors / np.maximum(length, np.finfo(vectors.dtype).tiny)


def lowered(text):
    """A text, or a pair of them. Each character by itself: what it becomes does not depend on where it stands."""
    return "".join(map(str.lower, text)) if isinstance(text, str) else tuple(map(lowered, text))


def similarity(vectors):
    """The cosine of the angle between every two: vectors (N, D), each of length 1   ->   (N, N)"""
    return vectors @ vectors.T


def clusters(vectors, n):
    """Numbers 0 ... n - 1, by which those that belong together are the same; the first text is in 0

    Clusters are joined from the bottom up, the two of the smallest mean distance first (average linkage).
    """
    from scipy.cluster.hierarchy import cut_tree, linkage

    if not 1 <= n <= len(vectors):
        raise ValueError(f"{len(vectors)} texts cannot be parted into {n} clusters")
    if len(vectors) == 1:
        return np.zeros(1, np.int64)
    found = cut_tree(linkage(vectors, "average"), n)[:, 0]
    order = {label: number for number, label in enumerate(dict.fromkeys(found.tolist()))}
    return np.array([order[label] for label in found.tolist()])
