"""One call by the reference and by its kernel, and how near the two must be."""

from contextlib import contextmanager

import numpy as np

from minitransformer import convention
from minitransformer.convention import use_backend
from minitransformer.trees import leaves

FLOOR = 16 * np.finfo(np.float32).eps


@contextmanager
def backend(name):
    before = convention._backend
    use_backend(name)
    try:
        yield
    finally:
        use_backend(before)


def outcome(call, dtype, by):
    """{name: array} of all that comes out of a call under this backend: y, and the gradient of every array given."""
    args, settings = call.arguments(dtype)
    with backend(by):
        if not call.op.gradient:
            return named("y", call.op(*args.values(), **settings))
        y, saved = call.op(*args.values(), **settings)
        assert saved.backend == by
        return named("y", y) | gradients(args, call.op.backward(*call.upstream(y), saved))


def gradients(args, returned):
    """{name: array}, a name for each array that is due a gradient."""
    due = [name for name, value in args.items() if name != "p" and (value is None or value.dtype.kind == "f")]
    due += ["p"] * ("p" in args)
    returned = returned if isinstance(returned, tuple) else (returned,)
    assert [gradient is None for gradient in returned] == [args[name] is None for name in due]
    parts = [named("d" + name, part) for name, part in zip(due, returned, strict=True) if part is not None]
    return {name: array for part in parts for name, array in part.items()}


def named(name, thing):
    if isinstance(thing, tuple):
        return {path: leaf for i, part in enumerate(thing) for path, leaf in named(f"{name}{i}", part).items()}
    return dict(leaves(thing, "." + name))


def errors(found, exact):
    """{name: the largest difference}, in units of the largest entry, or of 1 where all are smaller.

    Every operation passes through numbers of size 1 (a probability, a tanh, x̂), whose rounding nothing escapes that is
    made of them, however small. A NaN gives a NaN, which no comparison passes.
    """
    assert found.keys() == exact.keys()
    return {name: error(found[name], exact[name]) for name in exact}


def error(found, exact):
    exact = np.asarray(exact, np.longdouble)
    return float(np.max(np.abs(found - exact), initial=0) / np.max(np.abs(exact), initial=1))


def hold_to_reference(call, bar=1e-12, by="cpu"):
    """In float64: the same names, shapes and dtypes, and the same numbers but for the order of a sum."""
    found, exact = outcome(call, np.float64, by), outcome(call, np.float64, "reference")
    for name, array in exact.items():
        assert (np.shape(found[name]), dtype(found[name])) == (np.shape(array), dtype(array)), name
    for name, off in errors(found, exact).items():
        assert off <= bar, f"{name} is off by {off:.1e}"


def hold_float32(calls, floor=FLOOR, by="cpu"):
    """In float32: over some calls of a kind, at most twice as far from float64 as the reference in float32 is.

    And a floor of 16 units in the last place of 1: exp may be off by 2, a factor of a slope makes more of them (that of
    gelu_tanh is 8 at x = 5), and where the reference happens to make no error at all, twice nothing is nothing.
    """
    worst = {}
    for call in calls:
        exact = outcome(call, np.float64, "reference")
        by_kernel, by_reference = (outcome(call, np.float32, each) for each in (by, "reference"))
        theirs = errors(by_reference, exact)
        for name, off in errors(by_kernel, exact).items():
            assert (np.shape(by_kernel[name]), dtype(by_kernel[name])) == (
                np.shape(by_reference[name]),
                dtype(by_reference[name]),
            ), name
            worst[name] = np.maximum(worst.get(name, 0), (off, theirs[name]))
    for name, (off, theirs) in worst.items():
        assert off <= 2 * theirs + floor, f"{name} is off by {off:.1e}, the reference in float32 by {theirs:.1e}"


def dtype(value):
    return getattr(value, "dtype", type(value))
