"""Text from ids as they come, and where it stops.

A token of bytes may end inside a character: "é" is C3 A9, "🙂" is F0 9F 99 82, and each byte may be a token of its own.
Decoded token by token, such a character would come out as U+FFFD several times over. An incremental decoder holds
bytes back until the character is whole.
"""

import codecs


def text_pieces(tokenizer, ids):
    """ids, one by one   ->   pieces of text as soon as they are certain; joined, the text of all their bytes"""
    decoder = codecs.getincrementaldecoder("utf-8")(errors="replace")
    for id in ids:
        if piece := decoder.decode(tokenizer.token_bytes(id)):
            yield piece
    if piece := decoder.decode(b"", final=True):  # a character that was never finished
        yield piece


def until(pieces, stop):
    """pieces of text   ->   the same text up to the first `stop` in it, in pieces of their own; no piece beyond is read

    What may be the beginning of `stop` is held back until that is decided. ValueError for an empty string.
    """
    if not stop:
        raise ValueError("the string to stop at must not be empty")
    return before(pieces, stop)


def before(pieces, stop):
    held = ""
    for piece in pieces:
        held += piece
        text, found, _ = held.partition(stop)
        undecided = 0 if found else overlap(text, stop)
        if certain := text[: len(text) - undecided]:
            yield certain
        if found:
            return
        held = text[len(text) - undecided :]
    if held:
        yield held


def overlap(text, stop):
    """How much of the end of `text` is a beginning of `stop`: at most all but its last character."""
    return next(n for n in range(min(len(text), len(stop) - 1), -1, -1) if text.endswith(stop[:n]))
