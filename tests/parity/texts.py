"""Texts for tokenizers: of letters that they were trained on, and of everything else that Unicode has."""

TEXTS = [
    "The quick brown fox jumps over the lazy dog; it's 12 o'clock, they've said, and we'll see.",
    "Der Fuchs läuft über die Straße, où l'été commence. ¿Dónde está el niño? Ελληνικά, русский язык, 中文字符, 日本語",
    "עברית العربية हिन्दी ไทย 한국어 e\u0301 🐈‍⬛ 👩🏽‍🔬 \u200b \u00a0 ½ Ⅷ ²\t\r\n  \x00\x7f",
] * 3
FUZZ = 10_000  # strings


def strings(rng, n):
    """Of letters that were trained on, of all planes of Unicode, of marks that combine, emoji, CJK and controls."""
    known = sorted(set("".join(TEXTS)))
    ranges = [(0x20, 0x7F), (0x00, 0x20), (0x80, 0x250), (0x300, 0x370), (0x4E00, 0x9FFF), (0x1F300, 0x1FAFF)]
    for _ in range(n):
        length = int(rng.integers(0, 40))
        kind = rng.integers(0, 3)
        if kind == 0:
            yield "".join(rng.choice(known, length))
        elif kind == 1:
            begin, end = ranges[rng.integers(0, len(ranges))]
            yield "".join(map(chr, rng.integers(begin, end, length)))
        else:
            codes = rng.integers(0, 0x110000, length)
            yield "".join(chr(code) for code in codes if not 0xD800 <= code < 0xE000)


def sprinkled(text, more, rng, most):
    """The text with at most so many of these, special tokens, pieces of them and spaces, here and there."""
    for _ in range(int(rng.integers(0, most + 1))):
        place = int(rng.integers(0, len(text) + 1))
        text = text[:place] + more[rng.integers(0, len(more))] + text[place:]
    return text
