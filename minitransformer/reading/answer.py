"""The answer to a question, found in a text (Devlin et al. 2019, section 4.2): the span whose two ends score highest.

    score(i, j) = start_i + end_j        i ≤ j, both in the text, and no more tokens than an answer may have

A text that is too long is read in windows, which have a stride of tokens in common, so that no answer is cut apart.
That there is no answer is never said, even by a model that was trained to.
"""

from typing import NamedTuple

import numpy as np

from ..models import SpanFinder
from ..tokenizers import framed
from .batches import expect, outputs, probabilities, whole


class Answer(NamedTuple):
    text: str
    begin: int  # in the text, and end
    end: int
    probability: float  # of its beginning times that of its end, among all places of all windows


def answer(model, p, tokenizer, question, text, *, stride=None, longest=30):
    """model, a SpanFinder   ->   Answer

    stride: how many tokens windows have in common; None: what is too long is refused   longest: tokens of an answer
    ValueError for a text without a token, or one that does not fit.
    """
    return answers(model, p, tokenizer, [(question, text)], stride=stride, longest=longest)[0]


def answers(model, p, tokenizer, asked, *, length=None, stride=None, longest=30):
    """asked: [(question, text), ...]   ->   [Answer, ...], as `answer` gives them, read side by side

    length: the most tokens that it is to read at once, where that is less than its context
    """
    expect(model, SpanFinder)
    if longest < 1:
        raise ValueError(f"an answer of at most {longest} tokens is none")
    windows = [windows_of(model, tokenizer, *each, length, stride) for each in asked]
    said = iter(outputs(model, p, [frame for frames in windows for frame in frames], tokenizer.pad, whole))
    return [best_of(text, frames, [next(said) for _ in frames], longest) for (_, text), frames in zip(asked, windows)]


def windows_of(model, tokenizer, question, text, length, stride):
    """[Framed, ...] of a question and its text"""
    how = {"cut": None} if stride is None else {"cut": "second", "stride": stride}
    try:
        return framed(tokenizer, question, text, length=length or model.body.context_length, **how)
    except ValueError as error:
        more = "; with a stride it is read in windows" if stride is None else ""
        raise ValueError(f"question and text do not fit into the model's context: {error}{more}") from None


def best_of(text, frames, said, longest):
    """The Answer in a text, from what was said (2, T) of each of its windows"""
    starts, ends, offsets = [], [], []
    for frame, logits in zip(frames, said, strict=True):
        inside = np.flatnonzero(frame.texts == 1)
        starts.append(logits[0, inside])
        ends.append(logits[1, inside])
        offsets.append(frame.offsets[inside])
    if not sum(map(len, offsets)):
        raise ValueError("the text has no token in which an answer could be")
    start, end = np.concatenate(starts), np.concatenate(ends)
    chances = probabilities(start), probabilities(end)
    best, first = None, 0
    for places in offsets:  # windows do not feel each other: an answer lies in one of them
        last = first + len(places)
        found = best_span(start[first:last], end[first:last], longest)
        if found and (best is None or found[0] > best[0]):
            best = (*found, places, first)
        first = last
    _, i, j, places, first = best
    begin, end = int(places[i, 0]), int(places[j, 1])
    return Answer(text[begin:end], begin, end, float(chances[0][first + i]) * float(chances[1][first + j]))


def best_span(start, end, longest):
    """(start_i + end_j, i, j), the largest with i ≤ j < i + longest; None of nothing"""
    if not len(start):
        return None
    i, j = np.arange(len(start))[:, None], np.arange(len(end))
    both = np.where((i <= j) & (j < i + min(longest, len(start))), start[:, None] + end, -np.inf)  # (T,T)
    i, j = np.unravel_index(both.argmax(), both.shape)
    return both[i, j], i, j
