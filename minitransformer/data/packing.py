"""Documents packed into rows of at most so many tokens: pairs of segments for BERT, full sentences for RoBERTa.

    [CLS] a a a [SEP] b b [SEP]         types 0 0 0 0 0 1 1 1       does b follow a?
    <s> a a a a </s> b b </s>           types 0 0 0 0 0 0 0 0 0     a document ends in the middle of the row

A row names spans of one long row of ids, so that the same text can stand in many rows. What is said of a span by the
letters: begin and end, as a slice has them.
"""

from typing import NamedTuple

import numpy as np

from ..convention import generator
from ..tokenizers import batch_of
from .pairs import IGNORED

FOLLOWS, RANDOM = 0, 1  # where the second segment comes from
SHORT = 0.1  # the share of the rows that are to be shorter (as in the authors' code), so that those are known too


class Tokens(NamedTuple):
    """Documents as ids, one behind the other."""

    ids: np.ndarray  # (N)
    sentences: np.ndarray  # (M + 1), where each begins, and where the last one ends
    documents: np.ndarray  # (K + 1), the number of the sentence with which each begins, and of all


class Row(NamedTuple):
    spans: tuple  # ((begin, end), ...) of ids
    origin: int = FOLLOWS


class Example(NamedTuple):
    """A row as the model reads it, and what it is asked. Arrays of length T."""

    ids: np.ndarray
    types: np.ndarray
    targets: np.ndarray
    origin: int


def encoded(documents, tokenizer, longest):
    """[[sentence, ...], ...]   ->   Tokens. A sentence of more tokens than `longest` is cut into several."""
    ids, sentences, starts = [], [0], [0]
    for document in documents:
        for number, sentence in enumerate(document):
            found = tokenizer.encode(" " * (number > 0) + sentence)
            for part in np.split(found, range(longest, len(found), longest)) if len(found) else ():
                ids.append(part)
                sentences.append(sentences[-1] + len(part))
        if len(sentences) - 1 > starts[-1]:
            starts.append(len(sentences) - 1)
    return Tokens(np.concatenate([np.zeros(0, np.int64), *ids]), np.array(sentences), np.array(starts))


def segment_pairs(tokens, room, key, short=SHORT):
    """[Row, ...] of two segments each, in all at most `room` tokens (Devlin et al. 2019, A.2; as in the authors' code)

    Sentences of a document are put together until there are enough tokens, and parted in two at a border between
    sentences. In half of the rows the second segment is replaced by sentences of another document, and the replaced
    ones begin the next row. ValueError unless there are two documents, and one with two sentences.

    Here every row is short with the same chance, not every document; and a sentence that is left over at the end of a
    document is no row, where it would have nothing behind it and always be of origin RANDOM.
    """
    rng, sentences, n = generator(key), tokens.sentences, len(tokens.documents) - 1
    if n < 2:
        raise ValueError("a random next segment is of another document, and there is only one")
    rows = []
    for number, (begin, last) in enumerate(zip(tokens.documents, tokens.documents[1:])):
        while begin + 1 < last:
            target = rng.integers(2, room + 1) if rng.random() < short else room
            end = reach(sentences, begin, last, target, least=2)
            cut = rng.integers(begin + 1, end)
            first, origin = (sentences[begin], sentences[cut]), int(rng.random() < 0.5)
            if origin == RANDOM:
                other = (number + rng.integers(1, n)) % n
                start = rng.integers(*tokens.documents[other : other + 2])
                stop = reach(sentences, start, tokens.documents[other + 1], target - (first[1] - first[0]))
                second, begin = (sentences[start], sentences[stop]), cut
            else:
                second, begin = (sentences[cut], sentences[end]), end
            rows.append(Row(truncated(first, second, room, rng), origin))
    if not rows:
        raise ValueError("no document has two sentences: nothing follows anything")
    return rows


def reach(sentences, begin, last, target, least=1):
    """The end of the sentences that begin here and have this many tokens together, or end with the document."""
    end = int(np.searchsorted(sentences, sentences[begin] + target))
    return min(max(end, begin + least), last)


def truncated(first, second, room, rng):
    """Both spans, in all at most `room` tokens: the longer one loses one after another, each in front or at the back"""
    sizes = np.array([end - begin for begin, end in (first, second)])
    kept = sizes.copy()
    if sizes.sum() > room:
        longer = int(sizes[1] >= sizes[0])
        kept[1 - longer] = min(sizes[1 - longer], room - room // 2 if longer else room // 2)
        kept[longer] = room - kept[1 - longer]
    starts = np.array([first[0], second[0]]) + rng.binomial(sizes - kept, 0.5)
    return tuple(zip(starts.tolist(), (starts + kept).tolist()))


def full_sentences(tokens, room):
    """[Row, ...]: as many sentences as fit, one after another (Liu et al. 2019, section 4.2, FULL-SENTENCES)

    Where a document ends, the next one goes on in the same row, behind a separator.
    """
    rows, spans, used = [], [], 0
    for first, last in zip(tokens.documents, tokens.documents[1:]):
        for number in range(first, last):
            begin, end = tokens.sentences[number : number + 2].tolist()
            separator = int(number == first and bool(spans))
            if used + separator + end - begin > room:
                rows.append(Row(tuple(spans)))
                spans, used, separator = [], 0, 0
            if number == first or not spans:
                spans.append((begin, end))
            else:
                spans[-1] = (spans[-1][0], end)
            used += separator + end - begin
    return [*rows, Row(tuple(spans))] if spans else rows


def framed_row(row, ids, tokenizer):
    """ids (N)   ->   those of a row between special tokens (T), types (T), and the place of each in ids, or -1"""
    found, types, places = [[tokenizer.first]], [[0]], [[-1]]
    for number, (begin, end) in enumerate(row.spans):
        found += [ids[begin:end], [tokenizer.separator]]
        types.append(np.full(end - begin + 1, number * tokenizer.second_type))
        places += [np.arange(begin, end), [-1]]
    return np.concatenate(found), np.concatenate(types), np.concatenate(places)


def collated(examples, pad):
    """[Example, ...]   ->   ids, types (B, T), mask (B, 1, 1, T), targets (B, T), -100 where nothing is asked"""
    ids, types, mask = batch_of(examples, pad)
    targets = np.full_like(ids, IGNORED)
    targets[mask[:, 0, 0]] = np.concatenate([example.targets for example in examples])
    return ids, types, mask, targets
