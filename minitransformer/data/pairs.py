"""Pairs of texts, a source and its target: from a file to batches that an encoder and a decoder read.

    source (B, S)   source_mask (B, 1, 1, S)      the source, and True where a token is there
    target (B, T)   targets (B, T)                START + text, what the decoder reads; text + END, what it should say

So the decoder begins with START, is told one token more at each place, and is done when it says END.
"""

from codecs import BOM_UTF8
from pathlib import Path

import numpy as np

START, END = "\x02", "\x03"  # ASCII's own start and end of text; no text that is to be translated holds them
IGNORED = -100  # the target that does not count
PADDING = 0  # any id would do: no query attends to padding, and no target behind the end counts


def marks(tokenizer):
    """The ids of START and END. ValueError where a tokenizer does not know them."""
    try:
        return *tokenizer.encode(START), *tokenizer.encode(END)
    except ValueError:
        raise ValueError(
            "the tokenizer does not know the start (U+0002) and the end (U+0003) of a text: it was not made for pairs"
        ) from None


def read_pairs(path):
    """A UTF-8 file of lines, each source, tab, target   ->   [(source, target)]

    ValueError, with the number of the line, where there is not one tab, nothing on one of its sides, START or END in
    the text, or a byte that is not UTF-8; and for an empty file. White space around a text stays as it is.
    """
    lines = lines_of(Path(path).read_bytes())
    if not lines:
        raise ValueError(f"{path} is empty")
    return [read_pair(line, f"{path}, line {number}") for number, line in enumerate(lines, 1)]


def lines_of(data):
    """bytes of a file   ->   its lines, still bytes; only \\n, \\r\\n and \\r end one, nothing else of Unicode"""
    return data.removeprefix(BOM_UTF8).splitlines()


def decoded(line, where):
    """bytes of a line   ->   text. ValueError where it is not UTF-8."""
    try:
        return line.decode("utf-8")
    except UnicodeDecodeError as error:
        byte = error.object[error.start]
        raise ValueError(f"{where} is not UTF-8: byte {error.start + 1} of the line is {byte:#04x}") from None


def read_pair(line, where):
    texts = decoded(line, where).split("\t")
    if len(texts) != 2:
        raise ValueError(f"{where} has {len(texts) - 1 or 'no'} tabs, where one parts the source from the target")
    for text, side in zip(texts, ("source", "target")):
        if not text.strip():
            raise ValueError(f"{where}: the {side} is empty")
        check_text(text, f"{where}: the {side}")
    return tuple(texts)


def check_text(text, what):
    """The text. ValueError where it holds START or END, which only `collate` may set."""
    for mark, name in ((START, "start"), (END, "end")):
        if mark in text:
            place = text.index(mark) + 1
            raise ValueError(f"{what} holds {mark!r}, which marks the {name} of a text, at character {place}")
    return text


# ------------------------------------------------------------------------------------------------------------ batches


def collate(pairs, start_id, end_id):
    """[(source, target)], each some ids   ->   source, source_mask, target, targets

    ValueError where a text holds the id of START or END.
    """
    source, source_mask = collate_sources([source for source, _ in pairs], start_id, end_id)
    text, there = padded([text for _, text in pairs])
    check_ids(text, there, start_id, end_id, "target")
    target = np.insert(text, 0, start_id, axis=1)  # (B,T)
    targets = np.full_like(target, IGNORED)  # (B,T)
    targets[:, :-1][there] = text[there]
    targets[np.arange(len(pairs)), there.sum(-1)] = end_id
    return source, source_mask, target, targets


def collate_sources(sources, start_id, end_id):
    """Some ids each   ->   source (B, S), source_mask (B, 1, 1, S): all that decoding begins with

    A source may be empty: its row is padding alone. S is at least 1.
    """
    source, there = padded(sources, least=1)
    check_ids(source, there, start_id, end_id, "source")
    return source, there[:, None, None]


def padded(rows, least=0):
    """Rows of ids, of any lengths   ->   ids (B, T), and where they are: there (B, T) Boolean"""
    lengths = np.array([len(row) for row in rows], np.int64)
    there = np.arange(max(lengths.max(initial=0), least)) < lengths[:, None]
    ids = np.full(there.shape, PADDING, np.int64)
    for place, row in zip(ids, rows):
        place[: len(row)] = row
    return ids, there


def check_ids(ids, there, start_id, end_id, side):
    for id, name in ((start_id, "START"), (end_id, "END")):
        rows = np.flatnonzero((there & (ids == id)).any(-1))
        if len(rows):
            raise ValueError(f"{side} {rows[0]} of the batch holds {id}, the id of {name}, which only collate may set")
