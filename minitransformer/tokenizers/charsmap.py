"""The table of characters of a SentencePiece file (`precompiled_charsmap`): which text becomes which, mostly by NFKC.

    4 bytes         how many bytes the trie takes, as all numbers here the lowest byte first
    the trie        its units, of 4 bytes each
    the rest        texts in UTF-8, each ended by a zero byte: what the trie's values are the beginnings of

The trie is a double array (Aoe 1989, "An efficient digital search algorithm by using a double-array structure"); its
keys are the bytes of what is to be replaced. A unit has its own byte in the lowest 8 bits. The place of its children is
its own place xor its offset; the child of byte b is at that xor b. Bit 8 says that a text ends here: its value is in
the child of byte 0. Of the other bits of a unit,

    bit 31          it is a value, the other bits of which are the number
    bits 10 to 30   the offset, times 256 where bit 9 is set

Of several texts that begin at a place, the longest is replaced; what no text begins is left as it is.
"""

import base64
import struct


class CharsMap:
    """data: bytes, as described above. ValueError where they are something else."""

    def __init__(self, data):
        (size,) = struct.unpack_from("<I", data) if len(data) >= 4 else (0,)
        if size % 4 or not 4 <= size <= len(data) - 4:
            raise ValueError(f"its table of characters is damaged: {len(data)} bytes, of which the trie has {size}")
        self.units = struct.unpack_from(f"<{size // 4}I", data, 4)
        self.texts = data[4 + size :]
        self.root = self.children(0)
        self.steps = {}  # (place of children, character) -> place of the next children, what the text becomes or None

    @classmethod
    def from_base64(cls, text):
        try:
            data = base64.b64decode(text, validate=True)
        except (ValueError, TypeError):
            raise ValueError("its table of characters is no base64") from None
        return cls(data)

    def longest(self, text, begin):
        """Where the longest text ends that begins here and is replaced, and by what; or the one character as it is"""
        place, found = self.root, (begin + 1, text[begin])
        for end in range(begin, len(text)):
            place, new = self.step(place, text[end])
            if new is not None:
                found = end + 1, new
            if place is None:
                break
        return found

    def step(self, place, character):
        if (place, character) not in self.steps:
            self.steps[place, character] = self.walk(place, character)
        return self.steps[place, character]

    def walk(self, place, character):
        """From the children at a place over the bytes of a character   ->   next children, what ends there, or None"""
        unit = 0
        for byte in character.encode("utf-8"):
            at = place ^ byte
            if not byte or self.unit(at) & 0x800000FF != byte:
                return None, None
            unit, place = self.unit(at), self.children(at)
        return place, self.text(self.unit(place) & 0x7FFFFFFF) if unit >> 8 & 1 else None

    def children(self, at):
        unit = self.unit(at)
        return at ^ (unit >> 10 << ((unit & 1 << 9) >> 6))

    def unit(self, at):
        if at >= len(self.units):
            raise ValueError(f"its table of characters is damaged: unit {at} of {len(self.units)}")
        return self.units[at]

    def text(self, begin):
        end = self.texts.find(b"\0", begin)
        if begin >= len(self.texts) or end < 0:
            raise ValueError(f"its table of characters is damaged: a text at byte {begin} of {len(self.texts)}")
        try:
            return self.texts[begin:end].decode("utf-8")
        except UnicodeDecodeError as error:
            raise ValueError(f"its table of characters is damaged: the text at byte {begin}: {error}") from None


def in_base64(data):
    """How such bytes stand in files of text."""
    return base64.b64encode(data).decode("ascii")
