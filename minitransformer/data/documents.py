"""Documents, each of them sentences in their order: what is told apart where one text is to follow another.

a file          an empty line ends a document; or each file is one
a line          one sentence or several: behind . ! ? and a space the next one begins
"""

import re
from pathlib import Path

import numpy as np

from .text import read_text

BLANK = re.compile(r"\n[^\S\n]*\n")
NEXT = re.compile(r"(?<=[.!?])\s+")
BOUNDARIES = ("blank", "file")


def sentences_of(text):
    """text   ->   [sentence, ...], none of them empty; no sentence goes over the end of a line"""
    lines = (line.strip() for line in text.splitlines())
    return [sentence for line in lines if line for sentence in NEXT.split(line)]


def documents_of(texts, boundary="blank"):
    """texts, one a file   ->   [[sentence, ...], ...], none of them empty"""
    if boundary == "blank":
        texts = [block for text in texts for block in BLANK.split(text.replace("\r\n", "\n"))]
    return [sentences for text in texts if (sentences := sentences_of(text))]


def read_documents(paths, boundary="blank"):
    """The documents of files. ValueError where one is empty or not UTF-8, or where there is no word in any."""
    found = documents_of([read_text([path]) for path in map(Path, paths)], boundary)
    if not found:
        raise ValueError(f"{', '.join(map(str, paths))}: there is no text in it")
    return found


def hold_out(documents, share=0.1, least=2):
    """The documents in two: to learn from, and some that make up at most this share of the characters

    They are drawn, always in the same way. At least so many are on either side; where one is enough and there is
    but one, it is the last of its sentences that are held out. ValueError where there are too few.
    """
    if least == len(documents) == 1 < len(documents[0]):
        cut = min(int((1 - share) * len(documents[0])), len(documents[0]) - 1)
        return [documents[0][:cut]], [documents[0][cut:]]
    if len(documents) < 2 * least:
        raise ValueError(
            f"the text has {len(documents)} document{'s' * (len(documents) > 1)}, and {2 * least} are needed: "
            f"{least} to learn from, and {least} that are held out"
        )
    sizes = np.array([sum(map(len, sentences)) for sentences in documents])
    room, chosen = share * sizes.sum(), []
    for i in np.random.default_rng(0).permutation(len(documents)).tolist():
        if sizes[i] <= room and len(documents) - len(chosen) > least:
            chosen.append(i)
            room -= sizes[i]
    others = [i for i in np.argsort(sizes, kind="stable").tolist() if i not in chosen]
    chosen += others[: max(least - len(chosen), 0)]  # the shortest, where all are long
    parts = [], []
    for i, document in enumerate(documents):
        parts[i in chosen].append(document)
    return parts
