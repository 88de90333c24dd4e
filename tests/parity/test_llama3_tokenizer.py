"""Llama 3's tokenizer beside the `tokenizers` library, trained there on mixed scripts: ids, places, text."""

import json
import unicodedata

import pytest
import transformers
from tokenizers import AddedToken, Regex, Tokenizer, decoders, models, pre_tokenizers, processors, trainers

from minitransformer.pretrained.tokenizers import read_tokenizer, tokenizer_files
from minitransformer.pretrained.tokenizers.llama3 import WORDS
from minitransformer.tokenizers import Llama3Tokenizer
from minitransformer.tokenizers.llama3 import BEGIN, SPECIAL
from minitransformer.tokenizers.pretokens import split

from .texts import FUZZ, TEXTS, sprinkled, strings

MORE = "We'LL DON'T (brackets) 1234567 [and] so\n\n\non...\r\n\r\n  indented\n\t\tcode = {x: 10}  \n"
RULE = pre_tokenizers.Split(Regex(WORDS), "isolated")


@pytest.fixture(scope="module")
def theirs():
    """Trained on pairs as others are, and with words that no merge makes: they are taken whole."""
    tokenizer = Tokenizer(models.BPE(ignore_merges=True))
    level = pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False)
    tokenizer.pre_tokenizer = pre_tokenizers.Sequence([RULE, level])
    alphabet = pre_tokenizers.ByteLevel.alphabet()
    trainer = trainers.BpeTrainer(vocab_size=500, initial_alphabet=alphabet, show_progress=False)
    tokenizer.train_from_iterator([*TEXTS, *[MORE] * 3], trainer)
    data = json.loads(tokenizer.to_str())
    vocab = data["model"]["vocab"]
    for word in ("Ġoverjoyed", "quickly", "zzz"):
        vocab[word] = len(vocab)
    tokenizer = Tokenizer.from_str(json.dumps(data))
    tokenizer.add_special_tokens([AddedToken(text, special=True) for text in SPECIAL])
    begin = (BEGIN, tokenizer.token_to_id(BEGIN))
    frame = processors.TemplateProcessing(
        single=f"{BEGIN} $A", pair=f"{BEGIN} $A {BEGIN}:1 $B:1", special_tokens=[begin]
    )
    tokenizer.post_processor = processors.Sequence([processors.ByteLevel(trim_offsets=False), frame])
    tokenizer.decoder = decoders.ByteLevel()
    return tokenizer


@pytest.fixture
def ours(theirs, tmp_path):
    theirs.save(str(tmp_path / "tokenizer.json"))
    found = read_tokenizer(tmp_path, "llama")
    assert type(found) is Llama3Tokenizer
    return found


SPRINKLED = [*SPECIAL, "'s", "'RE", "'ſ", "12345", "\n\n", " \r\n", "  ", "(", "<|eot", "_id|>", "zzz", " quickly "]


def their_words(text):
    return [word for word, _ in RULE.pre_tokenize_str(text)]


def disputed(texts):
    """Characters that were given to Unicode after the tables of this Python, or those of the library, were made."""
    found = {c for c in set("".join(texts)) if split(f"a{c}1{c}", "llama3") != their_words(f"a{c}1{c}")}
    assert all(unicodedata.ucd_3_2_0.category(c) == "Cn" for c in found), ascii("".join(found))
    return found


def test_the_same_ids_places_and_text(theirs, ours, rng):
    fuzz = [sprinkled(text, SPRINKLED, rng, 5) if i % 2 else text for i, text in enumerate(strings(rng, FUZZ))]
    new, compared = disputed(fuzz), 0
    for text in [*TEXTS, MORE, "", " ", " overjoyed", *fuzz]:
        if new & set(text):
            continue
        expected = theirs.encode(text, add_special_tokens=False)
        ids, offsets = ours.encode_with_offsets(text)
        assert ids.tolist() == expected.ids, ascii(text)
        assert offsets.tolist() == [list(pair) for pair in expected.offsets], ascii(text)
        assert ours.decode(ids) == theirs.decode(expected.ids, skip_special_tokens=False) == text, ascii(text)
        assert split(text, "llama3") == their_words(text), ascii(text)
        compared += 1
    assert compared > 0.95 * FUZZ
    whole = [theirs.token_to_id(word) for word in ("quickly", "Ġoverjoyed")]
    assert ours.encode("quickly overjoyed").tolist() == whole


def test_what_is_trained_here_they_read(tmp_path, rng):
    ours = Llama3Tokenizer.train(" ".join([*TEXTS, MORE]), 460)
    for name, data in tokenizer_files(ours, "llama").items():
        (tmp_path / name).write_bytes(data)
    assert read_tokenizer(tmp_path, "llama").to_json() == ours.to_json()
    theirs = transformers.AutoTokenizer.from_pretrained(tmp_path)
    for text in [*TEXTS, *map(lambda text: sprinkled(text, SPRINKLED, rng, 5), strings(rng, 300))]:
        assert theirs(text)["input_ids"] == [ours.begin, *ours.encode(text)], ascii(text)
    theirs.save_pretrained(tmp_path / "theirs")
    assert read_tokenizer(tmp_path / "theirs", "llama").to_json() == ours.to_json()
    assert theirs.eos_token_id == ours.end
