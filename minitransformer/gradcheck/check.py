"""Is a backward pass the derivative of its forward pass?

For loss = Σ y · dy with a random dy, every gradient that the backward returns is compared with differences of the
loss. The derivative along a direction u is taken by central differences, extrapolated to a step of zero (Richardson
1911; Ridders 1982). What they err by is a series in h², and a step of half the length tells how much its first term is:

    D(h, 0) = (f(h) - f(-h)) / 2h                                           =  f' + O(h²)
    D(h, k) = D(h, k-1) + (D(h, k-1) - D(2h, k-1)) / (4ᵏ - 1)               =  f' + O(h²ᵏ⁺²)

at steps halved again and again. Large steps err by curvature, small ones by rounding; the estimate is the one that
agrees best with the two it was made of, chosen without looking at the analytic value. (One fixed step fails correct
code.) Where it agrees with them closely, for the error below, the step is not halved further.

Small arrays are checked element by element, large ones at some elements and along some directions, both drawn at
random. The error of a gradient is

    max |numeric - analytic| / max(max |analytic|, 1e-3 gmax),      gmax the largest gradient of the whole case.

No gradient is skipped. One that is zero by mathematics (the key bias under a softmax) is declared by name and must be
within 1e-12 gmax; one that is below 1e-6 gmax undeclared proves nothing, and fails.
"""

from dataclasses import dataclass

import numpy as np

from ..trees import leaves, tree_map

STEPS = 8e-3 * 0.5 ** np.arange(-1.0, 12.0)
CLOSELY = 0.65  # within eps ** CLOSELY of themselves: a kink that hides in that counts too little to fail anything
EXTENDED = np.longdouble


def has_extended():
    """Whether this machine's long double is wider than float64. (Not on Windows, nor on Apple's processors.)"""
    return np.finfo(EXTENDED).eps < np.finfo(np.float64).eps


def bar(kind, dtype):
    """The largest error that passes: 1e-10 in extended precision; in float64 1e-6 for a whole model, else 1e-7."""
    if np.finfo(dtype).eps < np.finfo(np.float64).eps:
        return 1e-10
    return 1e-6 if kind in ("model", "loss") else 1e-7


class Misfit(ValueError):
    """The two functions do not fit each other, so that no gradient can be compared."""


@dataclass
class Gradient:
    """What was found about one gradient."""

    name: str
    size: int
    error: float
    index: tuple | None  # the element with the largest error; None: it showed along a direction
    expected: float
    got: float
    problem: str  # "" where it passes

    @property
    def passed(self):
        return not self.problem


def worst(gradients):
    """The largest error, NaN if there is one."""
    return float(np.max([gradient.error for gradient in gradients]))


@np.errstate(all="ignore")  # a step may leave where the function lives
def check(case, dtype, rng, limit=1e-7):
    """[Gradient, ...]: every gradient of the case in this dtype, held to `limit`."""
    run = Run(case, dtype, rng)
    gradients = {name: g.copy() for name, g in run.gradients().items()}  # first: do the two fit each other?
    again = run.gradients()
    for name, gradient in gradients.items():
        if not np.array_equal(gradient, again[name], equal_nan=True):
            raise Misfit(f"called twice, the backward gives two gradients of {name}: it writes to what was saved")
    return compare(differences(run, rng), gradients, limit, case.zero)


class Run:
    """One case in one dtype with one random dy: its loss as a function of arrays that we may nudge in place.

    The functions themselves see read-only views: who writes to an argument is found out at once.
    """

    def __init__(self, case, dtype, rng):
        self.case = case
        self.arrays = tree_map(lambda a: cast(a, dtype), case.args)
        self.views = tree_map(read_only, self.arrays)
        self.static = {name: read_only(cast(value, dtype)) for name, value in case.static.items()}
        if not self.differentiable():
            raise Misfit("no argument is a floating array: there is no gradient to check")
        y, self.saved = self.forward()
        for part, again in zip(y, self.forward()[0]):
            if not np.array_equal(part, again, equal_nan=True):
                raise Misfit("called twice, the forward gives two results: randomness must come from an argument")
        self.dy = tuple(rng.normal(size=part.shape).astype(dtype) for part in y)
        for part in y:
            if part.dtype != dtype:
                raise Misfit(f"y is {part.dtype} although every input is {np.dtype(dtype)}: something was cast")

    def forward(self):
        result = self.case.forward(*self.views.values(), **self.static)
        if not (isinstance(result, tuple) and len(result) == 2):
            raise Misfit("the forward must return two things, y and saved")
        y, saved = result
        return tuple(map(np.asarray, y if isinstance(y, tuple) else (y,))), saved

    def loss(self):
        return sum(np.sum(part * dpart) for part, dpart in zip(self.forward()[0], self.dy, strict=True))

    def differentiable(self):
        """{name: array} of everything a gradient is due for."""
        return {
            name: array
            for argument, tree in self.arrays.items()
            for name, array in leaves(tree, f".{argument}")
            if is_floating(array)
        }

    def gradients(self):
        """{name: array} of everything the backward returns; Misfit where that is not what is due."""
        dy = tuple(part[()] if part.ndim == 0 else read_only(part) for part in self.dy)
        result = self.case.backward(*dy, self.saved)
        result = list(result) if isinstance(result, tuple) else [result]
        due = [name for name, value in self.arrays.items() if name != "p" and (value is None or is_floating(value))]
        if "p" in self.arrays:
            due.append("p")
        if len(result) != len(due):
            names = ", ".join("g" if name == "p" else "d" + name for name in due)
            raise Misfit(f"the backward returned {len(result)} gradients, expected {len(due)}: {names}")
        found = {}
        for name, gradient in zip(due, result, strict=True):
            if self.arrays[name] is None:
                if gradient is not None:
                    raise Misfit(f"d{name} must be None, since {name} is absent")
            elif gradient is None:
                raise Misfit(f"{'g' if name == 'p' else 'd' + name} is None")
            else:
                found |= {path: np.asarray(leaf) for path, leaf in leaves(gradient, f".{name}")}
        expected = self.differentiable()
        for name in sorted(expected.keys() ^ found.keys()):
            raise Misfit(f"{name} has {'no gradient' if name in expected else 'a gradient, but is not a parameter'}")
        for name, array in expected.items():
            if found[name].shape != array.shape:
                raise Misfit(f"the gradient of {name} has shape {found[name].shape}, expected {array.shape}")
            if found[name].dtype != array.dtype:
                raise Misfit(f"the gradient of {name} is {found[name].dtype}, expected {array.dtype}: it was cast")
        return found


def differences(run, rng):
    """{name: [(u, derivative along u), ...]}; u is an element's index, or an array of the leaf's shape."""
    elements, directions = run.case.effort
    found, largest = {}, 0.0
    for name, array in run.differentiable().items():
        every = list(np.ndindex(array.shape))
        if len(every) > 2 * elements:
            every = [every[i] for i in rng.choice(len(every), elements, replace=False)]
            ways = [*every, *(direction(array, rng) for _ in range(directions))]
        else:
            ways = every
        found[name] = [(u, derivative(run.loss, array, u, 1e-3 * largest)) for u in ways]
        largest = np.fmax.reduce([largest, *(abs(slope) for _, slope in found[name])])  # of NaN and another, the other
    return found


def direction(array, rng):
    """A random one, of length 1: no component is near zero, and no two are alike.

    Of signs alone, every second would have the same for both of two elements: were these exchanged in a gradient, or
    one too large by what the other is too small, it would not show.
    """
    u = rng.uniform(0.5, 1.5, array.shape) * rng.choice([-1, 1], array.shape)
    return (u / np.sqrt(np.sum(u * u))).astype(array.dtype)


def derivative(loss, array, u, scale=0.0):
    """d loss / d array along u, by the differences described above; `array` is nudged in place and restored.

    scale: what an error is held against at least, so that nothing smaller needs to be known as closely as itself.
    """
    kept = array.copy()

    def at(h):
        if isinstance(u, tuple):
            array[u] = kept[u] + h
        else:
            array[...] = kept + h * u
        return loss()

    best, least, row = np.array(np.nan, array.dtype)[()], np.inf, []  # row: D(h, 0), D(h, 1), ... of the step before
    close = np.finfo(array.dtype).eps ** CLOSELY
    for h in STEPS.astype(array.dtype):
        estimate, row_of_2h, row = (at(h) - at(-h)) / (2 * h), row, []
        for k, coarser in enumerate(row_of_2h, 1):
            row.append(estimate)
            estimate = estimate + (estimate - coarser) / (4**k - 1)
            change = max(abs(estimate - row[-1]), abs(estimate - coarser))
            if change < least:  # NaN, where a step goes too far, is not
                best, least = estimate, change
        row.append(estimate)
        if len(row) > 2 and least <= close * max(abs(best), scale):  # two steps may both miss what is near
            break
    array[...] = kept
    return best


def compare(numeric, analytic, limit, zero=()):
    """[Gradient, ...]: the differences held against the gradients, both by name."""
    gmax = max((float(np.max(np.abs(g), initial=0)) for g in analytic.values()), default=0.0)
    return [judge(name, found, analytic[name], gmax, limit, name in zero) for name, found in numeric.items()]


def judge(name, found, g, gmax, limit, zero):
    """One gradient: where it errs most, by how much, and what that means."""
    size, largest = g.size, float(np.max(np.abs(g), initial=0))
    scale = gmax if zero else max(largest, 1e-3 * gmax)
    rows = [(u, expected, g[u] if isinstance(u, tuple) else np.sum(g * u)) for u, expected in found]
    errors = [float(abs(expected - got) / (scale or np.nan)) if expected != got else 0.0 for _, expected, got in rows]
    if not rows:
        return Gradient(name, size, 0.0, None, 0.0, 0.0, "empty: nothing was checked")
    at = int(np.argmax(errors))  # NaN counts as the largest
    elements = [i for i, (u, _, _) in enumerate(rows) if isinstance(u, tuple) and not errors[i] <= limit]
    shown = max(elements, key=lambda i: np.nan_to_num(errors[i], nan=np.inf)) if elements else at
    u, expected, got = rows[shown]
    problem = ""
    if not errors[at] <= limit:  # NaN is a failure too
        problem = "wrong"
    elif zero and not largest <= 1e-12 * gmax:
        problem = "declared zero, but is not"
    elif not zero and not (largest and largest >= 1e-6 * gmax):
        problem = "vacuous: zero, though nobody declared it to be"
    index = u if isinstance(u, tuple) else None
    return Gradient(name, size, errors[at], index, float(expected), float(got), problem)


def is_floating(value):
    return isinstance(value, np.ndarray) and value.dtype.kind == "f"


def cast(value, dtype):
    """A fresh array of this dtype where the value is a floating array; its memory order stays."""
    return value.astype(dtype) if is_floating(value) else value


def read_only(value):
    if not isinstance(value, np.ndarray):
        return value
    view = value.view()
    view.flags.writeable = False
    return view
