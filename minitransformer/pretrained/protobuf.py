"""Messages of protocol buffers, as far as reading a few of their fields takes.

A message is a row of fields, each a number (what it is called) with a value. Both stand in the key before it,

    key = number << 3 | kind        kind 0: a varint    1: 8 bytes    2: a length, and so many bytes    5: 4 bytes

and keys, lengths and whole numbers are varints: 7 bits a byte, the lowest first, and the top bit says that more follow.
A message within a message is bytes, and so are texts. What a field that is absent is, whoever reads it must know.
"""

import struct

VARINT, EIGHT, BYTES, FOUR = 0, 1, 2, 5


def fields(data):
    """bytes of a message   ->   (number, value), ... in the order in which they stand: an int, or bytes

    ValueError where the bytes are none.
    """
    at = 0
    while at < len(data):
        key, at = varint(data, at)
        number, kind = key >> 3, key & 7
        if kind == VARINT:
            value, at = varint(data, at)
        else:
            size, at = varint(data, at) if kind == BYTES else ({EIGHT: 8, FOUR: 4}.get(kind), at)
            if size is None or not number or at + size > len(data):
                raise ValueError(f"at byte {at} of {len(data)} there is no field")
            value, at = data[at : at + size], at + size
        yield number, value


def varint(data, at):
    """The whole number that begins at a byte, and where the next thing begins"""
    value = 0
    for i in range(10):
        if at + i >= len(data):
            break
        value |= (data[at + i] & 0x7F) << 7 * i
        if data[at + i] < 0x80:
            return value, at + i + 1
    raise ValueError(f"at byte {at} of {len(data)} there is no whole number")


def number(value):
    """A field's value as a whole number. ValueError where it is none."""
    if not isinstance(value, int):
        raise ValueError(f"a whole number is {len(value)} bytes")
    return value


def real(value):
    """A field's 4 bytes as a float32. ValueError where it is none."""
    if not isinstance(value, bytes) or len(value) != 4:
        raise ValueError("a number with a point is not 4 bytes")
    return struct.unpack("<f", value)[0]


def text(value):
    """A field's bytes as text. ValueError where it is none."""
    return content(value).decode("utf-8")


def content(value):
    """A field's bytes. ValueError where it is a number."""
    if not isinstance(value, bytes):
        raise ValueError("a text or a message is a whole number")
    return value
