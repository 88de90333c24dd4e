"""Decoding: 32 tokens one after another with a cache, greedy, from prompts of 32; float32."""

import numpy as np

from .contender import Benchmark, Contender
from .step import Size, model_of

SIZES = {
    "small": Size(4, 4, 128, 128, 1),
    "gpt2": Size(12, 12, 768, 128, 1, 50257),
    "gpt2-batch": Size(12, 12, 768, 128, 8, 50257),
}
NEW = 32


def prompts_of(size):
    return np.random.default_rng(1).integers(0, size.vocab, (size.batch, NEW))


def work(size):
    """A token reads every weight once, whatever the batch, but of the embeddings only a row."""
    matrices = size.layers * 12 * size.width**2 + size.vocab * size.width
    return {"bytes": 4 * matrices * NEW, "flops": 2 * matrices * NEW * size.batch}


def ours(backend):
    def make(size):
        import minitransformer
        from minitransformer.decoding import decode
        from minitransformer.memory import keep_freed_memory

        from .machine import cores

        keep_freed_memory()
        minitransformer.use_backend(backend)
        model, p = model_of(size)  # no workers: BLAS has all cores

        def run():
            return decode(model, p, model.start(p, size.batch), prompts_of(size), max_tokens=NEW)

        return Contender(lambda: {"ids": np.array(run())}, run, {"threads": cores()})

    return make


def transformers(size):
    import torch
    from transformers import GPT2Config, GPT2LMHeadModel

    from minitransformer.pretrained.gpt2 import config_of, table
    from minitransformer.pretrained.names import tensors_of

    from . import pytorch as theirs

    model, p = model_of(size)
    module = GPT2LMHeadModel(GPT2Config.from_dict(config_of(model))).eval()
    named = tensors_of(p, table(model)).items()
    theirs.load([(module.get_parameter(name), torch.from_numpy(array)) for name, array in named])
    ids = torch.tensor(prompts_of(size))

    def run():
        with torch.no_grad():
            found = module.generate(
                ids, attention_mask=torch.ones_like(ids), max_new_tokens=NEW, do_sample=False, pad_token_id=0
            )
        return found[:, NEW:]

    return Contender(lambda: {"ids": run().numpy()}, run, theirs.about())


BENCHMARK = Benchmark(
    f"{NEW} tokens, one by one",
    SIZES,
    {"NumPy": ours("reference"), "kernels": ours("cpu"), "transformers": transformers},
    work,
    tolerance=0.0,
    tiny=Size(1, 1, 8, 2 * NEW, 1),
)
