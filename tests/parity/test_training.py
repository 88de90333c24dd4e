"""Training beside PyTorch: clipping, schedule, AdamW, a batch in pieces, and twenty steps of all of it together."""

import math

import numpy as np
import pytest
import torch
import torch.nn.functional as F

from minitransformer.gradcheck import Draw
from minitransformer.models import GPT2
from minitransformer.training.averaged_sgd import AveragedSGD
from minitransformer.training.clipping import clip_by_global_norm
from minitransformer.training.loop import Training, train_step
from minitransformer.training.losses import next_token_loss
from minitransformer.training.optimizer import AdamW
from minitransformer.training.parallel import cut, value_and_gradient
from minitransformer.training.schedules import warmup_cosine
from minitransformer.trees import leaves, tree_map

from ..training.thawing import thawing
from .agreement import differences, relative, tensor
from .models import gpt2_names, published_gpt2
from .operations import with_gradients

MODEL = GPT2(vocab_size=13, context_length=11, n_layers=3, n_heads=2, d_model=10, dropout_rate=0.0)
LOSS = next_token_loss(MODEL)
STEPS, WARMUP, CLIP = 20, 5, 1.0


def draw_batch(rng, rows=5, length=7):
    """ids and targets: row i stops counting somewhere, the last row from its first target on."""
    ids, targets = rng.integers(0, MODEL.vocab_size, (2, rows, length))
    ends = rng.integers(1, length + 1, rows)
    ends[-1] = 0
    targets[np.arange(length) >= ends[:, None]] = -100
    return ids, targets


def initial(rng):
    """Away from where GPT-2 starts, so that the first gradients are long enough to be clipped."""
    return Draw(rng).perturbed(MODEL.init(rng, np.float64))


def under_their_names(tree):
    return gpt2_names(tree_map(tensor, tree))


def published(p):
    """transformers' GPT-2 with a copy of our parameters."""
    module = published_gpt2(MODEL)
    with torch.no_grad():
        for name, value in under_their_names(p).items():
            module.get_parameter(name).copy_(value)
    return module


def published_loss(module, batch):
    """The mean over the whole batch."""
    ids, targets = map(tensor, batch)
    return F.cross_entropy(module(ids).logits.flatten(0, 1), targets.flatten(), ignore_index=-100)


@pytest.mark.parametrize("n", [1, 2, 3, 5])
def test_a_batch_in_pieces(n, rng, hold):
    """Unequal numbers of targets count in our pieces, none in the last row; PyTorch has the whole batch at once."""
    p, batch = initial(rng), draw_batch(rng)
    value, g = value_and_gradient(LOSS, p, cut(batch, n))
    module = published(p)
    loss = published_loss(module, batch)
    loss.backward()
    ours = {"y0": np.array(value)} | {f"d{name}": gradient.numpy() for name, gradient in under_their_names(g).items()}
    theirs = {"y0": loss.detach().numpy()} | {f"d{name}": w.grad.numpy() for name, w in module.named_parameters()}
    hold("a batch in pieces", differences(ours, theirs))


def made_up_for(max_norm, norm):
    """The length to ask PyTorch for, which multiplies by length / (norm + 1e-6)."""
    return max_norm * (norm + 1e-6) / norm


@pytest.mark.parametrize("times", [0.5, 1.5, 7.0])
def test_clipping(times, rng, hold):
    """A gradient so many times as long as allowed."""
    g = initial(rng)
    parameters = with_gradients(tree_map(tensor, g))
    norm = torch.nn.utils.clip_grad_norm_(parameters, torch.inf).item()
    torch.nn.utils.clip_grad_norm_(parameters, made_up_for(norm / times, norm))
    clipped, our_norm = clip_by_global_norm(g, norm / times)
    paths = [path for path, _ in leaves(g)]
    ours = {"y0": np.array(our_norm)} | {f"d{path}": leaf for path, leaf in leaves(clipped)}
    theirs = {"y0": np.array(norm)} | {f"d{path}": w.grad.numpy() for path, w in zip(paths, parameters, strict=True)}
    hold("clipping", differences(ours, theirs))


def rates(peak, end):
    """Step -> rate, written from the definition: up in a line, then down half a cosine that ends in the last step."""

    def rate(step):
        if step < WARMUP:
            return peak * (step + 1) / WARMUP
        return end + (peak - end) * math.cos(0.5 * math.pi * (step + 1 - WARMUP) / (STEPS - WARMUP)) ** 2

    return rate


def test_schedule(hold):
    """Beside PyTorch's own warm-up and cosine, one after the other."""
    ours = warmup_cosine(peak=1.0, end=0.1, warmup=WARMUP, steps=STEPS)
    optimizer = torch.optim.SGD([torch.nn.Parameter(torch.zeros(1))], lr=1.0)
    up = torch.optim.lr_scheduler.LinearLR(optimizer, 1 / WARMUP, total_iters=WARMUP - 1)
    down = torch.optim.lr_scheduler.CosineAnnealingLR(optimizer, STEPS - WARMUP, eta_min=0.1)
    theirs = []
    for step in range(STEPS):
        if step >= WARMUP:
            down.step()
        theirs.append(optimizer.param_groups[0]["lr"])
        optimizer.step()
        if step < WARMUP - 1:
            up.step()
    hold("schedule", {"rates": relative(np.array([ours(step) for step in range(STEPS)]), np.array(theirs))})


def our_training(p, batches, pieces, peak):
    """The loss of every step. It changes p."""
    schedule = warmup_cosine(peak=peak, end=peak / 10, warmup=WARMUP, steps=STEPS)
    training = Training(p, AdamW(betas=(0.9, 0.99), eps=1e-8, weight_decay=0.1))
    for step, batch in enumerate(batches):
        train_step(training, LOSS, cut(batch, pieces), None, schedule(step), clip=CLIP)
    return np.array(training.losses)


def their_training(module, batches, peak, *, exact_clipping):
    """The loss of every step, and the norm of its gradient. It changes the module."""
    parameters = list(module.parameters())
    groups = [
        {"params": [w for w in parameters if w.ndim >= 2], "weight_decay": 0.1},
        {"params": [w for w in parameters if w.ndim < 2], "weight_decay": 0.0},
    ]
    optimizer = torch.optim.AdamW(groups, lr=1.0, betas=(0.9, 0.99), eps=1e-8)
    scheduler = torch.optim.lr_scheduler.LambdaLR(optimizer, rates(peak, peak / 10))
    losses, norms = [], []
    for batch in batches:
        optimizer.zero_grad()
        loss = published_loss(module, batch)
        loss.backward()
        norm = torch.nn.utils.clip_grad_norm_(parameters, torch.inf).item()
        torch.nn.utils.clip_grad_norm_(parameters, made_up_for(CLIP, norm) if exact_clipping else CLIP)
        optimizer.step()
        scheduler.step()
        losses.append(loss.item())
        norms.append(norm)
    return np.array(losses), norms


def test_parameters_that_thaw(rng, hold):
    """Each has taken as many steps as it had gradients: its moments are not older than that."""
    p, gradients = thawing(rng)
    theirs, ours = {name: torch.tensor(w, requires_grad=True) for name, w in p.items()}, AdamW(betas=(0.7, 0.99))
    optimizer = torch.optim.AdamW(theirs.values(), lr=0.1, betas=(0.7, 0.99), weight_decay=0.01)
    for g in gradients:
        ours.step(p, g, 0.1)
        for name, w in theirs.items():
            w.grad = torch.tensor(g[name]) if name in g else None
        optimizer.step()
    hold("parameters that thaw", differences(p, {name: w.detach().numpy() for name, w in theirs.items()}))


@pytest.mark.parametrize("pieces", [1, 3])
def test_twenty_steps(pieces, rng, hold):
    """From the same weights on the same batches: the loss of every step, and the parameters after the last."""
    p, batches = initial(rng), [draw_batch(rng) for _ in range(STEPS)]
    module = published(p)
    theirs, norms = their_training(module, batches, 1e-2, exact_clipping=True)
    ours = our_training(p, batches, pieces, 1e-2)
    assert min(norms) < CLIP < max(norms)  # some steps were clipped, and some were not
    hold("twenty steps: losses", {"losses": relative(ours, theirs)})
    found = {name: w.numpy() for name, w in under_their_names(p).items()}
    hold(
        "twenty steps: parameters",
        differences(found, {name: w.detach().numpy() for name, w in module.named_parameters()}),
    )


def test_twenty_steps_with_their_clipping_as_it_is(rng, hold):
    """At the learning rates of `minitransformer train`. All that differs is the 1e-6 in their clipping."""
    p, batches = initial(rng), [draw_batch(rng) for _ in range(STEPS)]
    theirs, norms = their_training(published(p), batches, 1e-3, exact_clipping=False)
    assert max(norms) > CLIP
    difference = np.abs(our_training(p, batches, 1, 1e-3) - theirs).max()
    hold("twenty steps: losses, clipping as it is", {"absolute": difference}, bar=1e-8)


def test_averaged_gradient_descent(rng, hold):
    """torch.optim.ASGD as AWD-LSTM's authors call it. It takes its first average for the mean of the first two steps'
    parameters, and forgets the first at the second: so ours begins with the second. (It keeps the rate in float32.)
    """
    p, gradients = {"w": rng.normal(size=(3, 4))}, rng.normal(size=(9, 3, 4))
    parameter = torch.nn.Parameter(tensor(p["w"]))
    theirs = torch.optim.ASGD([parameter], lr=0.25, lambd=0.0, t0=0, weight_decay=0.1)
    ours = AveragedSGD(weight_decay=0.1)
    for step, gradient in enumerate(gradients):
        if step == 1:
            ours.begin()
        ours.step(p, {"w": gradient}, 0.25)
        parameter.grad = tensor(gradient)
        theirs.step()
        hold("gradient descent", {"w": relative(p["w"], parameter.detach().numpy())})
        mean = theirs.state[parameter]["ax"].numpy()  # its 1/n is a float32
        hold("averaged gradient descent", {"mean": relative(ours.averaged(p)["w"], mean)}, bar=1e-7)
