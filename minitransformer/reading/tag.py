"""The names in a text, or whatever a model was trained to mark: labels of tokens, gathered to spans.

A label B-X begins a span of X, I-X goes on with it, O is outside. Labels without such a letter mark by themselves: what
follows each other with the same label is one span. A word has the label of its first piece.
"""

from typing import NamedTuple

from .batches import frames_of, outputs, probabilities


class Span(NamedTuple):
    label: str
    text: str
    begin: int  # in the text, and end
    end: int
    probability: float  # of the label of its least certain word


def tag(model, p, tokenizer, labels, texts, *, outside="O", truncate=False):
    """model, a TokenClassifier   labels: by class   ->   for each text, [Span, ...] as they stand there"""
    frames = frames_of(model, tokenizer, texts, truncate=truncate)
    found = []
    for text, frame, logits in zip(texts, frames, outputs(model, p, frames, tokenizer.pad), strict=True):
        chances = probabilities(logits)
        found.append(spans(text, words_of(frame, tokenizer, labels, chances), outside))
    return found


def words_of(frame, tokenizer, labels, chances):
    """[(label, probability, begin, end), ...] of the words: pieces that go on with a word belong to it"""
    words = []
    for id, number, (begin, end), chance in zip(frame.ids, frame.texts, frame.offsets.tolist(), chances):
        if number < 0:
            continue
        if words and tokenizer.continues(id):
            words[-1] = (*words[-1][:3], end)
        else:
            best = int(chance.argmax())
            words.append((labels[best], float(chance[best]), begin, end))
    return words


def spans(text, words, outside):
    """[Span, ...] of words with labels"""
    found, before = [], None
    for label, chance, begin, end in words:
        letter, dash, kind = label.partition("-")
        kind = kind if dash and letter in "BI" else label
        goes_on = before == kind and not (dash and letter == "B")
        if label == outside:
            before = None
        elif goes_on:
            last = found[-1]
            found[-1] = Span(kind, text[last.begin : end], last.begin, end, min(last.probability, chance))
        else:
            found.append(Span(kind, text[begin:end], begin, end, chance))
            before = kind
    return found
