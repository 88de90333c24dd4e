"""RoBERTa's tokenizer by itself; beside the `tokenizers` library it is in tests/parity."""

import numpy as np
import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from minitransformer.tokenizers import BPETokenizer, RobertaTokenizer, framed, load_tokenizer, save_tokenizer
from minitransformer.tokenizers.roberta import SPECIAL

TOKENIZER = RobertaTokenizer.train("the cat sat on the mat; the cat, the mat. It's the cat's né à 猫", 285)
TEXTS = st.text() | st.lists(st.sampled_from([*SPECIAL, " ", "\t", "the", "cat", "<", "mask>", "猫"])).map("".join)


def spelled(text):
    return [TOKENIZER.text(id) for id in TOKENIZER.encode(text)]


def test_special_tokens_are_themselves():
    assert spelled("<s>the</s><pad><unk>") == ["<s>", "the", "</s>", "<pad>", "<unk>"]
    assert "<mask>" not in spelled("<mas k>") and "<mask>" not in spelled("<MASK>")
    assert [TOKENIZER.first, TOKENIZER.pad, TOKENIZER.separator, TOKENIZER.unknown, TOKENIZER.mask] == [0, 1, 2, 3, 4]


def test_a_mask_takes_the_spaces_before_it():
    assert spelled("the <mask> cat") == ["the", "<mask>", " cat"]
    assert spelled("the \t\u3000<mask>") == ["the", "<mask>"] and spelled("<mask>  <mask>") == ["<mask>"] * 2
    assert spelled("the </s>") == ["the", " ", "</s>"]
    keeps = RobertaTokenizer(TOKENIZER.tokens, TOKENIZER.bpe.merges, mask_takes_spaces=False)
    assert keeps.decode(keeps.encode("the <mask>")) == "the <mask>"


def test_places_are_without_spaces():
    text = "  the  <mask>, the cat"
    ids, offsets = TOKENIZER.encode_with_offsets(text)
    found = [text[begin:end] for begin, end in offsets]
    assert found == [TOKENIZER.text(id).strip() for id in ids] and found[-3:] == [",", "the", "cat"]


@given(TEXTS)
@example("the <mask>")
def test_places_say_what_stands_there(text):
    ids, offsets = TOKENIZER.encode_with_offsets(text)
    assert (offsets[:, 0] <= offsets[:, 1]).all() and (np.diff(offsets[:, 0]) >= 0).all()
    for id, (begin, end) in zip(ids, offsets.tolist()):
        token = TOKENIZER.text(id).strip(" ")
        assert "\ufffd" in token or text[begin:end] == token
    whole = TOKENIZER.decode(ids)
    assert whole == text or "<mask>" in text


@pytest.mark.parametrize(
    "text, words",
    [
        ("the cat", ["the", "cat"]),
        ("zebra", ["zebra"]),
        ("the cat, the mat.", ["the", "cat", ",", "the", "mat", "."]),
        ("cat's 12a", ["cat", "'s", "12a"]),
        ("né 猫猫 à", ["né", "猫猫", "à"]),
        ("a\nb", ["a", "\n", "b"]),
        (" the  cat ", ["the", "", "cat", ""]),
    ],
)
def test_words(text, words):
    ids, offsets = TOKENIZER.encode_with_offsets(text)
    found, before = [], None
    for id, (begin, end) in zip(ids, offsets.tolist()):
        if before is not None and TOKENIZER.continues(before, id):
            found[-1][1] = end
        else:
            found.append([begin, end])
        before = id
    assert [text[begin:end] for begin, end in found] == words


def test_frames():
    (one,) = framed(TOKENIZER, "the")
    assert [TOKENIZER.text(id) for id in one.ids] == ["<s>", "the", "</s>"]
    (two,) = framed(TOKENIZER, "the", "the the")
    assert [TOKENIZER.text(id) for id in two.ids] == ["<s>", "the", "</s>", "</s>", "the", " the", "</s>"]
    assert two.types.tolist() == [0] * 7 and two.texts.tolist() == [-1, 0, -1, -1, 1, 1, -1]
    assert len(framed(TOKENIZER, "the the the", "the the", length=8)[0].ids) == 8
    with pytest.raises(ValueError, match="there are 1 and 2 tokens, but there is room for 2"):
        framed(TOKENIZER, "the", "the the", length=6, cut=None)


@pytest.mark.parametrize("takes", [True, False])
def test_it_is_kept(takes, tmp_path):
    tokenizer = RobertaTokenizer(TOKENIZER.tokens, TOKENIZER.bpe.merges, mask_takes_spaces=takes)
    save_tokenizer(tokenizer, tmp_path / "tokenizer.json")
    assert load_tokenizer(tmp_path / "tokenizer.json").to_json() == tokenizer.to_json()


def test_training_on_texts_with_special_tokens():
    """They are no material for merges."""
    tokenizer = RobertaTokenizer.train("<s><s><s>the the<mask><mask>", 270)
    assert tokenizer.vocab_size <= 270 and tokenizer.encode("<s>the").tolist() == [0, *tokenizer.encode("the")]
    assert not any(b"<" in tokenizer.tokens[id] for id in range(261, tokenizer.vocab_size))
    with pytest.raises(ValueError, match="vocab_size=260 has no room for 5 special tokens and the 256 bytes"):
        RobertaTokenizer.train("the", 260)


def test_tables_that_do_not_fit():
    bpe = BPETokenizer.train("the cat", 258)
    with pytest.raises(ValueError, match="the vocabulary has no <s>, <pad>, </s>, <unk>, <mask>"):
        RobertaTokenizer(bpe.tokens, bpe.merges)
    with pytest.raises(ValueError, match="the vocabulary has no <mask>$"):
        RobertaTokenizer([*bpe.tokens, *(text.encode() for text in SPECIAL[:4])], bpe.merges)
    with pytest.raises(ValueError, match="'mask_takes_spaces' is neither true nor false"):
        RobertaTokenizer.from_json(TOKENIZER.to_json() | {"mask_takes_spaces": 1})
    with pytest.raises(ValueError, match="surrogates not allowed"):
        TOKENIZER.encode("a\ud800<mask>")
