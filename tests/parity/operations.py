"""The twins of the operations: torch.nn.functional where it has them."""

import math

import torch
import torch.nn.functional as F

from minitransformer import ops
from minitransformer.ops.dropout import draw_kept
from minitransformer.trees import leaves

from .twins import twin, twin_of


@twin_of(ops.linear)
def _(p, x):
    return F.linear(x, p["weight"], p.get("bias"))


@twin_of(ops.embedding)
def _(p, ids):
    return F.embedding(ids, p["weight"])


@twin_of(ops.layer_norm)
def _(p, x, *, eps=1e-5):
    return F.layer_norm(x, x.shape[-1:], p["weight"], p["bias"], eps)


@twin_of(ops.rms_norm)
def _(p, x, *, eps=1e-6):
    return F.rms_norm(x, x.shape[-1:], p["weight"], eps)


@twin_of(ops.softmax)
def _(x):
    return F.softmax(x, -1)


@twin_of(ops.relu)
def _(x):
    return F.relu(x)


@twin_of(ops.gelu)
def _(x):
    return F.gelu(x)


@twin_of(ops.gelu_tanh)
def _(x):
    return F.gelu(x, approximate="tanh")


@twin_of(ops.tanh)
def _(x):
    return torch.tanh(x)


@twin_of(ops.masked_mean)
def _(x, *, mask):
    return (x * mask[..., None]).sum(1) / mask.sum(1, keepdim=True).clamp(min=1)


@twin_of(ops.silu)
def _(x):
    return F.silu(x)


@twin_of(ops.dropout)
def _(x, *, rate, key=None):
    """PyTorch draws otherwise: it gets the mask that we drew."""
    kept = draw_kept(tuple(x.shape), rate, key)
    return x if kept is None else x * torch.tensor(kept) / (1 - rate)


def who_attends(T, S, mask, causal):
    """(B or 1, H or 1, T, S), True = may attend. (PyTorch's own `is_causal` is aligned at the top left.)"""
    allowed = torch.ones(1, 1, T, S, dtype=torch.bool)
    if causal:
        allowed = allowed & (torch.arange(S) <= torch.arange(S - T, S)[:, None])
    return allowed if mask is None else allowed & mask


@twin_of(ops.attention)
def _(q, k, v, bias=None, *, mask=None, causal=False, dropout_rate=0.0, key=None):
    """A query that may attend to nothing attends to everything, and is then zeroed: some versions give NaN for it."""
    (H, T, K), (G, S) = q.shape[1:], k.shape[1:3]
    k, v = (part.repeat_interleave(H // G, 1) for part in (k, v))
    allowed = who_attends(T, S, mask, causal)
    some = allowed.any(-1, keepdim=True)
    handed = allowed | ~some  # (B or 1,H or 1,T,S)
    if bias is not None:
        handed = torch.where(handed, bias, -torch.inf)
    if key is None:
        y = F.scaled_dot_product_attention(q, k, v, attn_mask=handed)
    else:  # its dropout draws otherwise
        scores = q @ k.mT / math.sqrt(K)
        scores = torch.where(handed, scores, -torch.inf) if bias is None else scores + handed
        y = twin(ops.dropout)(scores.softmax(-1), rate=dropout_rate, key=key) @ v
    return torch.where(some, y, 0)


@twin_of(ops.cross_entropy)
def _(logits, targets, *, ignore_index=-100, label_smoothing=0.0):
    rows = logits.reshape(-1, logits.shape[-1])
    return F.cross_entropy(rows, targets.reshape(-1), ignore_index=ignore_index, label_smoothing=label_smoothing)


@twin_of(ops.linear_cross_entropy)
def _(p, x, targets, **static):
    return twin(ops.cross_entropy)(F.linear(x, p["weight"]), targets, **static)


@twin_of(ops.sinusoidal_positions)
def _(x, *, positions=None):
    """The formula as it is often written: the even columns at once, then the odd ones."""
    T, D = x.shape[1:]
    positions = torch.arange(T) if positions is None else positions
    angle = positions.double()[..., None] * torch.exp(torch.arange(0, D, 2).double() * (-math.log(10000) / D))
    waves = torch.stack([angle.sin(), angle.cos()], -1).flatten(-2)  # sin, cos, sin, cos, ...
    return x + waves[..., :D]


@twin_of(ops.learned_positions)
def _(p, x, *, positions=None):
    positions = torch.arange(x.shape[1]) if positions is None else positions
    return x + F.embedding(positions, p["weight"])


@twin_of(ops.rotary)
def _(x, *, frequencies, positions=None, pairing="halves"):
    """Points of the plane as complex numbers, and a turn as a product with one of length 1."""
    positions = torch.arange(x.shape[-2]) if positions is None else torch.as_tensor(positions)
    angles = positions.double()[..., None] * torch.as_tensor(frequencies, dtype=torch.float64)
    angles = angles[:, None] if angles.ndim == 3 else angles
    points = x.unflatten(-1, (2, -1) if pairing == "halves" else (-1, 2))
    axis = -2 if pairing == "halves" else -1
    turned = torch.complex(*points.unbind(axis)) * torch.polar(torch.ones_like(angles), angles)
    return torch.stack([turned.real, turned.imag], axis).flatten(-2)


@twin_of(ops.dot_scores)
def _(q, k):
    return torch.einsum("bta,bsa->bts", q, k)


@twin_of(ops.additive_scores)
def _(p, q, k):
    pairs = q[:, :, None].expand(-1, -1, k.shape[1], -1) + k[:, None]
    return F.linear(torch.tanh(pairs), p["weight"][None])[..., 0]


@twin_of(ops.adamw)
def _(w, g, m, v, *, t, learning_rate, beta1, beta2, eps, weight_decay):
    """One step of torch.optim.AdamW that has done t - 1 steps before."""
    parameter = torch.nn.Parameter(w.clone())
    parameter.grad = g.clone()
    optimizer = torch.optim.AdamW([parameter], learning_rate, (beta1, beta2), eps, weight_decay)
    state = optimizer.state[parameter]
    state["step"] = torch.tensor(float(t - 1))
    state["exp_avg"], state["exp_avg_sq"] = m.clone(), v.clone()
    optimizer.step()
    return parameter.detach(), state["exp_avg"], state["exp_avg_sq"]


@twin_of(ops.adamw_many)
def _(w, g, m, v, *, learning_rate, weight_decay, **settings):
    each = [{"learning_rate": rate, "weight_decay": decay} for rate, decay in zip(learning_rate, weight_decay)]
    new = [twin(ops.adamw)(*leaf, **settings, **own) for *leaf, own in zip(w, g, m, v, each)]
    return tuple(map(list, zip(*new)))


@twin_of(ops.global_norm)
def _(g):
    """What clipping returns: the norm before."""
    return torch.nn.utils.clip_grad_norm_(with_gradients(g), 1.0)


def with_gradients(g):
    """Parameters, all of them zero, with the leaves of g as their gradients."""
    parameters = []
    for _, leaf in leaves(g):
        parameters.append(torch.nn.Parameter(torch.zeros_like(leaf)))
        parameters[-1].grad = leaf.clone()
    return parameters
