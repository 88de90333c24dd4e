"""The same models as a PyTorch user would write them: what the timings stand beside.

Defaults, all cores, `scaled_dot_product_attention`, one linear map for query, key and value, the fused AdamW.
"""

import torch
from torch import nn
from torch.nn import functional as F


class Layer(nn.Module):
    def __init__(self, n_heads, width):
        super().__init__()
        self.n_heads = n_heads
        self.norm1, self.norm2 = nn.LayerNorm(width), nn.LayerNorm(width)
        self.qkv, self.out = nn.Linear(width, 3 * width), nn.Linear(width, width)
        self.up, self.down = nn.Linear(width, 4 * width), nn.Linear(4 * width, width)

    def forward(self, x):
        B, T, D = x.shape
        q, k, v = (h.view(B, T, self.n_heads, -1).transpose(1, 2) for h in self.qkv(self.norm1(x)).split(D, 2))
        h = F.scaled_dot_product_attention(q, k, v, is_causal=True).transpose(1, 2).reshape(B, T, D)
        x = x + self.out(h)
        return x + self.down(F.gelu(self.up(self.norm2(x)), approximate="tanh"))


class GPT(nn.Module):
    def __init__(self, vocab_size, context_length, n_layers, n_heads, d_model):
        super().__init__()
        self.token, self.position = nn.Embedding(vocab_size, d_model), nn.Embedding(context_length, d_model)
        self.layers = nn.ModuleList(Layer(n_heads, d_model) for _ in range(n_layers))
        self.norm = nn.LayerNorm(d_model)

    def forward(self, ids):
        h = self.token(ids) + self.position.weight[: ids.shape[1]]
        for layer in self.layers:
            h = layer(h)
        return self.norm(h) @ self.token.weight.T

    def loss(self, ids, targets):
        logits = self(ids)
        return F.cross_entropy(logits.view(-1, logits.shape[-1]), targets.view(-1))


def tensor(array):
    return torch.tensor(array)


def layer_parameters(layer, p):
    """[(parameter, array)] of one layer and our p of it"""
    attention, feed_forward = p["attention"], p["feed_forward"]
    pairs = []
    for kind in ("weight", "bias"):
        pairs.append((getattr(layer.qkv, kind), torch.cat([tensor(attention[name][kind]) for name in "qkv"])))
        named = (("norm1", p["norm1"]), ("norm2", p["norm2"]), ("out", attention["out"]))
        for name, part in (*named, ("up", feed_forward["up"]), ("down", feed_forward["down"])):
            pairs.append((getattr(getattr(layer, name), kind), tensor(part[kind])))
    return pairs


def with_weights(module, p):
    """The module with our parameters."""
    pairs = [
        (module.token.weight, tensor(p["token"]["weight"])),
        (module.position.weight, tensor(p["position"]["weight"])),
    ]
    pairs += [(getattr(module.norm, kind), tensor(p["norm"][kind])) for kind in ("weight", "bias")]
    for layer, p_layer in zip(module.layers, p["layers"], strict=True):
        pairs += layer_parameters(layer, p_layer)
    load(pairs)
    return module


def load(pairs):
    with torch.no_grad():
        for parameter, array in pairs:
            parameter.copy_(array)


def layer_gradients(layer, path):
    """The gradients of a layer under our names."""
    g = {}
    for kind in ("weight", "bias"):
        for name, part in zip("qkv", getattr(layer.qkv, kind).grad.chunk(3), strict=True):
            g[f"{path}attention.{name}.{kind}"] = part
        named = (("norm1", "norm1"), ("norm2", "norm2"), ("out", "attention.out"))
        for name, ours in (*named, ("up", "feed_forward.up"), ("down", "feed_forward.down")):
            g[f"{path}{ours}.{kind}"] = getattr(getattr(layer, name), kind).grad
    return g


def gradients(module):
    """The gradients of a GPT under our names."""
    g = {"token.weight": module.token.weight.grad, "position.weight": module.position.weight.grad}
    g |= {f"norm.{kind}": getattr(module.norm, kind).grad for kind in ("weight", "bias")}
    for i, layer in enumerate(module.layers):
        g |= layer_gradients(layer, f"layers.{i}.")
    return g


def tensors_of(args):
    """Arguments of ours as tensors: trees of them too, and floating ones such that a gradient is asked for."""

    def one(part):
        return {name: one(leaf) for name, leaf in part.items()} if isinstance(part, dict) else tensor(part)

    def felt(part):
        for leaf in part.values() if isinstance(part, dict) else [part]:
            leaf.requires_grad_(leaf.is_floating_point())
        return part

    return [felt(one(part)) for part in args]


def adamw(args, static):
    """Adam's fused step from the moments that are given: how to run it, and what the first one gives."""
    w, g, m, v = (tensor(part) for part in args)
    w.grad = g
    optimizer = torch.optim.AdamW(
        [w],
        lr=static["learning_rate"],
        betas=(static["beta1"], static["beta2"]),
        eps=static["eps"],
        weight_decay=static["weight_decay"],
        fused=True,
    )
    optimizer.state[w] = {"step": torch.tensor(static["t"] - 1.0), "exp_avg": m, "exp_avg_sq": v}

    def answer():
        optimizer.step()
        return tuple(part.numpy().copy() for part in (w, m, v))

    return optimizer.step, answer


def total_norm(args, static):
    parts = [tensor(part) for part in args[0].values()]
    return (lambda: nn.utils.get_total_norm(parts)), (lambda: nn.utils.get_total_norm(parts).numpy())


OPERATIONS = {  # ours by name -> theirs
    "linear": lambda p, x: F.linear(x, p["weight"], p["bias"]),
    "layer_norm": lambda p, x: F.layer_norm(x, x.shape[-1:], p["weight"], p["bias"]),
    "rms_norm": lambda p, x: F.rms_norm(x, x.shape[-1:], p["weight"], 1e-6),
    "gelu": F.gelu,
    "gelu_tanh": lambda x: F.gelu(x, approximate="tanh"),
    "silu": F.silu,
    "cross_entropy": F.cross_entropy,
    "linear_cross_entropy": lambda p, x, targets: F.cross_entropy(F.linear(x, p["weight"]), targets),
    "embedding": lambda p, ids: F.embedding(ids, p["weight"]),
    "attention": lambda q, k, v: F.scaled_dot_product_attention(q, k, v, is_causal=True),
    "adamw": adamw,
    "global_norm": total_norm,
}


def about():
    return {"torch": torch.__version__, "threads": torch.get_num_threads()}
