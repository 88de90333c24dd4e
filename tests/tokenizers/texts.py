"""Texts as hypothesis draws them: any, and those in which rules meet."""

from hypothesis import strategies as st

TRICKY = [
    *"aaabst ,.'0\n\t\r\0",
    "é",
    "e\N{COMBINING ACUTE ACCENT}",
    "中文",
    "\N{SLIGHTLY SMILING FACE}",
    "\N{MAN}\N{ZERO WIDTH JOINER}\N{GIRL}",
    "\N{NO-BREAK SPACE}",
    "\N{BYTE ORDER MARK}",
    "\x1c",
    "²",
    "\U0010ffff",
    "\r\n",
    "'ll",
]
texts = st.text() | st.lists(st.sampled_from(TRICKY), max_size=30).map("".join)
