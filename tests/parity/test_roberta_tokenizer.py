"""RoBERTa's tokenizer beside the `tokenizers` library: ids, places, frames."""

import json

import numpy as np
import pytest
import transformers
from tokenizers import AddedToken, ByteLevelBPETokenizer, processors

from minitransformer import models
from minitransformer.pretrained import save_pretrained
from minitransformer.pretrained.tokenizers import read_roberta
from minitransformer.tokenizers import RobertaTokenizer, batch_of, framed
from minitransformer.tokenizers.roberta import SPECIAL

from .texts import FUZZ, TEXTS, sprinkled, strings


def trained(mask_takes_spaces=True):
    """Theirs, trained on mixed scripts, with the special tokens and frames that are published."""
    tokenizer = ByteLevelBPETokenizer()
    special = [AddedToken(text, lstrip=text == "<mask>" and mask_takes_spaces, special=True) for text in SPECIAL]
    tokenizer.train_from_iterator(TEXTS, vocab_size=420, min_frequency=2, special_tokens=special)
    tokenizer.post_processor = processors.RobertaProcessing(
        ("</s>", 2), ("<s>", 0), trim_offsets=True, add_prefix_space=False
    )
    return tokenizer


def ours_of(theirs, folder):
    folder.mkdir(exist_ok=True)
    theirs.save(str(folder / "tokenizer.json"))
    return read_roberta(folder)


SPRINKLED = [*SPECIAL, "<mask>", "  ", "\u3000<mask> ", "\n\t <mask>", "<mas", "k>", "</", "s>", "<<s>", " </s> "]


@pytest.mark.parametrize("takes", [True, False])
def test_the_same_ids_and_places_for_whatever_text(takes, tmp_path, rng):
    theirs = trained(takes)
    ours = ours_of(theirs, tmp_path / "one")
    assert ours.mask_takes_spaces == takes
    fuzz = [
        sprinkled(text, SPRINKLED, rng, 4) if i % 2 else text
        for i, text in enumerate(strings(rng, FUZZ if takes else FUZZ // 10))
    ]
    for text in [*TEXTS, "<mask>", "a <mask>", "   <mask>  <mask>", "<s> <mask></s>", "", " ", *fuzz]:
        expected = theirs.encode(text, add_special_tokens=False)
        ids, offsets = ours.encode_with_offsets(text)
        assert ids.tolist() == expected.ids, ascii(text)
        assert offsets.tolist() == [list(pair) for pair in expected.offsets], ascii(text)
        assert np.array_equal(ours.encode(text), ids) and ids.dtype == offsets.dtype == np.int64
        if not takes or "<mask>" not in text:
            assert ours.decode(ids) == text, ascii(text)


def test_one_file_is_read_as_two_are(tmp_path):
    theirs = trained()
    one = ours_of(theirs, tmp_path / "one")
    theirs.save_model(str(tmp_path))
    assert read_roberta(tmp_path).to_json() == one.to_json()


@pytest.mark.parametrize("pair", [False, True])
@pytest.mark.parametrize("length, stride", [(400, 0), (40, 0), (50, 3), (47, 2)])
def test_the_same_frames(pair, length, stride, tmp_path):
    """Special tokens, types, truncation, and windows with something in common."""
    theirs = trained()
    ours = ours_of(theirs, tmp_path / "one")
    first, second = "the quick fox", "The lazy <mask> jumps over the brown fox; they've said, we'll see, où l'été " * 2
    theirs.enable_truncation(length, stride=stride, strategy="only_second" if pair else "longest_first")
    given = (first, second) if pair else (second,)
    expected = theirs.encode(*given)
    found = framed(ours, *given, length=length, stride=stride, cut="second" if pair else "longer")
    assert len(found) == 1 + len(expected.overflowing)
    assert len(found) > 1 or length == 400
    for one, other in zip(found, [expected, *expected.overflowing], strict=True):
        assert one.ids.tolist() == other.ids and one.types.tolist() == other.type_ids == [0] * len(other.ids)
        assert one.offsets.tolist() == [list(place) for place in other.offsets]
        assert one.texts.tolist() == [-1 if text is None else text for text in other.sequence_ids]


@pytest.mark.parametrize("length", range(8, 60, 3))
def test_the_longer_of_two_is_cut_first(length, tmp_path):
    theirs = trained()
    ours = ours_of(theirs, tmp_path / "one")
    theirs.enable_truncation(length)
    for a, b in (("the quick fox", "The lazy dog jumps over the brown fox"), ("over the brown fox jumps", "lazy")):
        assert framed(ours, a, b, length=length)[0].ids.tolist() == theirs.encode(a, b).ids


def test_batches_are_padded_as_theirs(tmp_path):
    theirs = trained()
    ours = ours_of(theirs, tmp_path / "one")
    theirs.enable_padding(pad_id=1, pad_token="<pad>")
    texts = ["the fox", "the lazy dog jumps", ""]
    ids, types, mask = batch_of([framed(ours, text)[0] for text in texts], ours.pad)
    expected = theirs.encode_batch(texts)
    assert ids.tolist() == [one.ids for one in expected] and types.tolist() == [one.type_ids for one in expected]
    assert mask[:, 0, 0].astype(int).tolist() == [one.attention_mask for one in expected]


@pytest.mark.parametrize("takes", [True, False])
def test_what_is_trained_here_they_read(takes, tmp_path):
    tokenizer = RobertaTokenizer.train(" ".join(TEXTS), 400)
    tokenizer = RobertaTokenizer(tokenizer.tokens, tokenizer.bpe.merges, mask_takes_spaces=takes)
    model = models.SentenceEncoder(models.RoBERTa(tokenizer.vocab_size, 30, 1, 1, 1, 1, 8, 8))
    save_pretrained(tmp_path / "ours", model, model.init(np.random.default_rng(0)), tokenizer)
    theirs = transformers.AutoTokenizer.from_pretrained(tmp_path / "ours")
    for text in [*TEXTS, "the  <mask> fox", "<s><unk> a</s>"]:
        assert theirs(text, add_special_tokens=False)["input_ids"] == tokenizer.encode(text).tolist()
    theirs.save_pretrained(tmp_path / "theirs")
    assert "tokenizer.json" in {path.name for path in (tmp_path / "theirs").iterdir()}
    assert read_roberta(tmp_path / "theirs").to_json() == tokenizer.to_json()
    assert json.loads((tmp_path / "ours" / "config.json").read_text())["pad_token_id"] == theirs.pad_token_id
