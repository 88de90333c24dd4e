"""The twins of the blocks: the modules of torch.nn where they can do it, else a composition of the operations' twins.

The modules have no grouped heads, draw their dropout otherwise, and may give NaN where a query attends to nothing.
"""

import torch
import torch.nn.functional as F
from torch import nn
from torch.utils.checkpoint import checkpoint

from minitransformer import blocks, ops
from minitransformer.convention import fold

from .operations import who_attends
from .twins import call, twin, twin_of


@twin_of(blocks.feed_forward)
def _(p, x, *, activation):
    h = twin(activation)(twin(ops.linear)(p["up"], x))
    return twin(ops.linear)(p["down"], h)


@twin_of(blocks.gated_feed_forward)
def _(p, x, *, activation):
    h = twin(activation)(twin(ops.linear)(p["gate"], x)) * twin(ops.linear)(p["up"], x)
    return twin(ops.linear)(p["down"], h)


@twin_of(blocks.llama_layer)
def _(p, x, *, n_heads, n_kv_heads, rotary, mask=None, eps=1e-6, key=None):
    h = twin(ops.rms_norm)(p["norm1"], x, eps=eps)
    how = {"n_heads": n_heads, "n_kv_heads": n_kv_heads, "rotary": rotary, "mask": mask, "causal": True}
    x = x + twin(blocks.multi_head_attention)(p["attention"], h, h, **how)
    h = twin(ops.rms_norm)(p["norm2"], x, eps=eps)
    return x + twin(blocks.gated_feed_forward)(p["feed_forward"], h, activation=ops.silu)


@twin_of(blocks.multi_head_attention)
def _(
    p,
    x,
    memory,
    bias=None,
    *,
    n_heads,
    n_kv_heads=None,
    mask=None,
    causal=False,
    rotary=None,
    dropout_rate=0.0,
    key=None,
):
    n_kv_heads = n_kv_heads or n_heads
    handed = mask_for_module(x, memory, mask, causal, n_heads, bias)
    if n_kv_heads == n_heads and key is None and handed is not None and rotary is None:
        module = nn.MultiheadAttention(
            x.shape[-1], n_heads, kdim=memory.shape[-1], vdim=memory.shape[-1], batch_first=True
        )
        return call(module, attention_names(p), x, memory, memory, attn_mask=handed, need_weights=False)[0]
    q, k, v = (twin(ops.linear)(p[name], part) for name, part in (("q", x), ("k", memory), ("v", memory)))
    q, k, v = (
        part.unflatten(-1, (n, -1)).transpose(1, 2) for part, n in ((q, n_heads), (k, n_kv_heads), (v, n_kv_heads))
    )
    if rotary is not None:
        q, k = (twin(ops.rotary)(part, **rotary) for part in (q, k))
    h = twin(ops.attention)(q, k, v, bias, mask=mask, causal=causal, dropout_rate=dropout_rate, key=key)
    return twin(ops.linear)(p["out"], h.transpose(1, 2).flatten(2))


def mask_for_module(x, memory, mask, causal, n_heads, bias=None):
    """(B·H, T, S), as the modules want it: True = may not attend, or what to add to the scores.

    None where a query may attend to nothing.
    """
    (B, T), S = x.shape[:2], memory.shape[1]
    allowed = who_attends(T, S, mask, causal)
    if not allowed.any(-1).all():
        return None
    handed = ~allowed if bias is None else torch.where(allowed, bias, -torch.inf)
    return handed.expand(B, n_heads, T, S).reshape(B * n_heads, T, S)


def attention_names(p):
    """Our attention's parameters under the names of nn.MultiheadAttention, which has q, k and v in one where it can."""
    weights = [p[name]["weight"] for name in "qkv"]
    if len({weight.shape for weight in weights}) == 1:
        named = {"in_proj_weight": torch.cat(weights)}
    else:
        named = dict(zip(("q_proj_weight", "k_proj_weight", "v_proj_weight"), weights, strict=True))
    named["in_proj_bias"] = torch.cat([p[name]["bias"] for name in "qkv"])
    return named | {f"out_proj.{name}": leaf for name, leaf in p["out"].items()}


def layer_names(p):
    """Our layer's parameters under the names of nn.TransformerEncoderLayer, or of nn.TransformerDecoderLayer."""
    parts = {
        "self_attn": attention_names(p["attention"]),
        "linear1": p["feed_forward"]["up"],
        "linear2": p["feed_forward"]["down"],
        **{name: part for name, part in p.items() if name.startswith("norm")},
    }
    if "cross_attention" in p:
        parts["multihead_attn"] = attention_names(p["cross_attention"])
    return {f"{part}.{name}": leaf for part, leaves in parts.items() for name, leaf in leaves.items()}


def layer_twin(norm_first):
    def layer(p, x, *, n_heads, activation, mask=None, causal=False, eps=1e-5, key=None, **rates):
        dropout_rate = rates.get("dropout_rate", 0.0)
        handed = mask_for_module(x, x, mask, causal, n_heads)
        if key is None and handed is not None:
            module = nn.TransformerEncoderLayer(
                x.shape[-1],
                n_heads,
                dim_feedforward=len(p["feed_forward"]["up"]["weight"]),
                dropout=0.0,
                activation=twin(activation),
                layer_norm_eps=eps,
                batch_first=True,
                norm_first=norm_first,
            )
            return call(module, layer_names(p), x, src_mask=handed)

        def norm(i, h):
            return twin(ops.layer_norm)(p[f"norm{i}"], h, eps=eps)

        def attend(h):
            how = {
                "n_heads": n_heads,
                "mask": mask,
                "causal": causal,
                "dropout_rate": rates.get("attention_dropout_rate", 0.0),
                "key": fold(key, 0),
            }
            h = twin(blocks.multi_head_attention)(p["attention"], h, h, **how)
            return twin(ops.dropout)(h, rate=dropout_rate, key=fold(key, 1))

        def feed_forward(h):
            h = twin(blocks.feed_forward)(p["feed_forward"], h, activation=activation)
            return twin(ops.dropout)(h, rate=dropout_rate, key=fold(key, 2))

        if norm_first:
            x = x + attend(norm(1, x))
            return x + feed_forward(norm(2, x))
        x = norm(1, x + attend(x))
        return norm(2, x + feed_forward(x))

    return layer


twin_of(blocks.pre_norm_layer)(layer_twin(norm_first=True))
twin_of(blocks.post_norm_layer)(layer_twin(norm_first=False))


def decoder_layer_twin(norm_first):
    def layer(p, x, memory, *, n_heads, activation, mask=None, memory_mask=None, eps=1e-5, key=None, **rates):
        dropout_rate = rates.get("dropout_rate", 0.0)
        handed = mask_for_module(x, x, mask, True, n_heads)
        memory_handed = mask_for_module(x, memory, memory_mask, False, n_heads)
        if key is None and handed is not None and memory_handed is not None:
            module = nn.TransformerDecoderLayer(
                x.shape[-1],
                n_heads,
                dim_feedforward=len(p["feed_forward"]["up"]["weight"]),
                dropout=0.0,
                activation=twin(activation),
                layer_norm_eps=eps,
                batch_first=True,
                norm_first=norm_first,
            )
            return call(module, layer_names(p), x, memory, tgt_mask=handed, memory_mask=memory_handed)

        def attend(name, i, h, memory, **how):
            how |= {"n_heads": n_heads, "dropout_rate": rates.get("attention_dropout_rate", 0.0), "key": fold(key, i)}
            return twin(blocks.multi_head_attention)(p[name], h, memory, **how)

        branches = (
            lambda h: attend("attention", 0, h, h, mask=mask, causal=True),
            lambda h: attend("cross_attention", 2, h, memory, mask=memory_mask),
            lambda h: twin(blocks.feed_forward)(p["feed_forward"], h, activation=activation),
        )
        for branch, name, i in zip(branches, ("norm1", "norm2", "norm3"), (1, 3, 4), strict=True):
            norm = lambda h, name=name: twin(ops.layer_norm)(p[name], h, eps=eps)
            h = twin(ops.dropout)(branch(norm(x) if norm_first else x), rate=dropout_rate, key=fold(key, i))
            x = x + h if norm_first else norm(x + h)
        return x

    return layer


twin_of(blocks.pre_norm_decoder_layer)(decoder_layer_twin(norm_first=True))
twin_of(blocks.post_norm_decoder_layer)(decoder_layer_twin(norm_first=False))


@twin_of(blocks.bahdanau_scores)
def _(p, q, k):
    return twin(ops.additive_scores)(p["score"], twin(ops.linear)(p["query"], q), twin(ops.linear)(p["key"], k))


@twin_of(blocks.general_scores)
def _(p, q, k):
    """As the paper has it, a bilinear form of every pair."""
    q, k = every_pair(q, k)
    return F.bilinear(q.contiguous(), k.contiguous(), p["key"]["weight"][None])[..., 0]


@twin_of(blocks.concat_scores)
def _(p, q, k):
    """As the paper has it: every pair side by side."""
    h = torch.tanh(twin(ops.linear)(p["pair"], torch.cat(every_pair(q, k), -1)))
    return h @ p["score"]["weight"]


def every_pair(q, k):
    """(B, T, S, D) and (B, T, S, E)"""
    T, S = q.shape[1], k.shape[1]
    return q[:, :, None].expand(-1, -1, S, -1), k[:, None].expand(-1, T, -1, -1)


@twin_of(blocks.stack)
def _(thing):
    def stack(p, x, *shared, key=None, **static):
        for i, p_layer in enumerate(p):
            x = twin(thing.layer)(p_layer, x, *shared, key=fold(key, i), **static)
        return x

    return stack


@twin_of(blocks.recompute)
def _(thing):
    return lambda *args, **static: checkpoint(twin(thing.thing), *args, use_reentrant=False, **static)
