"""Texts with a label each, or pairs of texts: what a classifier learns from.

label<TAB>text                          or a pair, label<TAB>text<TAB>text; a line each
{"text": ..., "label": ...}             with "pair" where there is a second text; a file FILE.jsonl
"""

from typing import NamedTuple

from .json_lines import numbered_lines, read_objects


class LabelledText(NamedTuple):
    label: str
    text: str
    pair: str | None  # the second text, where there is one

    @property
    def texts(self):
        """The text, or both of them: as `reading` takes them."""
        return self.text if self.pair is None else (self.text, self.pair)


def read_labelled_texts(path):
    """[LabelledText, ...] of a file. ValueError, naming the line, where it is not as it must be.

    Either all lines are pairs or none is; no label and no text is empty; the first line is not one of names of columns.
    """
    found = from_objects(path) if str(path).endswith(".jsonl") else from_lines(path)
    if not found:
        raise ValueError(f"{path} has no texts")
    pairs = found[0][1].pair is not None
    for where, example in found:
        for what, text in zip(("label", "text", "second text"), example):
            if text is not None and not text.strip():
                raise ValueError(f"{where}: the {what} is empty")
        if (example.pair is not None) != pairs:
            raise ValueError(f"{where} has {2 - pairs} text(s), {found[0][0]} {1 + pairs}")
    return [example for _, example in found]


def from_objects(path):
    objects = read_objects(path, {"text": str, "label": str}, {"pair": str})
    return [(where, LabelledText(each["label"], each["text"], each.get("pair"))) for where, each in objects]


def from_lines(path):
    found = []
    for where, line in numbered_lines(path):
        if not line.strip():
            continue
        label, *texts = line.split("\t")
        if not found and {label.strip().lower(), texts[0].strip().lower() if texts else ""} == {"label", "text"}:
            raise ValueError(f"{where} names columns, which would be a class of its own: leave it out")
        if len(texts) not in (1, 2):
            raise ValueError(
                f"{where} has {len(texts) or 'no'} tabs; a label, a tab and a text are needed, or two texts"
            )
        found.append((where, LabelledText(label, texts[0], texts[1] if len(texts) == 2 else None)))
    return found
