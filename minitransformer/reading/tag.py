"""The names in a text, or whatever a model was trained to mark: labels of tokens, gathered to spans.

A label B-X begins a span of X, I-X goes on with it, O is outside; S-X or U-X is a span alone, E-X or L-X ends one.
Labels without such a letter mark by themselves: what follows each other with the same label is one span. A word has the
label of its first piece.
"""

from typing import NamedTuple

from ..models import TokenClassifier
from .batches import expect, frames_of, outputs, probabilities, several

BEGINS, GOES_ON, ENDS = ("B", "S", "U"), ("I", "E", "L"), ("S", "U", "E", "L")


class Span(NamedTuple):
    label: str
    text: str
    begin: int  # in the text, and end
    end: int
    probability: float  # of the label of its least certain word


def tag(model, p, tokenizer, labels, texts, *, outside="O", length=None, truncate=False):
    """model, a TokenClassifier   labels: by class   ->   for each text, [Span, ...] as they stand there

    length: the most tokens that it is to read, where that is less than its context
    """
    expect(model, TokenClassifier)
    texts = several(texts)
    if len(labels) != model.n_classes:
        raise ValueError(f"{len(labels)} labels for {model.n_classes} classes")
    if not all(isinstance(text, str) for text in texts):
        raise ValueError("tags are of one text each, not of pairs")
    frames = frames_of(model, tokenizer, texts, length=length, truncate=truncate)
    found = []
    said = outputs(model, p, frames, tokenizer.pad, lambda frame, logits: logits[: len(frame.ids)])
    for text, frame, logits in zip(texts, frames, said, strict=True):
        chances = probabilities(logits)
        found.append(spans(text, words_of(frame, tokenizer, labels, chances), outside))
    return found


def words_of(frame, tokenizer, labels, chances):
    """[(label, probability, begin, end), ...] of words; pieces that go on with one belong to it, and spaces are none"""
    words, before = [], None
    for id, number, (begin, end), chance in zip(frame.ids, frame.texts, frame.offsets.tolist(), chances):
        if number < 0:
            continue
        if words and tokenizer.continues(before, id):
            words[-1] = (*words[-1][:3], end)
        else:
            best = int(chance.argmax())
            words.append((labels[best], float(chance[best]), begin, end))
        before = id
    return [word for word in words if word[2] < word[3]]


def spans(text, words, outside):
    """[Span, ...] of words with labels"""
    found, before = [], None
    for label, chance, begin, end in words:
        letter, dash, kind = label.partition("-")
        marked = bool(dash) and letter in (*BEGINS, *GOES_ON)
        kind = kind if marked else label
        goes_on = before == kind and not (marked and letter in BEGINS)
        before = None if label == outside or (marked and letter in ENDS) else kind
        if label == outside:
            continue
        if goes_on:
            last = found[-1]
            found[-1] = Span(kind, text[last.begin : end], last.begin, end, min(last.probability, chance))
        else:
            found.append(Span(kind, text[begin:end], begin, end, chance))
    return found
