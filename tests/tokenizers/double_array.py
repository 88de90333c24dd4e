"""A double-array trie as SentencePiece's files have it, written plainly: what the reader is held to."""

import base64
import struct

LEAF, FAR, VALUE = 1 << 8, 1 << 9, 1 << 31


def charsmap(table):
    """{text: what it becomes}   ->   the bytes of a `precompiled_charsmap`"""
    texts, values = b"", {}
    for old, new in table.items():
        values[old.encode("utf-8") + b"\0"] = len(texts)
        texts += new.encode("utf-8") + b"\0"
    units = {0: 0}
    place(units, 0, sorted(values), values, 0)
    n = -(-max(units) // 256) * 256 + 256  # whole blocks, so that every byte of every unit has a place
    trie = struct.pack(f"<{n}I", *(units.get(i, 0) for i in range(n)))
    return struct.pack("<I", len(trie)) + trie + texts


def in_base64(table):
    return base64.b64encode(charsmap(table)).decode("ascii")


def place(units, at, keys, values, depth):
    """Put what follows this unit where there is room for all of it."""
    children = sorted({key[depth] for key in keys})
    step = 256 if depth % 3 == 1 else 1  # far ones are written as so many times 256: some of them are, to be read
    offset = next(o for o in range(step, 1 << 20, step) if not any(at ^ o ^ byte in units for byte in children))
    units[at] |= (offset << 10 if offset % 256 else offset >> 8 << 10 | FAR) | (LEAF if 0 in children else 0)
    for byte in children:
        units[at ^ offset ^ byte] = byte
    for byte in children:
        below = [key for key in keys if key[depth] == byte]
        if byte:
            place(units, at ^ offset ^ byte, below, values, depth + 1)
        else:
            units[at ^ offset] = VALUE | values[below[0]]
