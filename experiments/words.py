"""Words of texts that every Python carries: its language reference, and what its library says of itself."""

import ast
import re
import sysconfig
from collections import Counter
from functools import cache
from pathlib import Path

import numpy as np

WORD = re.compile(r"[a-z]+|[0-9]+|[^\sa-z0-9]")
COMMENT = re.compile(r"(?:^[ \t]*#.*\n)+", re.M)  # whole lines of it, one after another
UNKNOWN, BEGIN = 0, 1  # ids of a word that the vocabulary lacks, and of the beginning of a text
OWN = ["<unknown>", "<begin>"]
NO_LIBRARY = {"test", "tests", "idlelib", "lib2to3", "turtledemo", "pydoc_data", "site-packages", "dist-packages"}


def words(text):
    """In small letters; a number is a word, and so is any other character."""
    return WORD.findall(text.lower())


def modules():
    """(top module, source) of every file of the standard library"""
    library = Path(sysconfig.get_paths()["stdlib"])
    for path in sorted(library.rglob("*.py")):
        place = path.relative_to(library)
        if NO_LIBRARY.isdisjoint(place.parts):
            yield place.parts[0].removesuffix(".py"), path.read_bytes()


@cache
def docstrings():
    """[(top module, docstring), ...] of every module, class and function of the standard library, each text once"""
    found = {}
    for module, source in modules():
        try:
            tree = ast.parse(source)
        except (SyntaxError, ValueError):
            continue
        for node in ast.walk(tree):
            if isinstance(node, (ast.Module, ast.ClassDef, ast.FunctionDef, ast.AsyncFunctionDef)):
                if text := ast.get_docstring(node):
                    found.setdefault(text, module)
    return [(module, text) for text, module in found.items()]


@cache
def comments():
    """[(top module, comment), ...] of the standard library: lines that are nothing else, without their signs"""
    found = {}
    for module, source in modules():
        for lines in COMMENT.findall(source.decode("utf-8", "replace")):
            found.setdefault(re.sub(r"(?m)^[ \t]*#+", "", lines), module)
    return [(module, text) for text, module in found.items()]


def frequent(texts, least):
    """The words that texts have at least so many times, the most frequent first, equals by the alphabet"""
    counts = Counter(word for text in texts for word in text)
    return sorted((word for word, n in counts.items() if n >= least), key=lambda word: (-counts[word], word))


class Vocabulary:
    """Words and their ids; what it lacks is `UNKNOWN`."""

    def __init__(self, words):
        self.words = list(words)
        self.ids = {word: i for i, word in enumerate(self.words)}

    @classmethod
    def of(cls, texts, least, size):
        """The words that texts (lists of words) have at least `least` times, the most frequent first"""
        return cls(OWN + frequent(texts, least)[: size - len(OWN)])

    def widened(self, texts, least):
        """These words, and behind them those of other texts"""
        return Vocabulary(self.words + [word for word in frequent(texts, least) if word not in self.ids])

    def __len__(self):
        return len(self.words)

    def encode(self, text):
        """Words   ->   ids, those of `BEGIN` first"""
        return np.array([BEGIN, *(self.ids.get(word, UNKNOWN) for word in text)])
