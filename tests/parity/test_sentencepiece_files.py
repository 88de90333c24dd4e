"""SentencePiece's own files beside that library, which trained them on mixed scripts: ids, pieces and text.

And what was added beside them, as transformers reads it where it calls that library.
"""

import io
import json
from pydoc_data.topics import topics

import pytest
import sentencepiece
from transformers.tokenization_utils_sentencepiece import SentencePieceBackend

from minitransformer.pretrained.tokenizers import read_tokenizer

from .texts import FUZZ, TEXTS, sprinkled, strings

MORE = [topics[name] for name in ("if", "while", "assert", "lambda")]
LINES = [line for text in (*TEXTS, *MORE) for line in text.split("\n")]
PLAIN = {"normalization_rule_name": "identity", "remove_extra_whitespaces": False}
AS_LLAMA = PLAIN | {"model_type": "bpe", "byte_fallback": True, "allow_whitespace_only_pieces": True, "vocab_size": 800}
AS_T5 = {"model_type": "unigram", "pad_id": 0, "eos_id": 1, "unk_id": 2, "bos_id": -1, "vocab_size": 320}
WAYS = {
    "LLaMA": AS_LLAMA,
    "T5": AS_T5,
    "bytes": AS_T5 | {"byte_fallback": True, "vocab_size": 570, "normalization_rule_name": "nfkc_cf"},
    "bare": AS_T5 | PLAIN | {"add_dummy_prefix": False},
}


def file_of(way):
    file, how = io.BytesIO(), WAYS[way] | {"character_coverage": 1.0, "minloglevel": 2, "num_threads": 1}
    sentencepiece.SentencePieceTrainer.train(sentence_iterator=iter(LINES), model_writer=file, **how)
    return file.getvalue()


@pytest.fixture(scope="module", params=WAYS)
def trained(request):
    """Their tokenizer, and its file."""
    data = file_of(request.param)
    return sentencepiece.SentencePieceProcessor(model_proto=data), data, request.param


def test_the_same_ids(trained, tmp_path, rng):
    """Where two cuts are equally likely, such as i|ii and ii|i, they add up in float32, and rounding decides."""
    theirs, data, way = trained
    (tmp_path / "tokenizer.model").write_bytes(data)
    ours, ties = read_tokenizer(tmp_path, "llama" if way == "LLaMA" else "t5"), 0
    assert ours.pieces == [theirs.id_to_piece(id) for id in range(theirs.get_piece_size())]
    for text in [*LINES, "", " ", "   a   b  ", "\ttabs\t\tand\n\nbreaks", *strings(rng, FUZZ // len(WAYS))]:
        ids, expected = ours.encode(text).tolist(), theirs.encode(text)
        if ids != expected:
            assert way != "LLaMA", ascii(text)
            scores = [sum(ours.scores[id] for id in each) for each in (ids, expected)]
            assert scores[0] == pytest.approx(scores[1], abs=1e-4), ascii(text)
            ties += 1
        elif way == "LLaMA":
            assert ours.decode(ids) == theirs.decode(ids), ascii(text)
    assert ties < 0.01 * FUZZ / len(WAYS)


class Slow(SentencePieceBackend):
    vocab_files_names = {"vocab_file": "tokenizer.model"}


ADDED = {"<pad>": (0, 0), "<|user|>": (1, 0), "<né> x": (0, 1), "<|user|>s": (1, 1)}
SPRINKLED = [*ADDED, "</s>", "<s>", "<unk>", "<|user", " ", "  ", "the ", "a", "é", "\n"]


@pytest.mark.parametrize("in_settings", [False, True])
def test_what_was_added_beside_a_file(in_settings, tmp_path, rng):
    """In added_tokens.json no token takes spaces; in tokenizer_config.json some do, and it has the last word."""
    (tmp_path / "tokenizer.model").write_bytes(file_of("LLaMA"))
    ids = {text: 800 + i for i, text in enumerate(ADDED)}
    (tmp_path / "added_tokens.json").write_text(json.dumps(ids), encoding="utf-8")
    if in_settings:
        how = {"normalized": False, "single_word": False, "special": True}
        entries = {
            ids[text]: {"content": text, "lstrip": bool(left), "rstrip": bool(right), **how}
            for text, (left, right) in ADDED.items()
        }
        (tmp_path / "tokenizer_config.json").write_text(json.dumps({"added_tokens_decoder": entries}), encoding="utf-8")
    theirs = Slow.from_pretrained(tmp_path, unk_token="<unk>", bos_token="<s>", eos_token="</s>")
    ours = read_tokenizer(tmp_path, "llama")
    assert ours.vocab_size == len(theirs) == 804
    for text in [*TEXTS, *(sprinkled(text, SPRINKLED, rng, 6) for text in strings(rng, FUZZ // 4))]:
        text = text.translate(dict.fromkeys(range(0x1C, 0x20)))  # spaces to Python's strip, which they call, alone
        assert ours.encode(text).tolist() == theirs.encode(text, add_special_tokens=False), ascii(text)
