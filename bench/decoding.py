"""Decoding: 32 tokens one after another with a cache, greedy, from prompts of 32; float32."""

import numpy as np

from .contender import Benchmark, Contender
from .step import Size


class LlamaSize(Size):
    """The same numbers, of a LLaMA"""


SIZES = {
    "small": Size(4, 4, 128, 128, 1),
    "gpt2": Size(12, 12, 768, 128, 1, 50257),
    "gpt2-batch": Size(12, 12, 768, 128, 8, 50257),
    "llama": LlamaSize(12, 12, 768, 128, 1, 32000),
}
NEW = 32


def gpt2(size):
    from minitransformer.models import GPT2

    return GPT2(size.vocab, size.context, size.layers, size.heads, size.width, dropout_rate=0.0)


def llama(size):
    """With a third of the heads for keys and values, and a network 8/3 as wide as the model"""
    from minitransformer.models import LLaMA

    heads = {"n_heads": size.heads, "n_kv_heads": size.heads // 3, "d_head": size.width // size.heads}
    widths = {"d_model": size.width, "d_ff": 8 * size.width // 3}
    return LLaMA(size.vocab, size.context, size.layers, **heads, **widths)


FAMILIES = {  # ours, and what transformers calls it
    Size: (gpt2, "GPT2Config", "GPT2LMHeadModel"),
    LlamaSize: (llama, "LlamaConfig", "LlamaForCausalLM"),
}


def model_of(size):
    model = FAMILIES[type(size)][0](size)
    return model, model.init(np.random.default_rng(0))


def prompts_of(size):
    return np.random.default_rng(1).integers(0, size.vocab, (size.batch, NEW))


def work(size):
    """A token reads every matrix once, whatever the batch, but of an embedding only a row."""
    D = size.width
    of_layer = {Size: 12, LlamaSize: 2 + 2 / 3 + 8}[type(size)]  # D × D
    matrices = size.layers * of_layer * D * D + size.vocab * D
    return {"bytes": 4 * matrices * NEW, "flops": 2 * matrices * NEW * size.batch, "tokens": NEW * size.batch}


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
    from importlib import import_module

    import torch
    import transformers

    from minitransformer.pretrained.names import tensors_of

    from . import pytorch as theirs

    model, p = model_of(size)
    make, *theirs_are = FAMILIES[type(size)]
    config, module = (getattr(transformers, name) for name in theirs_are)
    published = import_module(f"minitransformer.pretrained.{make.__name__}")
    module = module(config.from_dict(published.config_of(model))).eval()
    named = tensors_of(p, published.table(model)).items()
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
