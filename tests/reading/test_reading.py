"""What is made of a model's answers, on models whose answers are known."""

import numpy as np
import pytest

from minitransformer.models import MaskedLanguageModel, SentenceEncoder, SpanFinder, TextClassifier, TokenClassifier
from minitransformer.ops import softmax
from minitransformer.reading import answer, answers, classify, clusters, embed, fill_mask, similarity, tag
from minitransformer.reading.answer import best_span
from minitransformer.reading.batches import TOKENS, batches
from minitransformer.reading.embed import lowered
from minitransformer.reading.tag import Span, spans, words_of
from minitransformer.tokenizers import RobertaTokenizer, WordPieceTokenizer, framed
from minitransformer.trees import tree_map

from .models import BODY, TOKENIZER, V, body, id_of, reads


def masked(rng, mask_says):
    """A masked language model that answers [MASK] with one word, and every other token with itself."""
    model, p = MaskedLanguageModel(BODY), {"body": body(rng)}
    weight = np.eye(V, dtype=np.float32)
    weight[:, TOKENIZER.mask] = 0
    weight[id_of(mask_says), TOKENIZER.mask] = 1
    zero = np.zeros(V, np.float32)
    return model, p | {
        "transform": {"weight": weight, "bias": zero},
        "norm": {"weight": np.ones(V, np.float32), "bias": zero},
        "table": {"bias": zero},
    }


def test_masks_are_filled(rng):
    model, p = masked(rng, "cat")
    found = fill_mask(model, p, TOKENIZER, ["the [MASK] sat", "[MASK] [MASK] dog"], top=3)
    assert [len(guesses) for guesses in found] == [1, 2]
    for guesses in (*found[0], *found[1]):
        assert guesses[0][0] == "cat" and len(guesses) == 3
        assert guesses[0][1] > guesses[1][1] >= guesses[2][1] > 0 and sum(chance for _, chance in guesses) < 1
    with pytest.raises(ValueError, match=r"text 2 has no \[MASK\] to fill"):
        fill_mask(model, p, TOKENIZER, ["the [MASK]", "the cat"])
    with pytest.raises(ValueError, match="of 0 tokens nothing"):
        fill_mask(model, p, TOKENIZER, ["the [MASK]"], top=0)


def test_classes_do_not_hang_on_the_order_or_on_the_company(rng):
    model = TextClassifier(BODY, 3)
    p = model.init(rng)
    texts = [" ".join(rng.choice(["the", "cat", "dog", "sat"], n)) for n in rng.integers(1, 12, 2 * TOKENS // 12)]
    together = classify(model, p, TOKENIZER, texts)
    for text, chances in zip(texts, together, strict=True):
        (alone,) = classify(model, p, TOKENIZER, [text])
        np.testing.assert_allclose(chances, alone, rtol=1e-5)
        assert chances.shape == (3,) and abs(chances.sum() - 1) < 1e-6
    assert len({chances.tobytes() for chances in together}) > 1


def test_batches_hold_so_many_tokens_and_each_text_once(rng):
    lengths = rng.integers(1, TOKENS // 3, 50).tolist() + [3 * TOKENS]
    found = batches(lengths)
    assert sorted(i for batch in found for i in batch) == list(range(51))
    assert all(len(batch) == 1 or len(batch) * max(lengths[i] for i in batch) <= TOKENS for batch in found)
    assert len(found) < 40 and batches([]) == []


def test_pairs_are_read_as_pairs(rng):
    model = TextClassifier(BODY, 2)
    p = tree_map(lambda leaf: leaf + 0.2 * rng.normal(size=leaf.shape).astype("f"), model.init(rng))
    one, two = classify(model, p, TOKENIZER, ["the cat the dog", ("the cat", "the dog")])
    assert not np.allclose(one, two)


LABELS = ["O", "B-PER", "I-PER", "B-LOC"]


def test_names_are_found(rng):
    model = TokenClassifier(BODY, 4)
    p = {
        "body": body(rng),
        "classifier": reads([["the", "cat", "was", "born", "in", "."], ["ada"], ["love"], ["rome"]]),
    }
    text = "Ada  Lovelace was born in Rome."
    found = tag(model, p, TOKENIZER, LABELS, [text, "the cat"])
    assert [(span.label, span.text) for span in found[0]] == [("PER", "Ada  Lovelace"), ("LOC", "Rome")]
    for span in found[0]:
        assert text[span.begin : span.end] == span.text and 0.25 < span.probability < 1
    assert found[1] == []


@pytest.mark.parametrize(
    "labels, expected",
    [
        ("O B-X I-X O", ["X:bc"]),
        ("B-X B-X", ["X:a", "X:b"]),
        ("B-X I-Y I-Y", ["X:a", "Y:bc"]),
        ("I-X I-X O I-X", ["X:ab", "X:d"]),
        ("X X Y O X", ["X:ab", "Y:c", "X:e"]),
        ("B-X E-X S-X U-X B-X L-X", ["X:ab", "X:c", "X:d", "X:ef"]),
        ("S-X I-X U-X L-X", ["X:a", "X:b", "X:c", "X:d"]),
        ("B-X E-X I-X L-X I-X", ["X:ab", "X:cd", "X:e"]),
        ("E-X I-X L-X E-X O", ["X:a", "X:bc", "X:d"]),
        ("S E S", ["S:a", "E:b", "S:c"]),
        ("S S E E", ["S:ab", "E:cd"]),
        ("-X BI-X", ["-X:a", "BI-X:b"]),
        ("O O", []),
        ("", []),
    ],
)
def test_labels_are_gathered_to_spans(labels, expected):
    words = [(label, 0.5 + i / 10, i, i + 1) for i, label in enumerate(labels.split())]
    found = spans("abcdef", words, "O")
    assert [f"{span.label}:{span.text}" for span in found] == expected
    assert all(span.probability == 0.5 + span.begin / 10 for span in found)  # the least of them


def test_words_of_bytes(rng):
    """Punctuation is a word, spaces are none; a word has the label of its first piece, be that a space alone."""
    tokenizer = RobertaTokenizer.train("", 261)
    text = " the  rome,猫 cat "
    (frame,) = framed(tokenizer, text)
    chances = rng.random((len(frame.ids), 3))
    found = words_of(frame, tokenizer, ["O", "X", "Y"], chances)
    assert [text[begin:end] for _, _, begin, end in found] == ["the", "rome", ",", "猫", "cat"]
    for (label, chance, *_), i in zip(found, (1, 6, 11, 12, 15), strict=True):  # bytes, and <s> before them
        assert label == "OXY"[chances[i].argmax()] and chance == chances[i].max()


def finder(rng, start, end):
    return SpanFinder(BODY), {"body": body(rng), "ends": reads([[start], [end]])}


def test_an_answer_is_found_in_the_text_and_not_in_the_question(rng):
    model, p = finder(rng, "in", "rome")
    text = "Ada was born in Rome, the cat."
    found = answer(model, p, TOKENIZER, "in rome?", text)
    assert found.text == "in Rome" and text[found.begin : found.end] == "in Rome" and 0 < found.probability < 1


def test_an_answer_does_not_end_before_it_begins(rng):
    model, p = finder(rng, "born", "ada")
    assert answer(model, p, TOKENIZER, "where?", "ada was born in rome").text in ("ada", "born", "ada was born in rome")
    assert answer(model, p, TOKENIZER, "where?", "ada was born in ada", longest=30).text == "born in ada"
    assert answer(model, p, TOKENIZER, "where?", "ada was born in ada", longest=2).text != "born in ada"


@pytest.mark.parametrize("seed", range(20))
def test_the_best_span_is_the_best_of_all(seed):
    rng = np.random.default_rng(seed)
    n, longest = rng.integers(1, 9, 2)
    start, end = 100 * rng.normal(size=(2, n))
    every = [(start[i] + end[j], i, j) for i in range(n) for j in range(i, min(n, i + longest))]
    assert best_span(start, end, longest) == max(every)


@pytest.mark.parametrize("place", range(0, 40, 3))
def test_windows_find_what_the_whole_would(place, rng):
    """An answer anywhere in a long text, as long as it is not longer than what windows have in common."""
    model, p = finder(rng, "in", "rome")
    words = ["cat"] * 40
    words[place : place + 2] = ["in", "rome"]
    text = " ".join(words)
    found = answer(model, p, TOKENIZER, "where?", text, stride=3)
    assert (found.text, found.begin) == ("in rome", text.index("in rome"))
    with pytest.raises(ValueError, match="do not fit into the model's context.*with a stride"):
        answer(model, p, TOKENIZER, "where?", text)


def test_probabilities_are_among_all_windows(rng):
    model, p = finder(rng, "in", "rome")
    short = answer(model, p, TOKENIZER, "where?", "cat in rome", stride=3)
    long = answer(model, p, TOKENIZER, "where?", "cat in rome" + " cat" * 40, stride=3)
    assert long.probability < short.probability


@pytest.mark.parametrize(
    "more, message",
    [
        ({"text": ""}, "has no token"),
        ({"longest": 0}, "at most 0 tokens"),
        ({"question": "where " * 20, "text": "cat " * 20, "stride": 2}, "do not fit"),
        ({"text": "cat " * 40, "stride": 15}, "a stride of 15"),
    ],
)
def test_questions_that_have_no_answer(more, message, rng):
    model, p = finder(rng, "in", "rome")
    with pytest.raises(ValueError, match=message):
        answer(model, p, TOKENIZER, **{"question": "where?", "text": "in rome"} | more)


def test_vectors_have_length_one_and_are_alike_where_the_texts_are(rng):
    model, p = SentenceEncoder(BODY), {"body": body(rng)}
    vectors = embed(model, p, TOKENIZER, ["the cat sat", "cat sat the", "rome, rome, rome", "in rome"])
    np.testing.assert_allclose(np.linalg.norm(vectors, axis=1), 1, rtol=1e-5)
    alike = similarity(vectors)
    np.testing.assert_allclose(np.diag(alike), 1, rtol=1e-5)
    assert alike[0, 1] > 0.999 and alike[2, 3] > alike[0, 2] and np.allclose(alike, alike.T)
    assert clusters(vectors, 2).tolist() == [0, 0, 1, 1]
    assert clusters(vectors, 1).tolist() == [0] * 4 and clusters(vectors[:1], 1).tolist() == [0]
    for n in (0, 5):
        with pytest.raises(ValueError, match=f"4 texts cannot be parted into {n} clusters"):
            clusters(vectors, n)
    assert sorted(clusters(np.ones((3, 2)), 2).tolist()) in ([0, 0, 1], [0, 1, 1])  # of equal ones, too
    assert embed(model, p, TOKENIZER, []).shape == (0, V)


def test_lowered_texts_and_pairs(rng):
    assert lowered(("The CAT Ω", "ΟΔΟΣ")) == ("the cat ω", "οδοσ")  # which str.lower ends with another letter
    model, plain = SentenceEncoder(BODY, lowers=True), SentenceEncoder(BODY)
    p = model.init(rng)
    cased = WordPieceTokenizer([*TOKENIZER.vocabulary[:-1], "CAT"], lowercase=False)
    vectors = embed(model, p, cased, [("CAT", "the CAT"), ("cat", "the cat")])
    assert np.allclose(vectors[0], vectors[1]) and not np.allclose(vectors, embed(plain, p, cased, ["CAT", "cat"]))


def test_as_many_tokens_as_it_is_made_for(rng):
    model = SentenceEncoder(BODY, max_length=6)
    p = model.init(rng)
    with pytest.raises(ValueError, match="text 2 is longer than the 6 tokens of the model"):
        embed(model, p, TOKENIZER, ["cat " * 4, "cat " * 5])
    cut = embed(model, p, TOKENIZER, ["the " * 3 + "cat dog", "the " * 3 + "cat"], truncate=True)
    np.testing.assert_allclose(*cut, rtol=1e-5)


@pytest.mark.filterwarnings("ignore:invalid value encountered:RuntimeWarning")
def test_damaged_parameters_are_said(rng):
    model = TextClassifier(BODY, 2)
    p = model.init(rng)
    p["classifier"]["bias"][0] = np.nan
    with pytest.raises(ValueError, match="NaN or infinite"):
        classify(model, p, TOKENIZER, ["cat"])
    p = {"body": body(rng)}
    p["body"]["norm"]["weight"][0] = np.inf
    with pytest.raises(ValueError, match="NaN or infinite"):
        embed(SentenceEncoder(BODY), p, TOKENIZER, ["cat"])


def test_what_is_too_long_is_refused_or_cut(rng):
    model = TextClassifier(BODY, 2)
    p = model.init(rng)
    with pytest.raises(ValueError, match="text 2 is longer than the 16 tokens of the model: there are 20 tokens"):
        classify(model, p, TOKENIZER, ["cat", "cat " * 20])
    long, cut = classify(model, p, TOKENIZER, ["cat " * 20, "cat " * 14], truncate=True)
    np.testing.assert_allclose(long, cut, rtol=1e-5)


def test_probabilities_are_the_softmax_of_the_logits(rng):
    model = TextClassifier(BODY, 5)
    p = model.init(rng)
    (found,) = classify(model, p, TOKENIZER, ["cat dog"])
    ids = np.array([[TOKENIZER.first, id_of("cat"), id_of("dog"), TOKENIZER.separator]])
    np.testing.assert_allclose(found, softmax(model.forward(p, ids)[0])[0][0], rtol=1e-6)


def test_texts_are_several(rng):
    model = TokenClassifier(BODY, 4)
    p = {"body": body(rng), "classifier": reads([["the"], ["ada"], ["love"], ["rome"]])}
    asked = ["the cat", "ada"]
    assert tag(model, p, TOKENIZER, LABELS, iter(asked)) == tag(model, p, TOKENIZER, LABELS, asked)
    with pytest.raises(ValueError, match="a list of texts is needed, not one text"):
        tag(model, p, TOKENIZER, LABELS, "the cat")
    with pytest.raises(ValueError, match="a list of texts is needed, not one text"):
        classify(TextClassifier(BODY), p, TOKENIZER, "the cat")
    with pytest.raises(ValueError, match="3 labels for 4 classes"):
        tag(model, p, TOKENIZER, LABELS[:3], asked)
    with pytest.raises(ValueError, match="of one text each, not of pairs"):
        tag(model, p, TOKENIZER, LABELS, [("the", "cat")])


def test_each_asks_for_its_own_head(rng):
    other = SpanFinder(BODY), SpanFinder(BODY).init(rng), TOKENIZER
    for ask, more in ((classify, [["cat"]]), (fill_mask, [["[MASK]"]]), (embed, [["cat"]]), (tag, [["X"], ["cat"]])):
        with pytest.raises(ValueError, match="this takes a .*, not a SpanFinder"):
            ask(*other, *more)
    with pytest.raises(ValueError, match="this takes a SpanFinder, not a TextClassifier"):
        answer(TextClassifier(BODY), {}, TOKENIZER, "where?", "cat")


def test_of_one_label_all_is_one_span(rng):
    model = TokenClassifier(BODY, 1)
    assert tag(model, model.init(rng), TOKENIZER, ["X"], ["cat dog"]) == [[Span("X", "cat dog", 0, 7, 1.0)]]


def test_answers_side_by_side(rng):
    """As one by one: windows of several texts are read together, and each answer is found among its own."""
    model = SpanFinder(BODY)
    p = {"body": body(rng), "ends": reads([["rome", "ada"], ["rome", "ada"]])}
    texts = ["the cat was born in rome", "the cat " * 9 + "ada lovelace was born", "rome"]
    asked = [("where?", text) for text in texts]
    found = answers(model, p, TOKENIZER, asked, stride=4)
    assert [each.text for each in found] == ["rome", "ada", "rome"]
    for (question, text), each in zip(asked, found, strict=True):
        alone = answer(model, p, TOKENIZER, question, text, stride=4)
        assert alone[:3] == each[:3] and alone.probability == pytest.approx(each.probability, rel=1e-4)
    assert answers(model, p, TOKENIZER, []) == []
