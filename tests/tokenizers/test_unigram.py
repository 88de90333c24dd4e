import doctest
import itertools
from collections import Counter
from pydoc_data.topics import topics

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from minitransformer.convention import fold
from minitransformer.tokenizers import UnigramTokenizer, framed, load_tokenizer, save_tokenizer, unigram
from minitransformer.tokenizers.sentencepiece import BYTES, SPACE
from minitransformer.tokenizers.unigram_training import expected, in_parts, lattices, learnt_pieces, maximised, seeds

from .texts import texts

TEXT = "tell tell tell hot hot  a hotel tells a tale; né à Łódź 猫 🐈\n\ttwice\n the tale of the hotel\n" * 2
TEXT += "".join(topics[name] for name in ("lambda", "if", "while", "yield", "assert"))
TOKENIZER = UnigramTokenizer.train(TEXT, 200)
WITH_BYTES = UnigramTokenizer.train(TEXT, 450, byte_fallback=True, before="one more")
WORDS = Counter(word for word, _ in TOKENIZER.words(TEXT, first=True))
KEY = np.random.SeedSequence(5)


def pieces(tokenizer, text):
    return [tokenizer.pieces[id] for id in tokenizer.encode(text)]


def small(scores, **settings):
    return UnigramTokenizer(["<unk>", *scores], [0.0, *scores.values()], **settings)


def cuts(tokenizer, word):
    """{pieces: score} of every way to cut a word whose characters are all pieces"""
    found = {}
    for borders in itertools.product([False, True], repeat=len(word) - 1):
        places = [0, *(i + 1 for i, border in enumerate(borders) if border), len(word)]
        cut = tuple(word[begin:end] for begin, end in itertools.pairwise(places))
        if all(piece in tokenizer.learnt for piece in cut):
            found[cut] = sum(tokenizer.learnt[piece][1] for piece in cut)
    return found


def test_the_examples_in_the_text():
    assert doctest.testmod(unigram).failed == 0 and doctest.testmod(unigram).attempted


# ----------------------------------------------------------------------------------------------------------- encoding


@given(st.text("telhoa", min_size=1, max_size=9))
def test_the_likeliest_cut(word):
    found = cuts(TOKENIZER, SPACE + word)
    best = max(found.values())
    cut = tuple(pieces(TOKENIZER, word))
    assert found[cut] == pytest.approx(best, abs=1e-9)


def test_not_the_longest_piece_first():
    tokenizer = small({SPACE: -1.0, "a": -3.0, "b": -3.0, "c": -3.0, "ab": -2.0, "bc": -1.0, f"{SPACE}a": -1.5})
    assert pieces(tokenizer, "abc") == [f"{SPACE}a", "bc"]


@pytest.mark.parametrize("tokenizer", [TOKENIZER, WITH_BYTES])
@given(text=texts)
def test_every_text_comes_back(tokenizer, text):
    """Where there are bytes; and where what is unknown is taken out of the text, without."""
    if tokenizer is TOKENIZER:
        known = {piece for piece in TOKENIZER.learnt if len(piece) == 1} | {" "}
        text = "".join(c for c in text if c in known)
    space = tokenizer is TOKENIZER and text[:1] in (" ", SPACE)  # none is put there, and yet it goes
    assert tokenizer.decode(tokenizer.encode(text)) == text.replace(SPACE, " ")[space:]


@pytest.mark.parametrize("tokenizer", [TOKENIZER, WITH_BYTES])
@given(text=texts)
def test_places(tokenizer, text):
    """They cover the text from its beginning to its end; a token's text is what stands there, or bytes of it."""
    ids, offsets = tokenizer.encode_with_offsets(text)
    assert ids.tolist() == tokenizer.encode(text).tolist() and offsets.shape == (len(ids), 2)
    assert ids.dtype == offsets.dtype == np.int64
    if not text:
        assert not len(ids)
        return
    assert offsets[0, 0] == 0 and offsets[-1, 1] == len(text)
    assert (np.diff(offsets[:, 0]) >= 0).all() and (offsets[1:, 0] <= offsets[:-1, 1]).all()
    for i, (id, (begin, end)) in enumerate(zip(ids.tolist(), offsets.tolist())):
        there = text[begin:end].replace(SPACE, " ")
        if tokenizer.pieces[id] in BYTES:
            assert tokenizer.tokens[id][0] in there.encode("utf-8")
        elif id != tokenizer.unknown:
            assert (
                tokenizer.tokens[id].decode() == there or not i and tokenizer.tokens[id].decode() in (f" {there}", " ")
            )


def test_unknown_characters_are_one_token_or_bytes():
    assert pieces(TOKENIZER, "tell☕☕☕x") == [f"{SPACE}tell", "<unk>", "x"]
    found = pieces(WITH_BYTES, "☕é☕")
    assert found == [SPACE, "<0xE2>", "<0x98>", "<0x95>", "é", "<0xE2>", "<0x98>", "<0x95>"]


def test_special_tokens_in_a_text_are_themselves_and_what_looks_so_is_not():
    assert pieces(TOKENIZER, "tell</s>tell") == [f"{SPACE}tell", "</s>", f"{SPACE}tell"]
    assert pieces(WITH_BYTES, "tell</s>tell")[:2] == [f"{SPACE}tell", "</s>"]
    assert not set(pieces(WITH_BYTES, "<0x41>")) & {"<0x41>"}
    mask = small({SPACE: -1.0, "a": -2.0, "<mask>": 0.0}, special={"<mask>": True})
    ids, offsets = mask.encode_with_offsets("a  <mask>a")
    assert [mask.pieces[id] for id in ids] == [SPACE, "a", "<mask>", SPACE, "a"] and offsets[2].tolist() == [1, 9]
    assert mask.mask == mask.ids["<mask>"]


def test_where_a_space_is_put():
    scores = {SPACE: -1.0, "a": -2.0, f"{SPACE}a": -2.5, "</s>": 0.0}
    for before, text, found in (
        ("never", "a", ["a"]),
        ("first", "a</s>a", [f"{SPACE}a", "</s>", "a"]),
        ("always", "a</s>a", [f"{SPACE}a", "</s>", f"{SPACE}a"]),
        ("always", " a", [f"{SPACE}a"]),
        ("one more", " a", [SPACE, f"{SPACE}a"]),
    ):
        assert pieces(small(scores, before=before, special={"</s>": False}), text) == found
    white = small(scores, whitespace=True)
    ids, offsets = white.encode_with_offsets("\na \t\u3000a ")
    assert pieces(white, "\na \t\u3000a ") == [f"{SPACE}a"] * 2 and offsets.tolist() == [[1, 2], [5, 6]]


def test_frames():
    one, two = (framed(TOKENIZER, *given)[0].ids for given in (("tell",), ("tell", "hot")))
    assert [TOKENIZER.pieces[id] for id in one] == [f"{SPACE}tell", "</s>"]
    assert [TOKENIZER.pieces[id] for id in two] == [f"{SPACE}tell", "</s>", f"{SPACE}hot", "</s>"]
    assert len(framed(TOKENIZER, "tell tell tell", length=3)[0].ids) == 3


def test_half_a_surrogate_pair():
    for tokenizer in (TOKENIZER, WITH_BYTES):
        with pytest.raises(UnicodeEncodeError):
            tokenizer.encode("\ud800")


def test_ids_that_are_none():
    with pytest.raises(ValueError, match="vocabulary"):
        TOKENIZER.decode(np.array([10**6]))


# ----------------------------------------------------------------------------------------------------------- sampling


@pytest.mark.parametrize("sharpness", [1.0, 0.3])
def test_cuts_are_drawn_as_likely_as_they_are(sharpness):
    found = cuts(TOKENIZER, f"{SPACE}intent")
    log_p = sharpness * np.array(list(found.values()))
    p = np.exp(log_p - np.logaddexp.reduce(log_p))
    n = 3000
    drawn = [TOKENIZER.sample("intent", fold(KEY, i), sharpness=sharpness) for i in range(n)]
    times = Counter(tuple(TOKENIZER.pieces[id] for id in ids) for ids in drawn)
    assert times.keys() <= found.keys() and len(times) > 3
    for cut, probability in zip(found, p, strict=True):
        assert abs(times[cut] - n * probability) < 5 * np.sqrt(n * probability * (1 - probability)) + 1


def test_a_key_draws_the_same_cuts_again_and_they_decode_to_the_text():
    text = "tell a hotel the tale of a hotel, " * 3
    text = "".join(c for c in text if c != ",")
    one, again, other = (TOKENIZER.sample(text, fold(KEY, i), sharpness=0.2).tolist() for i in (1, 1, 2))
    assert one == again != other
    assert TOKENIZER.decode(one) == TOKENIZER.decode(other) == text
    assert TOKENIZER.sample(text, KEY, sharpness=50.0).tolist() == TOKENIZER.encode(text).tolist()


@pytest.mark.parametrize("sharpness", [-1.0, np.nan, np.inf, 1e308])
def test_a_sharpness_with_which_nothing_can_be_drawn(sharpness):
    with pytest.raises(ValueError, match="sharpness"):
        TOKENIZER.sample("tell", KEY, sharpness=sharpness)


def test_scores_above_zero_and_a_sharpness_with_which_nothing_can_be_drawn():
    tokenizer = UnigramTokenizer(["<unk>", "▁", "a"], [0.0, 2.0, 3.0])
    assert tokenizer.sample("a", KEY, sharpness=1e3).tolist() == [1, 2]
    with pytest.raises(ValueError, match="sharpness of 1e\\+308 no cut of '▁a' has a probability"):
        tokenizer.sample("a", KEY, sharpness=1e308)


# ----------------------------------------------------------------------------------------------------------- training


def test_no_step_makes_the_text_less_likely():
    found, n_characters = seeds(WORDS, 300)
    assert "".join(found[:n_characters]) == "".join(sorted(set("".join(WORDS))))
    groups, scores, likelihoods = lattices(WORDS, found), np.full(len(found), -np.log(len(found))), []
    for _ in range(12):
        likelihood, counts = expected(scores, groups)
        likelihoods.append(likelihood)
        scores = maximised(counts)
        assert np.exp(scores).sum() == pytest.approx(1)
    assert (np.diff(likelihoods) > -1e-9).all() and likelihoods[-1] > likelihoods[0] + 1
    assert counts @ [len(piece) for piece in found] == pytest.approx(sum(len(w) * n for w, n in WORDS.items()))


def test_every_character_stays_and_all_are_probabilities():
    found, scores = learnt_pieces(WORDS, 150)
    assert set("".join(WORDS)) <= set(found) and len(found) == len(set(found)) == 150
    assert np.exp(scores).sum() == pytest.approx(1, abs=0.05) and (np.diff(scores) <= 0).all()
    assert f"{SPACE}tell" in found and f"{SPACE}hotel" in found
    assert not [piece for piece in found if SPACE in piece[1:]]


def test_a_text_without_spaces_is_learnt_from_in_parts():
    words = Counter({"tell": 2, "x" * 2500: 3, "hotel" * 500: 1})
    parts = in_parts(words)
    assert parts == {"tell": 2, "x" * 1000: 6, "x" * 500: 3, "hotel" * 200: 2, "hotel" * 100: 1}
    (pieces, scores), (of_parts, theirs) = learnt_pieces(words, 20), learnt_pieces(parts, 20)
    assert pieces == of_parts and (scores == theirs).all()


def test_of_nothing_nothing_is_learnt():
    with np.errstate(all="raise"):
        assert UnigramTokenizer.train("", 20).pieces == ["<pad>", "</s>", "<unk>"]


def test_what_is_missed_least_goes_first():
    """Fewer pieces never make the text likelier, and those of this training make it likelier than the commonest do."""
    totals = []
    for n in (70, 100, 150):
        found, scores = learnt_pieces(WORDS, n)
        totals.append(expected(scores, lattices(WORDS, found))[0])
    assert totals == sorted(totals)
    common, n_characters = seeds(WORDS, 150 - len(set("".join(WORDS))))
    scores = np.full(len(common), -np.log(len(common)))
    for _ in range(10):
        likelihood, counts = expected(scores, lattices(WORDS, common))
        scores = maximised(np.maximum(counts, 0.5))
    assert totals[-1] > likelihood


def test_room():
    with pytest.raises(ValueError, match=r"vocab_size=20: beside 3 pieces that must be, there is room for 17 pieces"):
        UnigramTokenizer.train(TEXT, 20)
    with pytest.raises(ValueError, match=r"vocab_size=100: beside 259 pieces"):
        UnigramTokenizer.train(TEXT, 100, byte_fallback=True)
    assert UnigramTokenizer.train("aaaa bbbb", 1000).vocab_size < 20


# -------------------------------------------------------------------------------------------------------------- files


def test_a_tokenizer_in_a_file(tmp_path):
    steps = [["lowercase"], ["collapse", " "], ["replace", "``", '"']]
    other = UnigramTokenizer(TOKENIZER.pieces, TOKENIZER.scores, steps=steps, special={"<unk>": True}, first="</s>")
    for tokenizer in (TOKENIZER, WITH_BYTES, other):
        save_tokenizer(tokenizer, tmp_path / "t.json")
        found = load_tokenizer(tmp_path / "t.json")
        assert type(found) is UnigramTokenizer and found.to_json() == tokenizer.to_json()
        assert found.encode("A  hotel ☕").tolist() == tokenizer.encode("A  hotel ☕").tolist()


@pytest.mark.parametrize(
    "pieces, scores, settings, message",
    [
        (["a"], [0.0], {}, "<unk> is no piece"),
        (["<unk>", "<unk>"], [0.0, 0.0], {}, "a piece comes twice"),
        (["<unk>", "a"], [0.0], {}, "2 pieces have 1 scores"),
        (["<unk>", "a"], [0.0, float("nan")], {}, "or one of them is no number"),
        (["<unk>", "a"], [0.0, -(10**400)], {}, "a score is no number that there is room for"),
        (["<unk>", ""], [0.0, 0.0], {}, "a piece has no characters"),
        (["<unk>"], [0.0], {"byte_fallback": True}, "<0x00> is no piece of the vocabulary, and 255 others"),
        (["<unk>"], [0.0], {"separator": "</s>"}, "</s> is no piece"),
        (["<unk>"], [0.0], {"before": "now"}, "before is one of 'never', 'first', 'always', 'one more', not 'now'"),
        (["<unk>"], [0.0], {"whitespace": None}, "its 'whitespace' is None"),
        (["<unk>"], [0.0], {"special": {"<unk>": "yes"}}, "whether each takes the spaces"),
        (["<unk>"], [0.0], {"steps": [["nfc"]]}, "there is no step 'nfc'"),
        (["<unk>"], [0.0], {"steps": ["lowercase"]}, "there is no step"),
        (["<unk>"], [0.0], {"steps": [["replace", "a"]]}, "'replace' of normalisation takes something else"),
        (["<unk>"], [0.0], {"steps": [["charsmap", "%"]]}, "is no base64"),
        (["<unk>", "\ud800"], [0.0, 0.0], {}, "surrogates not allowed"),
    ],
)
def test_tables_that_are_none(pieces, scores, settings, message):
    with pytest.raises(ValueError, match=message):
        UnigramTokenizer(pieces, scores, **settings)


@pytest.mark.parametrize(
    "change, message",
    [
        ({"pieces": [1]}, "its 'pieces' are not all strings"),
        ({"scores": ["a"]}, "its 'scores' are not all numbers"),
        ({"scores": None}, "its 'scores' is no list"),
        ({"byte_fallback": "no"}, "its 'byte_fallback' is 'no'"),
        ({"special": None}, "its 'special' is None"),
    ],
)
def test_files_that_are_none(change, message):
    with pytest.raises(ValueError, match=message):
        UnigramTokenizer.from_json(TOKENIZER.to_json() | change)
