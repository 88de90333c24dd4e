"""What the tasks tell a model: which token is told what, and how rows become a batch."""

import numpy as np
import pytest

from minitransformer.data.labelled_texts import LabelledText
from minitransformer.data.labelled_words import LabelledWords
from minitransformer.data.questions import Question
from minitransformer.finetuning.tasks import TASKS
from minitransformer.finetuning.tasks.labelled import label_batch
from minitransformer.models import SpanFinder, TextClassifier, TokenClassifier
from minitransformer.reading.tag import spans
from minitransformer.tokenizers import BPETokenizer, framed

from ..reading.models import BODY as READER
from ..reading.models import TOKENIZER as READING
from ..reading.models import body, id_of, reads
from .made import TOKENIZER

LABELS = ["B-PER", "I-PER", "NN", "O"]


def told(frame, targets):
    """[(token, target), ...] of those that count"""
    return [(TOKENIZER.text(id), int(target)) for id, target in zip(frame.ids, targets) if target != -100]


# ----------------------------------------------------------------------------------------------------------- batches


def test_rows_of_unequal_lengths(rng):
    frames = [framed(TOKENIZER, text)[0] for text in ("the cat", "the cat was bad", "the")]
    rows = [(frame, np.arange(len(frame.ids))) for frame in frames]
    ids, types, mask, targets = label_batch(rows, TOKENIZER.pad)
    assert ids.shape == types.shape == targets.shape == (3, 6) and mask.shape == (3, 1, 1, 6)
    assert targets.tolist() == [[0, 1, 2, 3, -100, -100], [0, 1, 2, 3, 4, 5], [0, 1, 2, -100, -100, -100]]
    assert np.array_equal(targets != -100, mask[:, 0, 0])
    assert label_batch([(frame, 7) for frame in frames], 0)[3].tolist() == [7, 7, 7]
    assert label_batch([(frame, (1, 2)) for frame in frames], 0)[3].tolist() == [[1, 2]] * 3


# ------------------------------------------------------------------------------------------------------------ classes


def test_classes(rng):
    task = TASKS["classify"](TOKENIZER, 8, ["bad", "good"])
    ((frame, target),) = task.rows(LabelledText("good", "the cat", "was bad"))
    assert target == 1 and frame.types.tolist() == [0, 0, 0, 0, 1, 1, 1] and len(frame.ids) == 7
    ((frame, _),) = task.rows(LabelledText("bad", "the cat was bad", "the cat was bad"))
    assert len(frame.ids) == 8
    assert task.labels_in([LabelledText(label, "a", None) for label in "bcab"]) == ["a", "b", "c"]


def test_scores_of_classes(rng):
    """A model that reads off [CLS] says the same of every text: what that scores is known."""
    task, model = TASKS["classify"](READING, 8, ["a", "b"]), TextClassifier(READER, 2)
    p = model.init(rng) | {"body": body(rng)}
    p["classifier"] = {"weight": 0 * p["classifier"]["weight"], "bias": np.array([0, 1], np.float32)}
    examples = [LabelledText(label, "the cat", None) for label in "abbb"]
    assert task.scores(model, p, examples, 0.0) == {"accuracy": 0.75, "macro_f1": (0 + 6 / 7) / 2}


# -------------------------------------------------------------------------------------------------------------- names


def test_the_first_piece_of_a_word_is_told_its_label():
    task = TASKS["tag"](TOKENIZER, 20, LABELS)
    example = LabelledWords(("ada", "van", "cats", "saw", "Dogs."), ("B-PER", "I-PER", "I-PER", "O", "NN"))
    ((frame, targets),) = task.rows(example)
    words = [("ada", 0), ("van", 1), ("cat", 1), ("saw", 3), ("dog", 2), (".", 2)]
    assert told(frame, targets) == words and len(targets) == len(frame.ids) == 10


@pytest.mark.parametrize(
    "label, found",
    [("B-PER", [0, 1, 1]), ("I-PER", [1, 1, 1]), ("O", [3, 3, 3]), ("NN", [2, 2, 2]), ("B-X", [4]), ("E-X", [5])],
)
def test_words_that_the_tokenizer_parts(label, found):
    """What goes on with a label whose kind has no I- in the data is told nothing."""
    task = TASKS["tag"](TOKENIZER, 20, [*LABELS, "B-X", "E-X"])
    ((frame, targets),) = task.rows(LabelledWords(("ada.?", "cat"), (label, "O")))
    assert told(frame, targets) == [*zip(["ada", ".", "?"], found), ("cat", 3)]


@pytest.mark.parametrize("single, last", ["SE", "UL"])
@pytest.mark.parametrize("word", ["ada", "ada.", "ada.?", "ada.?."])
def test_a_word_in_parts_begins_and_ends_what_it_did(word, single, last):
    """Told its labels, and said them again, it is the same span; in each scheme, and behind or before another one."""
    labels = [*(f"{letter}-X" for letter in ("B", "I", single, last)), "O"]
    task, text = TASKS["tag"](TOKENIZER, 20, labels), f"{word} {word} {word} {word}"
    for said, expected in (
        ([single, "I", last, single], [0, (1, 2), 3]),
        (["B", last, "I", last], [(0, 1), (2, 3)]),
        (["B", "I", "I", last], [(0, 3)]),
    ):
        example = LabelledWords((word,) * 4, tuple(f"{letter}-X" for letter in said))
        ((frame, targets),) = task.rows(example)
        words = [(labels[target], 1.0, *place) for target, place in zip(targets, frame.offsets) if target != -100]
        assert len(words) == 4 * (1 + len(word) - 3)
        found = [(span.begin, span.end) for span in spans(text, words, "O")]
        first_and_last = [span if isinstance(span, tuple) else (span, span) for span in expected]
        assert found == [(example.places[i][0], example.places[j][1]) for i, j in first_and_last]


def test_what_is_cut_off_is_told_nothing():
    ((frame, targets),) = TASKS["tag"](TOKENIZER, 4, LABELS).rows(LabelledWords(("ada", "saw", "bob"), LABELS[:3]))
    assert told(frame, targets) == [("ada", 0), ("saw", 1)] and len(targets) == 4


def test_scores_of_names(rng):
    """The model knows ada and rome, and takes no lovelace: half of the three spans are found, and one too many."""
    labels = ["B-LOC", "B-PER", "I-PER", "O"]
    task, model = TASKS["tag"](READING, 16, labels), TokenClassifier(READER, 4)
    outside = [word for word in READING.vocabulary if word not in ("rome", "ada", "dog")]
    p = {"body": body(rng), "classifier": reads([["rome"], ["ada", "dog"], [], outside])}
    examples = [
        LabelledWords(("ada", "was", "in", "rome"), ("B-PER", "O", "O", "B-LOC")),
        LabelledWords(("the", "cat", "dog"), ("O", "B-PER", "I-PER")),
    ]
    assert id_of("rome") and task.scores(model, p, examples, 0.0) == {"span_f1": 2 * 2 / (3 + 3)}


# ------------------------------------------------------------------------------------------------------------ answers

TEXT = "the cat was in rome and ada saw the cats."


def question(answer, text=TEXT):
    return Question("where is it?", text, ((answer, text.rindex(answer)),))


@pytest.mark.parametrize("answer", ["rome", "in rome", "the cats", "cats.", "ada", TEXT])
def test_the_ends_of_an_answer(answer):
    (frame, (first, last)), *more = TASKS["answer"](TOKENIZER, 24).rows(question(answer))
    assert not more and frame.texts[first] == frame.texts[last] == 1
    assert TEXT[frame.offsets[first, 0] : frame.offsets[last, 1]] == answer


def test_half_a_piece_belongs_to_the_answer():
    example = Question("where is it?", TEXT, (("om", TEXT.index("om")),))
    ((frame, (first, last)),) = TASKS["answer"](TOKENIZER, 24).rows(example)
    assert first == last and TOKENIZER.text(frame.ids[first]) == "rome"


@pytest.mark.parametrize("answer", ["rome", "in rome and", "the cats", TEXT[:7]])
def test_windows_without_the_whole_answer_are_told_the_first_place(answer):
    rows = TASKS["answer"](TOKENIZER, 14).rows(question(answer))
    assert len(rows) > 2
    held = 0
    for frame, (first, last) in rows:
        inside = frame.offsets[frame.texts == 1]
        begin = TEXT.rindex(answer)
        if inside[0, 0] <= begin and begin + len(answer) <= inside[-1, 1]:
            assert TEXT[frame.offsets[first, 0] : frame.offsets[last, 1]] == answer
            held += 1
        else:
            assert first == last == 0
    assert 0 < held < len(rows)


def test_an_answer_of_which_there_is_no_token():
    example = Question("where is it?", "rome \u200b is", (("\u200b", 5),))
    assert [targets for _, targets in TASKS["answer"](TOKENIZER, 24).rows(example)] == [(-100, -100)]


def test_a_question_that_leaves_no_room():
    with pytest.raises(ValueError, match="the question 'where is it.' leaves too little room"):
        TASKS["answer"](TOKENIZER, 8).rows(question("rome"))


def test_scores_of_answers(rng):
    task, model = TASKS["answer"](READING, 16), SpanFinder(READER)
    p = {"body": body(rng), "ends": reads([["rome"], ["rome"]])}
    text = "the cat was born in rome."
    examples = [Question("where?", text, ((there, text.index(there)),)) for there in ("rome", "in rome", "cat")]
    assert task.scores(model, p, examples, 0.0) == pytest.approx({"exact": 1 / 3, "f1": (1 + 2 / 3 + 0) / 3})


# -------------------------------------------------------------------------------------------------------------- texts


def test_windows_of_a_text(tmp_path):
    tokenizer = BPETokenizer.train("the cat", 257)
    (tmp_path / "text.txt").write_text("abcdefghij", encoding="utf-8")
    kind = TASKS["lm"]
    examples = kind.read(tmp_path / "text.txt", tokenizer, 4)
    inputs, targets = kind(tokenizer, 4).batch(
        [row for example in examples for row in kind(tokenizer, 4).rows(example)]
    )
    assert [tokenizer.decode(row) for row in inputs] == ["abcd", "efgh"]
    assert [tokenizer.decode(row) for row in targets] == ["bcde", "fghi"]
    with pytest.raises(ValueError, match="text.txt has 10 tokens, too short for one context of 10"):
        kind.read(tmp_path / "text.txt", tokenizer, 10)


def test_of_every_score_more_is_better_but_of_perplexity():
    best = {name: task.best for name, task in TASKS.items()}
    assert best.pop("lm") == ("perplexity", False)
    assert best == {"classify": ("accuracy", True), "tag": ("span_f1", True), "answer": ("f1", True)}


@pytest.mark.parametrize("name", ["classify", "tag", "answer"])
def test_no_more_is_read_at_once_than_was_learnt_from(name, rng, monkeypatch):
    kind, read = TASKS[name].head, []
    forward = kind.forward

    def counted(self, p, ids, **more):
        read.append(ids.shape[1])
        return forward(self, p, ids, **more)

    monkeypatch.setattr(kind, "forward", counted)
    words = "the cat was born in rome ."
    example = {
        "classify": LabelledText("a", words, None),
        "tag": LabelledWords(tuple(words.split()), tuple("abababa")),
        "answer": Question("where?", words, (("rome", words.index("rome")),)),
    }[name]
    model = kind(READER) if name == "answer" else kind(READER, 2)
    TASKS[name](READING, 8, ["a", "b"]).scores(model, model.init(rng), [example], 0.0)
    assert max(read) == 8 < READER.context_length
