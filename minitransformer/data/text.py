"""Text to learn from: files, or the Python Language Reference, which is on every machine that runs this."""

from pathlib import Path


def topics_of_python():
    """The topics of the Python Language Reference, as `help()` shows them, in the order of their names."""
    from pydoc_data.topics import topics

    return [topics[name] for name in sorted(topics)]


def python_reference():
    """All of the topics, as one text."""
    return "".join(topics_of_python())


def read_text(paths):
    """The files one after another, with \\n at the ends of lines. ValueError where one is empty or not UTF-8.

    What some systems put before a text (U+FEFF) and at the end of a line (\\r) is no part of it.
    """
    texts = []
    for path in map(Path, paths):
        try:
            text = path.read_bytes().decode("utf-8").removeprefix("\ufeff").replace("\r\n", "\n")
        except UnicodeDecodeError as error:
            raise ValueError(f"{path} is not UTF-8: byte {error.start} is {error.object[error.start]:#04x}") from None
        if not text:
            raise ValueError(f"{path} is empty")
        texts.append(text)
    return "".join(texts)


def hold_out(text, share=0.1):
    """The text in two: to learn from, and its last tenth to see how well."""
    cut = len(text) - int(len(text) * share)
    return text[:cut], text[cut:]
