"""SentencePiece's own files beside that library, which trained them on mixed scripts: ids, pieces and text."""

import io
from pydoc_data.topics import topics

import pytest
import sentencepiece

from minitransformer.pretrained.tokenizers import read_tokenizer
from minitransformer.tokenizers.sentencepiece import SPACE

from .texts import FUZZ, TEXTS, strings

LINES = [line for text in (*TEXTS, *(topics[name] for name in ("if", "while", "assert", "lambda"))) for line in text.split("\n")]
AS_LLAMA = {"model_type": "bpe", "byte_fallback": True, "normalization_rule_name": "identity"}
AS_LLAMA |= {"remove_extra_whitespaces": False, "allow_whitespace_only_pieces": True, "vocab_size": 800}
AS_T5 = {"model_type": "unigram", "pad_id": 0, "eos_id": 1, "unk_id": 2, "bos_id": -1, "vocab_size": 400}
WAYS = {
    "LLaMA": AS_LLAMA,
    "T5": AS_T5,
    "bytes": AS_T5 | {"byte_fallback": True, "vocab_size": 700, "normalization_rule_name": "nfkc_cf"},
    "bare": AS_T5 | {"normalization_rule_name": "identity", "add_dummy_prefix": False, "remove_extra_whitespaces": False},
}


@pytest.fixture(scope="module", params=WAYS)
def trained(request):
    """Their tokenizer, and its file."""
    file = io.BytesIO()
    sentencepiece.SentencePieceTrainer.train(
        sentence_iterator=iter(LINES), model_writer=file, character_coverage=1.0, minloglevel=2, num_threads=1, **WAYS[request.param]
    )
    return sentencepiece.SentencePieceProcessor(model_proto=file.getvalue()), file.getvalue(), request.param


def test_the_same_ids_and_text(trained, tmp_path, rng):
    """But for U+FFFD, by which they replace what is no text, and which is a text; and zero, which ends theirs."""
    theirs, data, way = trained
    (tmp_path / "tokenizer.model").write_bytes(data)
    ours = read_tokenizer(tmp_path, "llama" if way == "LLaMA" else "t5")
    assert ours.pieces == [theirs.id_to_piece(id) for id in range(theirs.get_piece_size())]
    for text in [*LINES, "", " ", "   a   b  ", "\ttabs\t\tand\n\nbreaks", *strings(rng, FUZZ)]:
        assert ours.encode(text).tolist() == theirs.encode(text), ascii(text)
