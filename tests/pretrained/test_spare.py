"""Vocabularies that are padded: spare rows are never said, never learnt, and written again as they were."""

import json
from dataclasses import replace

import numpy as np
import pytest
from safetensors.numpy import load_file, save_file

from minitransformer.decoding import beam_search, generate
from minitransformer.models import BERT, GPT2, LLaMA, MaskedLanguageModel, SentenceEncoder
from minitransformer.pretrained import load_pretrained, save_pretrained, spare_rows
from minitransformer.reading import fill_mask
from minitransformer.tokenizers import BPETokenizer, SentencePieceTokenizer

from ..arrays import same_bits
from ..finetuning import made

TEXT = "the cat sat on the mat; the cat, the mat and again: the cat sat on the mat"
BPE = BPETokenizer.train(TEXT, 270)
PIECES = SentencePieceTokenizer.train(TEXT, 285)
MODELS = {
    "gpt2": (GPT2(BPE.vocab_size, 9, 1, 2, 6), BPE),
    "llama": (LLaMA(PIECES.vocab_size, 9, 1, 2, 1, 4, 8, 8), PIECES),
    "tied": (LLaMA(PIECES.vocab_size, 9, 1, 2, 1, 4, 8, 8, tied=True), PIECES),
    "bert": (MaskedLanguageModel(BERT(made.TOKENIZER.vocab_size, 9, 2, 1, 2, 8, 8)), made.TOKENIZER),
}
N = 320


@pytest.fixture(params=MODELS)
def padded(request, tmp_path, rng):
    """A folder of N rows, the spare ones likelier than the others; and a model without them, its p, its tokenizer"""
    model, tokenizer = MODELS[request.param]
    p, folder = model.init(rng), tmp_path / "padded"
    save_pretrained(folder, model, p, tokenizer)
    arrays = load_file(folder / "model.safetensors")
    for name, array in arrays.items():
        if len(array) == tokenizer.vocab_size:
            rows = 9 * rng.normal(size=(N - len(array), *array.shape[1:]))
            arrays[name] = np.concatenate([array, rows.astype(np.float32)])
    save_file(arrays, folder / "model.safetensors")
    change(folder / "config.json", vocab_size=N)
    return folder, model, p, tokenizer


def change(path, **more):
    path.write_text(json.dumps(json.loads(path.read_text(encoding="utf-8")) | more), encoding="utf-8")


def test_the_model_has_an_id_for_each_token(padded):
    folder, model, p, tokenizer = padded
    found = load_pretrained(folder)
    assert found.model == model and same_bits(found.p, p) and found.config["vocab_size"] == N
    if isinstance(model, MaskedLanguageModel):
        (filled,) = fill_mask(found.model, found.p, tokenizer, ["the [MASK] was"], top=N)
        assert len(filled[0]) == tokenizer.vocab_size
        return
    ids = [*generate(found.model, found.p, [1, 2], max_tokens=200, seed=0, temperature=5.0)]
    ((best, *_),) = beam_search(
        found.model, found.p, found.model.start(found.p, 1), [[1, 2]], width=3, max_tokens=6, end=None
    )
    assert max(ids) < tokenizer.vocab_size > max(best.ids) and tokenizer.decode(ids)


def test_they_are_written_again(padded, tmp_path):
    folder, _, p, tokenizer = padded
    found = load_pretrained(folder)
    save_pretrained(tmp_path / "again", found.model, found.p, tokenizer, spare=spare_rows(folder, found.model))
    assert same_bits(load_file(tmp_path / "again" / "model.safetensors"), load_file(folder / "model.safetensors"))
    assert load_pretrained(tmp_path / "again").config["vocab_size"] == N
    save_pretrained(tmp_path / "without", found.model, found.p, tokenizer)
    assert not any(len(rows) for rows in spare_rows(tmp_path / "without", found.model).values())
    assert same_bits(load_pretrained(tmp_path / "without").p, p)


@pytest.mark.parametrize(
    "rows, message",
    [(BPE.vocab_size - 1, ""), (BPE.vocab_size + 1025, ": too many are spare"), (50304, ": too many are spare")],
)
def test_another_tokenizer(rows, message, tmp_path, rng):
    save_pretrained(tmp_path / "gpt2", MODELS["gpt2"][0], MODELS["gpt2"][0].init(rng), BPE)
    change(tmp_path / "gpt2" / "config.json", vocab_size=rows)
    with pytest.raises(
        ValueError, match=f"its tokenizer has {BPE.vocab_size} tokens, but the model's embedding {rows} rows{message}$"
    ):
        load_pretrained(tmp_path / "gpt2")


@pytest.mark.parametrize("rows, shape", [((2, 4), "(2, 4)"), ((3, 5), "(3, 5)"), (None, "(0, 4)")])
def test_as_many_in_each_vocabulary(rows, shape, tmp_path, rng):
    model, tokenizer = MODELS["llama"]
    spare = {"token.weight": np.ones((3, 4))} | ({} if rows is None else {"head.weight": np.ones(rows)})
    with pytest.raises(ValueError, match=r".") as caught:
        save_pretrained(tmp_path / "llama", model, model.init(rng), tokenizer, spare=spare)
    assert str(caught.value) == f"the spare rows of head.weight have shape {shape}, expected (3, 4)"
    assert not (tmp_path / "llama").exists()


def test_rows_of_another_folder(tmp_path, rng):
    model, tokenizer = MODELS["gpt2"]
    save_pretrained(tmp_path / "gpt2", model, model.init(rng), tokenizer)
    with pytest.raises(ValueError, match=r"wte\.weight in .*gpt2 has shape \(269, 6\), and the model 270 ids"):
        spare_rows(tmp_path / "gpt2", replace(model, vocab_size=270))
    with pytest.raises(ValueError, match=r"gpt2 has no model\.embed_tokens\.weight, of which the model has 285 rows"):
        spare_rows(tmp_path / "gpt2", MODELS["llama"][0])
    with pytest.raises(ValueError, match="a BERT has no published form here"):
        spare_rows(tmp_path / "gpt2", made.BODY)


def test_another_head_has_those_of_its_body(tmp_path, rng):
    model, tokenizer = MODELS["bert"]
    p, spare = model.init(rng), {"body.token.weight": np.ones((6, 8)), "table.bias": np.ones(6)}
    save_pretrained(tmp_path / "padded", model, p, tokenizer, spare=spare)
    found = load_pretrained(tmp_path / "padded", head=SentenceEncoder)
    assert same_bits(found.p["body"], p["body"])
    again = spare_rows(tmp_path / "padded", found.model)
    assert same_bits(again, {"body.token.weight": np.ones((6, 8))})
