"""The twin of a thing: the PyTorch function of the same arguments that does the same, with gradients by autograd.

Parameters come as our tree of tensors. Where PyTorch has a module instead of a function, `call` hands it those same
tensors under the module's names, so that autograd names every gradient as we do.
"""

from torch.func import functional_call

TWINS = {}  # name of a registered thing -> its twin; of a class: the function that makes the twin of an instance


def twin_of(thing):
    """Register the twin of a thing. Of a combinator, a loss or a model: what makes the twin of one."""

    def decorate(function):
        TWINS[thing.__name__] = function
        return function

    return decorate


def twin(thing):
    """The PyTorch function that does what this thing does."""
    made = TWINS.get(type(thing).__name__)
    return TWINS[thing.__name__] if made is None else made(thing)


def call(module, named, *args, **kwargs):
    """The module with these tensors as its parameters: all of them, and no others."""
    expected = dict(module.named_parameters()).keys()
    if named.keys() != expected:
        raise ValueError(f"{type(module).__name__}: {sorted(named.keys() ^ expected)} on one side only")
    return functional_call(module.double(), named, args, kwargs)
