"""Words with a label each, as the shared tasks of CoNLL have them: a line a word, and a blank one between texts.

Ada NNP B-PER           the word first, its label last, and white space between; what else there is counts not
slept VBD O
"""

from typing import NamedTuple

from .json_lines import numbered_lines

DOCUMENT = "-DOCSTART-"  # the word of a line that only says that another document begins


class LabelledWords(NamedTuple):
    words: tuple
    labels: tuple

    @property
    def text(self):
        """The words with a space between every two."""
        return " ".join(self.words)

    @property
    def places(self):
        """[(begin, end), ...] of each word in the text"""
        places, begin = [], 0
        for word in self.words:
            places.append((begin, begin + len(word)))
            begin += len(word) + 1
        return places


def read_labelled_words(path):
    """[LabelledWords, ...] of a file, one for each text. ValueError, naming the line, for a word without a label."""
    texts = [[]]
    for where, line in numbered_lines(path):
        columns = line.split()
        if not columns or columns[0] == DOCUMENT:
            texts.append([])
        elif len(columns) < 2:
            raise ValueError(f"{where} has no label: {columns[0]!r} stands alone")
        else:
            texts[-1].append((columns[0], columns[-1]))
    found = [LabelledWords(*zip(*text)) for text in texts if text]
    if not found:
        raise ValueError(f"{path} has no texts")
    return found
