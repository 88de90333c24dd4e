"""LLaMA as published on the hub: its configuration and the names of its tensors.

There the columns of queries and keys are ordered such that a point of the rotary positions is (i, i + K/2), "halves".
Positions are described in two ways: `rope_parameters`, or, in older files, `rope_theta` and `rope_scaling`.
"""

from ..models import LLaMA
from .config import check_config
from .names import Row, prefixed
from .tensors import shown

models = (LLaMA,)
SIZES = {  # ours -> theirs
    "vocab_size": "vocab_size",
    "context_length": "max_position_embeddings",
    "n_layers": "num_hidden_layers",
    "n_heads": "num_attention_heads",
    "d_model": "hidden_size",
    "d_ff": "intermediate_size",
}
FIXED = {  # theirs -> the values with which it is the model that we have; the first is the published one
    "hidden_act": ("silu", "swish"),
    "attention_bias": (False,),
    "mlp_bias": (False,),
    "pretraining_tp": (1,),
}
SCALINGS = {  # their name of a way to scale rotary positions -> ours of what it must say: theirs
    "linear": {"factor": "factor"},
    "llama3": {
        "factor": "factor",
        "low": "low_freq_factor",
        "high": "high_freq_factor",
        "context": "original_max_position_embeddings",
    },
}
LAYER = "model.layers."
PREFIX = "model."  # which files of a body alone have not before each name
MAPS = {  # theirs -> ours, of a layer
    "self_attn.q_proj": "attention.q",
    "self_attn.k_proj": "attention.k",
    "self_attn.v_proj": "attention.v",
    "self_attn.o_proj": "attention.out",
    "mlp.gate_proj": "feed_forward.gate",
    "mlp.up_proj": "feed_forward.up",
    "mlp.down_proj": "feed_forward.down",
    "input_layernorm": "norm1",
    "post_attention_layernorm": "norm2",
}


def takes(model):
    """Whether this is a model of this kind."""
    return type(model) in models


def model_of(config, head=None):
    """The model that config.json describes. ValueError for what we do not have."""
    if head is not None:
        raise ValueError("it is a LLaMA, which writes; this asks for a model that reads, such as a BERT")
    check_config(config, SIZES, FIXED)
    sizes = {ours: config[theirs] for ours, theirs in SIZES.items()}
    n_heads, d_model = sizes["n_heads"], sizes["d_model"]
    if type(n_heads) is not int or type(d_model) is not int or n_heads < 1:
        raise ValueError(f"num_attention_heads is {n_heads!r}, hidden_size {d_model!r}")
    base, scaling = positions_of(config)
    return LLaMA(
        **sizes,
        n_kv_heads=otherwise(config.get("num_key_value_heads"), n_heads),
        d_head=otherwise(config.get("head_dim"), d_model // n_heads),
        eps=number(config.get("rms_norm_eps", 1e-6)),
        rotary_base=number(base),
        rotary_scaling=scaling,
        tied=otherwise(config.get("tie_word_embeddings"), False),
    )


def number(value):
    """The number as a float, where it is a whole one that is not too large for that."""
    return float(value) if type(value) is int and abs(value) < 2**53 else value


def otherwise(value, default):
    return default if value is None else value


def positions_of(config):
    """The base of the rotary positions, and how they are scaled: of `models/frequencies.py`"""
    found = config.get("rope_parameters") or config.get("rope_scaling") or {}
    if not isinstance(found, dict):
        raise ValueError(f"its rotary positions are {shown(repr(found))}, which is no object")
    base = found.get("rope_theta", config.get("rope_theta", 10000.0))
    kind = found.get("rope_type", found.get("type", "default"))
    if found.get("partial_rotary_factor", 1.0) != 1.0:
        raise ValueError(f"partial_rotary_factor is {found['partial_rotary_factor']!r}; what is here turns whole heads")
    if kind == "default":
        return base, None
    if not isinstance(kind, str) or kind not in SCALINGS:
        raise ValueError(f"rotary positions are scaled as {shown(repr(kind))}; there are: {', '.join(SCALINGS)}")
    if missing := [theirs for theirs in SCALINGS[kind].values() if theirs not in found]:
        raise ValueError(f"rotary positions are scaled as {kind}, but there is no {', '.join(missing)}")
    return base, {"kind": kind} | {ours: found[theirs] for ours, theirs in SCALINGS[kind].items()}


def config_of(model, labels=None):
    """What config.json says of this model. ValueError for points of rotary positions that are not halves."""
    if model.pairing != "halves":
        raise ValueError(f"points of rotary positions are halves in a published folder, not {model.pairing}")
    sizes = {theirs: getattr(model, ours) for ours, theirs in SIZES.items()}
    heads = {"num_key_value_heads": model.n_kv_heads, "head_dim": model.d_head}
    positions = {"rope_theta": float(model.rotary_base), "rope_type": "default"}
    if scaling := model.rotary_scaling:
        names = SCALINGS[scaling["kind"]]
        positions |= {"rope_type": scaling["kind"]} | {theirs: scaling[ours] for ours, theirs in names.items()}
    more = {"rms_norm_eps": float(model.eps), "tie_word_embeddings": model.tied}
    old = {  # for readers of before `rope_parameters`
        "rope_theta": positions["rope_theta"],
        "rope_scaling": None if scaling is None else {k: v for k, v in positions.items() if k != "rope_theta"},
    }
    fixed = {name: values[0] for name, values in FIXED.items()}
    about = {"model_type": "llama", "architectures": ["LlamaForCausalLM"]}
    return about | sizes | heads | more | fixed | {"rope_parameters": positions} | old


def table(model):
    """[Row, ...] of all parameters."""
    rows = [Row("model.embed_tokens.weight", ("token.weight",))]
    for i in range(model.n_layers):
        rows += [Row(f"{LAYER}{i}.{theirs}.weight", (f"layers.{i}.{ours}.weight",)) for theirs, ours in MAPS.items()]
    rows.append(Row("model.norm.weight", ("norm.weight",)))
    return rows if model.tied else [*rows, Row("lm_head.weight", ("head.weight",))]


def check_sizes(model, stored):
    """What config.json says of the sizes, against the tensors: before anything is made of those sizes."""
    numbers = {name.removeprefix(LAYER).partition(".")[0] for name in stored if name.startswith(LAYER)}
    if len(numbers) != model.n_layers:
        raise ValueError(f"num_hidden_layers is {model.n_layers}, but there are tensors of {len(numbers)} layers")
    for name, expected in (
        ("model.embed_tokens.weight", (model.vocab_size, model.d_model)),
        (f"{LAYER}0.mlp.gate_proj.weight", (model.d_ff, model.d_model)),
    ):
        if name in stored and stored[name].shape != expected:
            raise ValueError(f"{name} has shape {stored[name].shape}, expected {expected}")


def our_view(stored, model):
    """The tensors with the prefix before each name, and without what is no parameter

    That is frequencies, which old files have, and a head that is the embedding.
    """
    found = prefixed(stored, PREFIX)
    tied = {"lm_head.weight"} if model.tied else set()
    return {name: each for name, each in found.items() if not name.endswith(".inv_freq") and name not in tied}
