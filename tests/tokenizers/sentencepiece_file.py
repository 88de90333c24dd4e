"""SentencePiece's files, written plainly: what the reader is held to."""

import struct

NORMAL, UNKNOWN, CONTROL, USER_DEFINED, UNUSED, BYTE = range(1, 7)


def varint(value):
    found = b""
    while value > 0x7F:
        found += bytes([value & 0x7F | 0x80])
        value >>= 7
    return found + bytes([value])


def field(number, value):
    if isinstance(value, float):
        return varint(number << 3 | 5) + struct.pack("<f", value)
    if isinstance(value, int):
        return varint(number << 3) + varint(value)
    return varint(number << 3 | 2) + varint(len(value)) + value


def message(fields):
    return b"".join(field(number, value) for number, value in fields)


def model(pieces, training=(), normalisation=()):
    """pieces: (text, score, type); the others: (number of the field, value)   ->   bytes of a file"""
    rows = [message([(1, text.encode("utf-8")), (2, float(score)), (3, type)]) for text, score, type in pieces]
    return message([*((1, row) for row in rows), (2, message(training)), (3, message(normalisation))])
