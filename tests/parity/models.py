"""The twins of the models and of the losses over them: those of transformers and torch.nn, with our weights."""

import math
import warnings

import torch
from torch import nn
from transformers import GPT2Config, GPT2LMHeadModel

from minitransformer import models, ops
from minitransformer.convention import fold
from minitransformer.training.losses import fused_next_token_loss, next_token_loss, translation_loss

from .blocks import layer_names
from .llama import llama_names, published_llama
from .twins import call, twin, twin_of


def published_gpt2(model):
    """transformers' GPT-2 of this configuration, in float64 and without dropout."""
    config = GPT2Config(
        vocab_size=model.vocab_size,
        n_positions=model.context_length,
        n_layer=model.n_layers,
        n_head=model.n_heads,
        n_embd=model.d_model,
        embd_pdrop=0.0,
        attn_pdrop=0.0,
        resid_pdrop=0.0,
        bos_token_id=None,
        eos_token_id=None,
        attn_implementation="eager",
        use_cache=False,
    )
    return GPT2LMHeadModel(config).double()


def gpt2_names(p):
    """Our parameters (tensors) under the published names.

    There a linear map is stored (in, out), and q, k and v are one map. The head is the token embedding, as it is here.
    """

    def linear(*parts):
        return {
            "weight": torch.cat([part["weight"] for part in parts]).T,
            "bias": torch.cat([part["bias"] for part in parts]),
        }

    parts = {"wte": p["token"], "wpe": p["position"], "ln_f": p["norm"]}
    for i, layer in enumerate(p["layers"]):
        attention = layer["attention"]
        parts |= {
            f"h.{i}.ln_1": layer["norm1"],
            f"h.{i}.attn.c_attn": linear(attention["q"], attention["k"], attention["v"]),
            f"h.{i}.attn.c_proj": linear(attention["out"]),
            f"h.{i}.ln_2": layer["norm2"],
            f"h.{i}.mlp.c_fc": linear(layer["feed_forward"]["up"]),
            f"h.{i}.mlp.c_proj": linear(layer["feed_forward"]["down"]),
        }
    return {f"transformer.{part}.{name}": leaf for part, leaves in parts.items() for name, leaf in leaves.items()}


@twin_of(models.GPT2)
def _(model):
    def forward(p, ids, *, positions=None, mask=None, key=None):
        """Without a key, mask is of padding alone, (B, 1, 1, T).

        transformers is always told who is padding: with positions alone, it takes a jump in them for a new sequence.
        """
        if key is None:
            padding = torch.ones_like(ids) if mask is None else mask[:, 0, 0].long()
            named = gpt2_names(p)
            return call(published_gpt2(model), named, ids, position_ids=positions, attention_mask=padding).logits
        h = twin(ops.learned_positions)(p["position"], twin(ops.embedding)(p["token"], ids), positions=positions)
        h = twin(ops.dropout)(h, rate=model.dropout_rate, key=fold(key, 0))
        h = twin(model.layers)(
            p["layers"],
            h,
            key=fold(key, 1),
            n_heads=model.n_heads,
            activation=ops.gelu_tanh,
            mask=mask,
            causal=True,
            dropout_rate=model.dropout_rate,
            attention_dropout_rate=model.dropout_rate,
        )
        return twin(ops.linear)(p["token"], twin(ops.layer_norm)(p["norm"], h))

    return forward


@twin_of(models.LLaMA)
def _(model):
    def forward(p, ids, *, positions=None, mask=None, key=None):
        """With a mask, the operations' twins: what the published one says of padding is not compared here."""
        if mask is None:
            how = {"position_ids": positions, "attention_mask": torch.ones_like(ids)}
            return call(published_llama(model), llama_names(model, p), ids, **how).logits
        h = twin(ops.embedding)(p["token"], ids)
        h = twin(model.layers)(p["layers"], h, mask=mask, **model.heads(positions))
        return twin(ops.linear)(p[model.head], twin(ops.rms_norm)(p["norm"], h, eps=model.eps))

    return forward


def published_transformer(model, norm_first):
    """nn.Transformer of this configuration, without dropout.

    It ends each stack in a norm more, which the paper has not: away with those two, except in pre-norm.
    """
    how = {"dropout": 0.0, "activation": "relu", "norm_first": norm_first, "batch_first": True}
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # a shortcut of evaluation is not for this configuration: we train
        module = nn.Transformer(model.d_model, model.n_heads, model.n_layers, model.n_layers, model.d_ff, **how)
    if not norm_first:
        module.encoder.norm = module.decoder.norm = nn.Identity()
    return module


def transformer_names(p):
    """Our two stacks under the names of nn.Transformer, which has neither embeddings nor a head."""
    named = {}
    for part in ("encoder", "decoder"):
        for i, layer in enumerate(p[part]):
            named |= {f"{part}.layers.{i}.{name}": leaf for name, leaf in layer_names(layer).items()}
        named |= {f"{part}.norm.{name}": leaf for name, leaf in p.get(f"{part}_norm", {}).items()}
    return named


def transformer_twin(norm_first):
    def stacks(model, p, source, target, source_mask):
        padding = None if source_mask is None else ~source_mask[:, 0, 0]  # theirs: True = nothing is there
        T = target.shape[1]
        return call(
            published_transformer(model, norm_first),
            transformer_names(p),
            source,
            target,
            tgt_mask=torch.ones(T, T, dtype=torch.bool).triu(1),
            src_key_padding_mask=padding,
            memory_key_padding_mask=padding,
        )

    def stacks_of_twins(model, p, source, target, source_mask, key):
        """With dropout, which theirs draw otherwise; and for a source of nothing but padding, which gives them NaN."""
        how = {"n_heads": model.n_heads, "activation": ops.relu, "dropout_rate": model.dropout_rate}
        encoder, decoder = twin(model.encoder_layers), twin(model.decoder_layers)

        def last_norm(name, h):
            return twin(ops.layer_norm)(p[name], h) if norm_first else h

        source = encoder(p["encoder"], source, mask=source_mask, key=fold(key, 1), **how)
        memory = last_norm("encoder_norm", source)
        h = decoder(p["decoder"], target, memory, memory_mask=source_mask, key=fold(key, 3), **how)
        return last_norm("decoder_norm", h)

    def make(model):
        def embed(table, ids, key):
            h = nn.functional.embedding(ids, table) * math.sqrt(model.d_model)
            return twin(ops.dropout)(twin(ops.sinusoidal_positions)(h), rate=model.dropout_rate, key=key)

        def forward(p, source, target, *, source_mask=None, key=None):
            names = ["source"] * 3 if model.shared else ["source", "target", "head"]
            source_table, target_table, head = (p[name]["weight"] for name in names)
            source = embed(source_table, source, fold(key, 0))
            target = embed(target_table, target, fold(key, 2))
            if key is None and (source_mask is None or source_mask.any(-1).all()):
                return stacks(model, p, source, target, source_mask) @ head.T
            return stacks_of_twins(model, p, source, target, source_mask, key) @ head.T

        return forward

    return make


twin_of(models.Transformer)(transformer_twin(norm_first=False))
twin_of(models.PreNormTransformer)(transformer_twin(norm_first=True))


@twin_of(fused_next_token_loss)
@twin_of(next_token_loss)
def _(loss):
    def value(p, ids, targets, *, key=None):
        return cross_entropy(loss, twin(loss.model)(p, ids, key=key), targets)

    return value


@twin_of(translation_loss)
def _(loss):
    def value(p, source, source_mask, target, targets, *, key=None):
        return cross_entropy(loss, twin(loss.model)(p, source, target, source_mask=source_mask, key=key), targets)

    return value


def cross_entropy(loss, logits, targets):
    return twin(ops.cross_entropy)(logits, targets, label_smoothing=loss.label_smoothing)
