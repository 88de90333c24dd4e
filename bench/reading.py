"""Texts as vectors: a sentence encoder reads 256 texts of 8 to 63 tokens, those of like length together; float32."""

from typing import NamedTuple

import numpy as np

from .contender import Benchmark, Contender


class Size(NamedTuple):
    layers: int
    heads: int
    width: int
    vocab: int
    texts: int = 256


SIZES = {"minilm": Size(6, 12, 384, 30522)}  # as all-MiniLM-L6-v2 is
LENGTHS = 8, 64  # of texts, in tokens: from, and below
BATCH = 32  # texts at once in transformers, as sentence-transformers has it


def lengths_of(size):
    return np.random.default_rng(1).integers(*LENGTHS, size.texts)


def frames_of(size):
    """Ids of chance, as a tokenizer's frames"""
    from minitransformer.tokenizers import Framed

    rng = np.random.default_rng(2)
    return [
        Framed(rng.integers(1, size.vocab, n), np.zeros(n, np.int64), np.zeros((n, 2), np.int64), np.zeros(n, np.int64))
        for n in lengths_of(size)
    ]


def model_of(size):
    from minitransformer.models import BERT, SentenceEncoder

    sizes = {"n_layers": size.layers, "n_heads": size.heads, "d_model": size.width, "d_ff": 4 * size.width}
    model = SentenceEncoder(BERT(size.vocab, **sizes))
    return model, model.init(np.random.default_rng(0))


def work(size):
    """The products of every token, padding left out."""
    tokens, lengths = int(lengths_of(size).sum()), lengths_of(size).astype(np.float64)
    attention = 4 * size.layers * size.width * float((lengths**2).sum())
    return {"flops": 2 * size.layers * 12 * size.width**2 * tokens + attention, "tokens": tokens}


def ours(backend):
    def make(size):
        import minitransformer
        from minitransformer.memory import keep_freed_memory
        from minitransformer.reading.batches import outputs, whole

        from .machine import cores

        keep_freed_memory()
        minitransformer.use_backend(backend)
        (model, p), frames = model_of(size), frames_of(size)

        def run():
            return np.array(outputs(model, p, frames, 0, whole))

        return Contender(lambda: {"vectors": run()}, run, {"threads": cores()})

    return make


def transformers(size):
    """BertModel and the mean of its last layer, over batches, the longest first: as sentence-transformers does."""
    import torch
    from transformers import BertConfig, BertModel

    from minitransformer.pretrained.bert import PUBLISHED
    from minitransformer.pretrained.names import tensors_of

    from . import pytorch as theirs

    (model, p), frames = model_of(size), frames_of(size)
    module = BertModel(BertConfig.from_dict(PUBLISHED.config_of(model)), add_pooling_layer=False).eval()
    named = tensors_of(p, PUBLISHED.table(model)).items()
    pairs = [(module.get_parameter(name.removeprefix(PUBLISHED.prefix)), array) for name, array in named]
    theirs.load([(parameter, torch.from_numpy(array)) for parameter, array in pairs])
    order = np.argsort(-lengths_of(size), kind="stable")

    def run():
        found = np.empty((len(frames), size.width), np.float32)
        for rows in np.split(order, range(BATCH, len(order), BATCH)):
            ids = [torch.tensor(frames[i].ids) for i in rows]
            mask = torch.nn.utils.rnn.pad_sequence([torch.ones_like(row) for row in ids], batch_first=True)
            with torch.no_grad():
                ids = torch.nn.utils.rnn.pad_sequence(ids, batch_first=True)
                h = module(input_ids=ids, attention_mask=mask).last_hidden_state * mask[..., None]
                found[rows] = (h.sum(1) / mask.sum(1, keepdim=True)).numpy()
        return found

    return Contender(lambda: {"vectors": run()}, run, theirs.about())


BENCHMARK = Benchmark(
    "texts as vectors",
    SIZES,
    {"NumPy": ours("reference"), "kernels": ours("cpu"), "transformers": transformers},
    work,
    tiny=Size(1, 2, 8, 20, 4),
)
