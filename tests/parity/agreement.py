"""A thing beside its twin: the same arrays in, the same random dy back, and how far what comes out differs.

max |ours - theirs| / max(max |theirs|, 1e-6 gmax)          gmax the largest gradient of the whole case

Of a gradient that is zero by mathematics (the key bias under a softmax) there is nothing but rounding on either side,
and float64 cannot agree on that to 1e-15 gmax: both sides are held to 1e-12 gmax instead, as the gradient checks do.
"""

import numpy as np
import torch

from minitransformer.gradcheck.check import Run
from minitransformer.trees import leaves, tree_map

from . import bert, blocks, models, operations, recurrent, seq2seq, transfer  # noqa: F401  they register their twins
from .twins import twin

BAR = 1e-9


def agreement(case, rng, counts=None):
    """{name: relative difference} of every output and every gradient of one case.

    counts: Boolean, to be broadcast over y: elsewhere y is not compared, and nothing comes back from there.
    """
    return differences(*both(case, rng, counts), zero={f"d{name}" for name in case.zero})


def both(case, rng, counts=None):
    """Ours and theirs: {name: array}, outputs as y.0, y.1, ..., gradients as d followed by the argument's path."""
    thing = getattr(case.forward, "__self__", case.forward)
    theirs = twin(thing)
    if case.backward is None:
        y = case.forward(*case.args.values(), **case.static)
        y_theirs = theirs(*tree_map(tensor, case.args).values(), **case.static)
        return outputs(y), outputs(y_theirs)

    run = Run(case, np.float64, rng)
    args = tree_map(tensor, run.arrays)
    inputs = {name: leaf for name, leaf in leaves(args) if torch.is_tensor(leaf) and leaf.is_floating_point()}
    for leaf in inputs.values():
        leaf.requires_grad_()
    y, y_theirs = run.forward()[0], theirs(*args.values(), **tree_map(tensor, run.static))
    y_theirs = y_theirs if isinstance(y_theirs, tuple) else (y_theirs,)
    if counts is not None:
        run.dy = tuple(part * counts for part in run.dy)
        y, y_theirs = tuple(part * counts for part in y), tuple(part * tensor(counts) for part in y_theirs)
    gradients = torch.autograd.grad(y_theirs, list(inputs.values()), tuple(map(tensor, run.dy)))
    return (
        outputs(y) | {f"d{name}": gradient for name, gradient in run.gradients().items()},
        outputs(y_theirs) | {f"d{name}": gradient.numpy() for name, gradient in zip(inputs, gradients, strict=True)},
    )


def tensor(value):
    """A tensor of its own memory where the value is an array."""
    return torch.from_numpy(value.copy()) if isinstance(value, np.ndarray) else value


def outputs(y):
    named = leaves(list(y) if isinstance(y, tuple) else [y], ".y")  # y.0, y.1.0, ...
    return {path: part.detach().numpy() if torch.is_tensor(part) else np.asarray(part) for path, part in named}


def differences(ours, theirs, zero=()):
    """{name: relative difference}. A name of a gradient begins with d; `zero` are those that are zero by mathematics.

    ValueError where the names or the shapes of the two are not the same.
    """
    if ours.keys() != theirs.keys():
        raise ValueError(f"{sorted(ours.keys() ^ theirs.keys())} on one side only")
    gmax = max((largest(theirs[name]) for name in theirs if name.startswith("d")), default=0.0)
    found = {name: relative(ours[name], theirs[name], 1e-6 * gmax if name.startswith("d") else 0.0) for name in ours}
    return found | {name: nothing(ours[name], theirs[name], gmax) for name in zero}


def nothing(ours, theirs, gmax):
    """At most BAR where neither side is above 1e-12 gmax."""
    return max(largest(ours), largest(theirs)) / gmax * (BAR / 1e-12)


def relative(ours, theirs, floor=0.0):
    """max |ours - theirs| / max(max |theirs|, floor); NaN where there is one in either."""
    if ours.shape != theirs.shape:
        raise ValueError(f"the shapes are {ours.shape} and {theirs.shape}")
    difference, scale = largest(ours - theirs), max(largest(theirs), floor)
    if difference == 0:
        return 0.0
    return difference / scale if scale else np.inf


def above(differences, bar=BAR):
    """Those that are above the bar, NaN among them."""
    return {name: difference for name, difference in differences.items() if not difference <= bar}


def largest(array):
    return float(np.max(np.abs(array), initial=0.0))
