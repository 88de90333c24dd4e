"""The twins of the models and of the losses over them: transformers' own, with our weights."""

import torch
from transformers import GPT2Config, GPT2LMHeadModel

from minitransformer import models, ops
from minitransformer.convention import fold
from minitransformer.training.losses import next_token_loss

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
        )
        return twin(ops.linear)(p["token"], twin(ops.layer_norm)(p["norm"], h))

    return forward


@twin_of(next_token_loss)
def _(loss):
    def value(p, ids, targets, *, key=None):
        logits = twin(loss.model)(p, ids, key=key)
        return twin(ops.cross_entropy)(logits, targets, label_smoothing=loss.label_smoothing)

    return value
