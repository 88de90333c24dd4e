"""WordPiece as BERT has it beside the `tokenizers` library: ids, places, frames."""

import json
import unicodedata

import numpy as np
import pytest
import transformers
from tokenizers import BertWordPieceTokenizer

from minitransformer import models
from minitransformer.pretrained import save_pretrained
from minitransformer.pretrained.tokenizers import read_wordpiece
from minitransformer.pretrained.tokenizers.wordpiece import CLASSES
from minitransformer.tokenizers import WordPieceTokenizer, batch_of, framed
from minitransformer.tokenizers.bert_normalizer import words

from .texts import FUZZ, TEXTS, strings


def trained(**settings):
    tokenizer = BertWordPieceTokenizer(**settings)
    tokenizer.train_from_iterator(TEXTS, vocab_size=300, min_frequency=1)
    return BertWordPieceTokenizer(tokenizer.get_vocab(), **settings)  # which frames texts, too


SETTINGS = [{}, {"lowercase": False}, {"strip_accents": False}, {"lowercase": False, "strip_accents": True}]


def ours_of(theirs, folder):
    folder.mkdir(exist_ok=True)
    theirs.save(str(folder / "tokenizer.json"))
    return read_wordpiece(folder)


def disputed(character, theirs, ours):
    """Whether one side takes it for a mark or for punctuation, and the other does not"""
    alone = theirs.normalizer.normalize_str(f"a{character}a")
    expected = [word for word, _ in theirs.pre_tokenizer.pre_tokenize_str(alone)]
    how = {"lowercase": ours.lowercase, "strip_accents": ours.strip_accents}
    return [word for word, _ in words(f"a{character}a", **how)] != expected


CHANGED = "\u166d"  # Unicode took it for punctuation, and then no more


@pytest.mark.parametrize("settings", SETTINGS, ids=str)
def test_the_same_ids_and_places_for_whatever_text(settings, tmp_path, rng):
    """But for characters that the library's tables are too old to know; they were not in Unicode 3.2 yet."""
    theirs = trained(**settings)
    ours, compared = ours_of(theirs, tmp_path / "one"), 0
    fuzz = list(strings(rng, FUZZ // len(SETTINGS)))
    new = {c for c in set("".join(fuzz)) if disputed(c, theirs, ours)}
    assert all(unicodedata.ucd_3_2_0.category(c) == "Cn" or c in CHANGED for c in new), ascii("".join(new))
    for text in [*TEXTS, "[CLS] a [MASK]b[SEP][mask]", "x" * 101 + " y", *fuzz]:
        if new & set(text):
            continue
        expected = theirs.encode(text, add_special_tokens=False)
        ids, offsets = ours.encode_with_offsets(text)
        assert ids.tolist() == expected.ids, ascii(text)
        assert offsets.tolist() == [list(pair) for pair in expected.offsets], ascii(text)
        assert ours.encode(ours.decode(ids)).tolist() == ids.tolist() or ours.unknown in ids, ascii(text)
        compared += 1
    assert compared > 0.98 * FUZZ / len(SETTINGS)


def test_one_file_is_read_as_lines_are(tmp_path):
    theirs = trained()
    one = ours_of(theirs, tmp_path / "one")
    theirs.save_model(str(tmp_path))
    assert read_wordpiece(tmp_path).to_json() == one.to_json()


@pytest.mark.parametrize("name", [None, *CLASSES, "PreTrainedTokenizerFast", "TokenizersBackend"])
@pytest.mark.parametrize("lowercase", [False, True])
def test_which_of_two_files_has_the_last_word(name, lowercase, tmp_path):
    """On capitals, of which the one says the opposite of the other; whatever the class, texts are framed alike."""
    trained(lowercase=lowercase).save(str(tmp_path / "tokenizer.json"))
    config = {"do_lower_case": not lowercase, "unk_token": "[UNK]"} | ({"tokenizer_class": name} if name else {})
    (tmp_path / "tokenizer_config.json").write_text(json.dumps(config), encoding="utf-8")
    (tmp_path / "config.json").write_text('{"model_type": "bert"}', encoding="utf-8")
    theirs = transformers.AutoTokenizer.from_pretrained(tmp_path)
    ours = read_wordpiece(tmp_path)
    assert ours.lowercase == (lowercase == (name in ("PreTrainedTokenizerFast", "TokenizersBackend")))
    (frame,), expected = framed(ours, "The Fox", "lazy"), theirs("The Fox", "lazy")
    assert frame.ids.tolist() == expected["input_ids"]
    assert frame.types.tolist() == expected.get("token_type_ids", frame.types.tolist())  # which some leave out


@pytest.mark.parametrize("pair", [False, True])
@pytest.mark.parametrize("length, stride", [(40, 0), (12, 0), (12, 3), (9, 2)])
def test_the_same_frames(pair, length, stride, tmp_path, rng):
    """Special tokens, types, truncation, and windows with something in common."""
    theirs = trained()
    ours = ours_of(theirs, tmp_path / "one")
    first, second = "the quick fox", "The lazy dog jumps over the brown fox; they've said, we'll see"
    theirs.enable_truncation(length, stride=stride, strategy="only_second" if pair else "longest_first")
    given = (first, second) if pair else (second,)
    expected = theirs.encode(*given)
    found = framed(ours, *given, length=length, stride=stride, cut="second" if pair else "longer")
    assert len(found) == 1 + len(expected.overflowing)
    for one, other in zip(found, [expected, *expected.overflowing], strict=True):
        assert one.ids.tolist() == other.ids and one.types.tolist() == other.type_ids
        assert one.offsets.tolist() == [list(place) for place in other.offsets]
        assert one.texts.tolist() == [-1 if text is None else text for text in other.sequence_ids]


@pytest.mark.parametrize("length", range(5, 30))
def test_the_longer_of_two_is_cut_first(length, tmp_path):
    theirs = trained()
    ours = ours_of(theirs, tmp_path / "one")
    theirs.enable_truncation(length)
    for a, b in (("the quick fox", "The lazy dog jumps over the brown fox"), ("over the brown fox jumps", "lazy")):
        assert framed(ours, a, b, length=length)[0].ids.tolist() == theirs.encode(a, b).ids


def test_batches_are_padded_as_theirs(tmp_path):
    theirs = trained()
    ours = ours_of(theirs, tmp_path / "one")
    theirs.enable_padding()
    texts = ["the fox", "the lazy dog jumps", ""]
    ids, types, mask = batch_of([framed(ours, text)[0] for text in texts], ours.pad)
    expected = theirs.encode_batch(texts)
    assert ids.tolist() == [one.ids for one in expected] and types.tolist() == [one.type_ids for one in expected]
    assert mask[:, 0, 0].astype(int).tolist() == [one.attention_mask for one in expected]


def test_what_is_trained_here_they_read(tmp_path):
    tokenizer = WordPieceTokenizer.train(" ".join(TEXTS), 200)
    model = models.SentenceEncoder(models.BERT(tokenizer.vocab_size, 30, 2, 1, 1, 8, 8))
    save_pretrained(tmp_path / "ours", model, model.init(np.random.default_rng(0)), tokenizer)
    theirs = transformers.AutoTokenizer.from_pretrained(tmp_path / "ours")
    for text in TEXTS:
        assert theirs(text, add_special_tokens=False)["input_ids"] == tokenizer.encode(text).tolist()
    assert len(theirs("the fox " * 30, truncation=True)["input_ids"]) == model.body.context_length
