"""Text from ids as they come.

A token of bytes may end inside a character: "é" is C3 A9, "🙂" is F0 9F 99 82, and each byte may be a token of its own.
Decoded token by token, such a character would come out as U+FFFD several times over. An incremental decoder holds
bytes back until the character is whole.
"""

import codecs


def text_pieces(tokenizer, ids):
    """ids, one by one   ->   pieces of text as soon as they are certain; joined they are tokenizer.decode(all ids)"""
    decoder = codecs.getincrementaldecoder("utf-8")(errors="replace")
    for id in ids:
        if piece := decoder.decode(tokenizer.token_bytes(id)):
            yield piece
    if piece := decoder.decode(b"", final=True):  # a character that was never finished
        yield piece
