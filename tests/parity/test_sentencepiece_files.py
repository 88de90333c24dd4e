"""SentencePiece's own files beside that library, which trained them on mixed scripts: ids, pieces and text."""

import io
from pydoc_data.topics import topics

import pytest
import sentencepiece

from minitransformer.pretrained.tokenizers import read_tokenizer

from .texts import FUZZ, TEXTS, strings

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


@pytest.fixture(scope="module", params=WAYS)
def trained(request):
    """Their tokenizer, and its file."""
    file, how = io.BytesIO(), WAYS[request.param] | {"character_coverage": 1.0, "minloglevel": 2, "num_threads": 1}
    sentencepiece.SentencePieceTrainer.train(sentence_iterator=iter(LINES), model_writer=file, **how)
    return sentencepiece.SentencePieceProcessor(model_proto=file.getvalue()), file.getvalue(), request.param


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
