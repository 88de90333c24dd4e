"""Texts as a model reads them: special tokens around one text or two, and cut where they are too long.

    one     [CLS] a a a [SEP]                   types 0 0 0 0 0
    two     [CLS] a a a [SEP] b b [SEP]         types 0 0 0 0 0 1 1 1

Which tokens these are, what stands between two texts and which type the second has, is the tokenizer's. RoBERTa has

    one     <s> a a a </s>                      types 0 0 0 0 0
    two     <s> a a a </s> </s> b b </s>        types 0 0 0 0 0 0 0 0 0

and T5, before whose texts there is nothing,

    two     a a a </s> b b </s>                 types 0 0 0 0 0 0 0

What is too long is cut: of two texts the longer one first, or the second alone. With a stride, what was cut off is read
too, in windows that have so many tokens in common with the one before.
"""

from typing import NamedTuple

import numpy as np

CUTS = ("longer", "second", None)


class Framed(NamedTuple):
    """One text, or two, as a model reads them. Arrays of length T; offsets (T, 2) into the text that `texts` says."""

    ids: np.ndarray
    types: np.ndarray
    offsets: np.ndarray
    texts: np.ndarray  # 0 or 1: of which text a token is; -1 for a special one


def framed(tokenizer, a, b=None, *, length=None, stride=None, cut="longer"):
    """[Framed, ...] of text a, and b behind it: one, or where a stride is given as many as it takes.

    length: the most tokens, special ones among them; ValueError where there are more and nothing may be cut
    stride: how many tokens a window has in common with the one before   cut: "longer", "second", or None, to refuse
    """
    if cut not in CUTS:
        raise ValueError(f"cut is one of {', '.join(map(repr, CUTS))}, not {cut!r}")
    if stride is not None and stride < 0:
        raise ValueError(f"a stride is at least 0, not {stride}")
    parts = [tokenizer.encode_with_offsets(text) for text in ((a,) if b is None else (a, b))]
    sizes, special = [len(ids) for ids, _ in parts], len(frame(tokenizer, [nothing()] * len(parts)).ids)
    windows = [[slice(0, size)] for size in sizes]
    if length is not None and sum(sizes) + special > length:
        windows = cut_windows(sizes, length - special, stride, cut)
    return [
        frame(tokenizer, [(ids[window], offsets[window]) for (ids, offsets), window in zip(parts, chosen)])
        for chosen in zip(*spread_out(windows), strict=True)
    ]


def cut_windows(sizes, room, stride, cut):
    """For each text, the slices of it that are read: in all at most `room` tokens at once."""
    if cut is None:
        raise ValueError(f"there are {' and '.join(map(str, sizes))} tokens, but there is room for {max(room, 0)}")
    if len(sizes) == 1:
        kept = [room]
    elif cut == "second":
        kept = [sizes[0], room - sizes[0]]
    else:
        shorter = min(min(sizes), room // 2)
        kept = [shorter, room - shorter] if sizes[0] <= sizes[1] else [room - shorter, shorter]
    if stride is not None and sum(keep < size for size, keep in zip(sizes, kept, strict=True)) > 1:
        raise ValueError(f"of {' and '.join(map(str, sizes))} tokens there is room for {room}: windows are of one text")
    if any(keep < size and keep <= (stride or 0) for size, keep in zip(sizes, kept, strict=True)):
        what = f"a stride of {stride}" if stride else "them"
        raise ValueError(f"of {' and '.join(map(str, sizes))} tokens there is room for {room}: too little for {what}")
    return [windows_of(size, keep, stride) for size, keep in zip(sizes, kept, strict=True)]


def windows_of(size, length, stride):
    """Slices of at most `length` that cover `size`; only the first where there is no stride"""
    if size <= length or stride is None:
        return [slice(0, min(size, length))]
    starts = range(0, size - stride, length - stride)
    return [slice(start, min(start + length, size)) for start in starts]


def spread_out(windows):
    """Every window of a text beside the one window of the other."""
    n = max(map(len, windows))
    return [each * n if len(each) == 1 else each for each in windows]


def frame(tokenizer, parts):
    rows = [] if tokenizer.first is None else [(tokenizer.first, 0, (0, 0), -1)]  # id, type, place, text
    for number, (part, places) in enumerate(parts):
        kind = number * tokenizer.second_type
        rows += [(id, kind, tuple(place), number) for id, place in zip(part.tolist(), places.tolist(), strict=True)]
        behind = [tokenizer.separator] if number == len(parts) - 1 else tokenizer.between
        rows += [(id, kind, (0, 0), -1) for id in behind]
    return Framed(*(np.array(each, np.int64) for each in zip(*rows, strict=True)))


def nothing():
    """ids, offsets of a text that has none"""
    return np.zeros(0, np.int64), np.zeros((0, 2), np.int64)


def batch_of(framed_texts, pad):
    """[Framed] of unequal lengths   ->   ids, types (B, T), mask (B, 1, 1, T), True = a token; padding is behind"""
    T = max(len(one.ids) for one in framed_texts)
    ids, types = np.full((len(framed_texts), T), pad, np.int64), np.zeros((len(framed_texts), T), np.int64)
    mask = np.zeros((len(framed_texts), 1, 1, T), bool)
    for row, one in enumerate(framed_texts):
        n = len(one.ids)
        ids[row, :n], types[row, :n], mask[row, :, :, :n] = one.ids, one.types, True
    return ids, types, mask
