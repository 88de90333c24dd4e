"""GPT-2 as published: its configuration and the names of its tensors.

Its linear maps are stored (in, out), the other way round than everybody else's, and q, k and v are one map, `c_attn`.
"""

from ..models import GPT2
from .config import check_config
from .names import Row, prefixed

models = (GPT2,)
SIZES = {  # ours -> theirs
    "vocab_size": "vocab_size",
    "context_length": "n_positions",
    "n_layers": "n_layer",
    "n_heads": "n_head",
    "d_model": "n_embd",
}
FIXED = {  # theirs -> the values with which it is the model that we have; the first is the published one
    "activation_function": ("gelu_new", "gelu_pytorch_tanh"),
    "layer_norm_epsilon": (1e-5,),
    "scale_attn_weights": (True,),
    "scale_attn_by_inverse_layer_idx": (False,),
    "add_cross_attention": (False,),
    "tie_word_embeddings": (True,),
}
LAYER = "transformer.h."
PREFIX = "transformer."  # which some files have before each name, and some have not


def takes(model):
    """Whether this is a model of this kind."""
    return type(model) in models


def model_of(config, head=None):
    """The model that config.json describes. ValueError for what we do not have."""
    if head is not None:
        raise ValueError("it is a GPT-2, which writes; this asks for a model that reads, such as a BERT")
    check_config(config, SIZES, FIXED)
    if config.get("n_inner") not in (None, 4 * config["n_embd"]):
        raise ValueError(f"n_inner is {config['n_inner']!r}; what is here has four times n_embd")
    return GPT2(**{ours: config[theirs] for ours, theirs in SIZES.items()}, dropout_rate=config.get("resid_pdrop", 0.1))


def config_of(model, labels=None):
    """What config.json says of this model."""
    sizes = {theirs: getattr(model, ours) for ours, theirs in SIZES.items()}
    dropout = dict.fromkeys(("resid_pdrop", "embd_pdrop", "attn_pdrop"), float(model.dropout_rate))
    fixed = {name: values[0] for name, values in FIXED.items()}
    return {"model_type": "gpt2", "architectures": ["GPT2LMHeadModel"], **sizes, "n_inner": None, **dropout, **fixed}


def table(model):
    """[Row, ...] of all parameters."""
    rows = [Row("transformer.wte.weight", ("token.weight",)), Row("transformer.wpe.weight", ("position.weight",))]
    for i in range(model.n_layers):
        ours, theirs = f"layers.{i}.", f"transformer.h.{i}."
        for their_norm, our_norm in (("ln_1", "norm1"), ("ln_2", "norm2")):
            rows += [Row(f"{theirs}{their_norm}.{kind}", (f"{ours}{our_norm}.{kind}",)) for kind in ("weight", "bias")]
        for their_map, our_maps in (
            ("attn.c_attn", ("attention.q", "attention.k", "attention.v")),
            ("attn.c_proj", ("attention.out",)),
            ("mlp.c_fc", ("feed_forward.up",)),
            ("mlp.c_proj", ("feed_forward.down",)),
        ):
            for kind in ("weight", "bias"):
                paths = tuple(f"{ours}{our_map}.{kind}" for our_map in our_maps)
                rows.append(Row(f"{theirs}{their_map}.{kind}", paths, transposed=kind == "weight"))
    return rows + [Row(f"transformer.ln_f.{kind}", (f"norm.{kind}",)) for kind in ("weight", "bias")]


def check_sizes(model, stored):
    """What config.json says of the sizes, against the tensors: before anything is made of those sizes."""
    numbers = {name.removeprefix(LAYER).partition(".")[0] for name in stored if name.startswith(LAYER)}
    if len(numbers) != model.n_layers:
        raise ValueError(f"n_layer is {model.n_layers}, but there are tensors of {len(numbers)} layers")
    table = stored.get("transformer.wte.weight")
    if table is not None and table.shape != (model.vocab_size, model.d_model):
        expected = model.vocab_size, model.d_model
        raise ValueError(f"transformer.wte.weight has shape {table.shape}, expected {expected}")


def our_view(stored, model):
    """The tensors with the prefix before each name, and without what is no parameter: the masks, and the tied head."""
    found = prefixed(stored, PREFIX)
    masks = (".attn.bias", ".attn.masked_bias")
    return {name: each for name, each in found.items() if not name.endswith(masks) and name != "lm_head.weight"}
