"""transformers' LLaMA, with our weights, in float64 throughout.

Its own rotary positions and norms are in float32 whatever the model is in, which would be all that one sees. Here its
functions compute the former in float64, and the norms are PyTorch's.
"""

from dataclasses import replace
from functools import partial
from unittest.mock import patch

import torch
from transformers import LlamaConfig, LlamaForCausalLM
from transformers.modeling_rope_utils import ROPE_INIT_FUNCTIONS

from minitransformer.pretrained.llama import MAPS, config_of


class InFloat64(torch.nn.Module):
    """In place of its LlamaRotaryEmbedding: x, positions (B, T)   ->   cos, sin (B, T, K)"""

    def __init__(self, config):
        super().__init__()
        kind = config.rope_parameters["rope_type"]
        if kind == "default":
            half = torch.arange(0, config.head_dim, 2).double()
            self.frequencies = config.rope_parameters["rope_theta"] ** (-half / config.head_dim)
            return
        with patch.object(torch, "float", torch.float64):
            self.frequencies, _ = ROPE_INIT_FUNCTIONS[kind](config, "cpu")

    def forward(self, x, position_ids):
        angles = position_ids.double()[..., None] * self.frequencies.double()
        angles = torch.cat([angles, angles], -1)
        return angles.cos(), angles.sin()


def published_llama(model):
    """transformers' LLaMA of this configuration, in float64."""
    settings = config_of(replace(model, pairing="halves"))
    kept = {
        name: value for name, value in settings.items() if name not in ("model_type", "architectures", "rope_scaling")
    }
    kept.pop("rope_theta")
    config = LlamaConfig(**kept, attn_implementation="sdpa", use_cache=False, bos_token_id=None, eos_token_id=None)
    module = LlamaForCausalLM(config).double()
    module.model.rotary_emb, norm = InFloat64(config), partial(torch.nn.RMSNorm, eps=model.eps, dtype=torch.float64)
    module.model.norm = norm(model.d_model)
    for layer in module.model.layers:
        layer.input_layernorm, layer.post_attention_layernorm = norm(model.d_model), norm(model.d_model)
    return module


def llama_names(model, p):
    """Our parameters (tensors) under the published names, their columns of queries and keys in halves."""
    named = {"model.embed_tokens.weight": p["token"]["weight"], "model.norm.weight": p["norm"]["weight"]}
    if not model.tied:
        named["lm_head.weight"] = p["head"]["weight"]
    for i, layer in enumerate(p["layers"]):
        for theirs, ours in MAPS.items():
            part = layer
            for name in ours.split("."):
                part = part[name]
            weight = part["weight"]
            if ours in ("attention.q", "attention.k") and model.pairing == "neighbours":
                weight = weight.unflatten(0, (-1, model.d_head // 2, 2)).transpose(1, 2).flatten(0, 2)
            named[f"model.layers.{i}.{theirs}.weight"] = weight
    return named
