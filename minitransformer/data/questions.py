"""Questions, a text for each, and the answer that stands in it.

    SQuAD's JSON (Rajpurkar et al. 2016)            questions that are marked as impossible are left out
    {"question": ..., "text": ..., "answer": ..., "begin": 17}         a line each; a file FILE.jsonl

An answer begins at the character `begin` of its text, counted from 0, and must stand there.
"""

from typing import NamedTuple

from ..files import read_json
from .json_lines import read_objects


class Question(NamedTuple):
    question: str
    text: str
    answers: tuple  # of (answer, where it begins); the first is the one to learn

    @property
    def span(self):
        """Where the first answer begins, and where it ends."""
        answer, begin = self.answers[0]
        return begin, begin + len(answer)


def read_questions(path):
    """[Question, ...] of a file. ValueError, naming the line or the question, where something is not as it must be."""
    found = from_objects(path) if str(path).endswith(".jsonl") else from_squad(path)
    if not found:
        raise ValueError(f"{path} has no questions with an answer")
    for where, each in found:
        if not each.question.strip():
            raise ValueError(f"{where}: the question is empty")
        for answer, begin in each.answers:
            if not answer.strip():
                raise ValueError(f"{where}: the answer is empty")
            there = each.text[begin : begin + len(answer)] if begin >= 0 else ""
            if there != answer:
                raise ValueError(f"{where}: at character {begin} of the text stands {there!r}, not {answer!r}")
    return [each for _, each in found]


def from_objects(path):
    objects = read_objects(path, {"question": str, "text": str, "answer": str, "begin": int})
    return [(where, Question(x["question"], x["text"], ((x["answer"], x["begin"]),))) for where, x in objects]


def from_squad(path):
    data, where, found = read_json(path), str(path), []
    try:
        for i, article in enumerate(data["data"], 1):
            for j, paragraph in enumerate(article["paragraphs"], 1):
                for k, asked in enumerate(paragraph["qas"], 1):
                    where = f"{path}, article {i}, paragraph {j}, question {k}"
                    if asked.get("is_impossible", False):
                        continue
                    answers = tuple((x["text"], x["answer_start"]) for x in asked["answers"])
                    texts = [asked["question"], paragraph["context"], *(text for text, _ in answers)]
                    if not all(isinstance(x, str) for x in texts) or not all(type(n) is int for _, n in answers):
                        raise TypeError("a text or a number is of another type")
                    if not answers:
                        raise ValueError(f"{where} has no answer, and is not marked as impossible")
                    found.append((where, Question(asked["question"], paragraph["context"], answers)))
    except (KeyError, TypeError, AttributeError) as error:
        raise ValueError(f"{where} is not as in SQuAD: {type(error).__name__}: {error}") from None
    return found
