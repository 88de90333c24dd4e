"""The check is checked: what is wrong must fail, for every gradient of every registered thing."""

import numpy as np
import pytest

from minitransformer.blocks import multi_head_attention
from minitransformer.convention import THINGS
from minitransformer.gradcheck import (
    EXTENDED,
    Case,
    Draw,
    bar,
    check,
    compare,
    differences,
    draw_cases,
    has_extended,
    worst,
)
from minitransformer.gradcheck.cases import case, checkable
from minitransformer.gradcheck.check import STEPS, Misfit, Run, derivative
from minitransformer.ops import attention, layer_norm, relu, softmax

WRONG = {
    "scaled by 1.001": lambda g, rng: 1.001 * g,
    "with its sign flipped": lambda g, rng: -g,
    "zeroed": lambda g, rng: np.zeros_like(g),
    "shifted": lambda g, rng: g + 1e-3 * np.abs(g).max(),
    "wrong in one element": lambda g, rng: g + 1e-2 * np.abs(g).max() * one_of(g, rng),
    "with two elements exchanged": lambda g, rng: exchanged(g),
    "too large here, too small there": lambda g, rng: g + 1e-2 * np.abs(g).max() * (one_of(g, rng) - one_of(g, rng)),
    "NaN in one element": lambda g, rng: np.where(one_of(g, rng), np.nan, g),
}


def one_of(g, rng):
    """One where a randomly chosen element is, else zero."""
    one = np.zeros(g.shape)
    one.flat[rng.integers(g.size)] = 1
    return one


def exchanged(g):
    """The largest element where the smallest is, and the other way round"""
    spoilt = g.copy()
    spoilt.flat[[g.argmax(), g.argmin()]] = g.min(), g.max()
    return spoilt


def without_one_element(run, i):
    """The gradients that a backward would return which forgets what element i of y does to the loss."""
    whole = run.dy
    flat = np.concatenate([part.ravel() for part in whole])
    flat[i] = 0
    ends = np.cumsum([part.size for part in whole])[:-1]
    run.dy = tuple(part.reshape(like.shape) for part, like in zip(np.split(flat, ends), whole))
    found = run.gradients()
    run.dy = whole
    return found


@pytest.mark.parametrize(
    "name, seed",
    [(name, seed) for name in checkable() for seed in range(4 if THINGS[name].kind == "operation" else 1)],
)
def test_every_wrong_gradient_fails(name, seed):
    rng = np.random.default_rng(seed)
    for one in draw_cases(name, Draw(rng)):
        hold_the_check(Run(one, np.float64, rng), bar(THINGS[name].kind, np.float64), rng)


def hold_the_check(run, limit, rng):
    numeric, right = differences(run, rng), run.gradients()
    gmax = max(np.abs(g).max() for g in right.values())

    def passes(path, wrong):
        (found,) = compare({path: numeric[path]}, {**right, path: wrong}, limit, run.case.zero)
        return found.passed

    assert all(passes(path, g) for path, g in right.items())
    for path in run.case.zero:
        assert not passes(path, right[path] + 1e-3 * gmax), f"{path}, declared zero, shifted"
    not_zero = [path for path in right if path not in run.case.zero]
    for path in not_zero:
        for how, spoil in WRONG.items():
            wrong = spoil(right[path], rng)
            assert np.array_equal(wrong, right[path]) or not passes(path, wrong), f"{path} {how}"

    unfelt = set(not_zero)  # the gradients for which no forgotten element of dy has made a difference yet
    for i in rng.permutation(sum(part.size for part in run.dy)):
        forgetful = without_one_element(run, i)
        for path in sorted(unfelt):
            if np.abs(forgetful[path] - right[path]).max() > 1e-3 * max(np.abs(right[path]).max(), 1e-3 * gmax):
                assert not passes(path, forgetful[path]), f"{path} without element {i} of dy"
                unfelt.remove(path)
        if not unfelt:
            break
    assert not unfelt


# ----------------------------------------------------------------------------------------------- what proves nothing


def problems(gradients):
    return {gradient.name: gradient.problem.partition(":")[0] for gradient in gradients if not gradient.passed}


def test_attention_to_a_single_key_is_vacuous(rng):
    q, k, v = rng.normal(size=(3, 2, 3, 1, 4))
    found = check(case(attention, q=q, k=k, v=v, bias=None), np.float64, rng)
    assert problems(found) == {"q": "vacuous", "k": "vacuous"}


def test_a_layer_norm_of_width_one_is_vacuous(rng):
    draw = Draw(rng)
    found = check(case(layer_norm, p=draw.norm(1), x=draw(3, 1)), np.float64, rng)
    assert problems(found) == {"p.weight": "vacuous", "x": "vacuous"}


@pytest.mark.parametrize("dtype", [np.float64, EXTENDED], ids=["float64", "extended"])
def test_a_layer_norm_of_width_two_is_narrow_but_right(dtype, rng, monkeypatch):
    """Its x̂ jumps from -1 to 1 over a width of √ε: large steps alone would fail it."""
    p = Draw(rng).norm(2)
    narrow = case(layer_norm, p=p, x=np.array([[0.5, 0.55], [-0.2, 0.3]]), static={"eps": 1e-3})
    assert not problems(check(narrow, dtype, rng, bar("operation", dtype)))
    monkeypatch.setitem(derivative.__globals__, "STEPS", STEPS[:2])
    assert problems(check(narrow, dtype, rng, bar("operation", dtype))) == {"x": "wrong"}


def test_the_key_bias_must_be_declared_and_be_zero(rng):
    draw = Draw(rng)
    x = draw(2, 3, 4)
    parts = {"p": draw.attention(4), "x": x, "memory": x, "bias": None, "static": {"n_heads": 2}}
    undeclared = check(case(multi_head_attention, **parts), np.float64, rng)
    assert problems(undeclared) == {"p.k.bias": "vacuous"}
    declared = check(case(multi_head_attention, zero=("p.k.bias", "p.v.bias"), **parts), np.float64, rng)
    assert problems(declared) == {"p.v.bias": "declared zero, but is not"}


def test_where_nothing_is_felt_at_all_it_is_not_wrong_but_vacuous(rng):
    nothing = Case(lambda x: (0 * x, x.shape), lambda dy, shape: np.zeros(shape), {"x": rng.normal(size=3)}, {})
    (found,) = check(nothing, np.float64, rng)
    assert (found.problem.partition(":")[0], found.error) == ("vacuous", 0)


def test_an_empty_gradient_is_not_a_checked_one(rng):
    found = check(case(relu, x=np.zeros((0, 3))), np.float64, rng)
    assert problems(found) == {"x": "empty"}


def test_a_loss_that_sums_y_proves_nothing_about_a_softmax(rng):
    run = Run(case(softmax, x=rng.normal(size=(3, 5))), np.float64, rng)
    run.dy = (np.ones((3, 5)),)
    numeric = differences(run, rng)
    assert not compare(numeric, run.gradients(), 1e-7)[0].passed


@pytest.mark.filterwarnings("ignore:invalid value")
def test_nan_fails_wherever_it_stands(rng):
    def root(x):
        return np.sqrt(x), (x,)

    def root_backward(dy, saved):
        return dy / (2 * np.sqrt(saved[0]))

    x = np.array([1.0, -1.0, 4.0])
    (found,) = check(Case(root, root_backward, {"x": x}, {}), np.float64, rng)
    assert not found.passed and np.isnan(found.error)
    (passed,) = check(case(relu, x=np.array([1.0, -1.0])), np.float64, rng)
    assert passed.passed and np.isnan(worst([passed, found, passed]))
    numbers = {"x": [((0,), 1.0), ((1,), np.nan)]}
    assert not compare(numbers, {"x": np.ones(2)}, 1e-7)[0].passed
    assert not compare({"x": [((0,), 1.0)]}, {"x": np.full(1, np.nan)}, 1e-7)[0].passed


def test_the_bars():
    """Where the long double is no wider than float64, float64's bar is what remains."""
    assert [bar(kind, np.float64) for kind in ("operation", "block", "combinator", "own")] == [1e-7] * 4
    assert [bar(kind, np.float64) for kind in ("model", "loss")] == [1e-6] * 2
    for kind in ("operation", "model"):
        assert bar(kind, EXTENDED) == (1e-10 if has_extended() else bar(kind, np.float64))


def test_the_report_says_where_and_what(rng):
    def double_but_once(dy, saved):
        dx = 2 * dy
        dx[1] = dy[1]
        return dx

    (found,) = check(Case(lambda x: (2 * x, ()), double_but_once, {"x": np.arange(3.0)}, {}), np.float64, rng)
    assert (found.index, found.problem) == ((1,), "wrong")
    assert found.expected == pytest.approx(2 * found.got, rel=1e-9)
    (right,) = check(case(softmax, x=rng.normal(size=(3, 5))), np.float64, rng)
    assert worst([right, found, right]) == found.error > right.error


def test_what_an_error_is_held_against():
    """The largest of its own leaf, if no less than a thousandth of all; of a declared zero, the largest of all."""
    analytic = {"large": 10.0, "middle": 1.0, "small": 1e-4, "zero": 0.0}
    numeric = {name: [((0,), value + 1e-3)] for name, value in analytic.items()}
    found = compare(numeric, {name: np.array([value]) for name, value in analytic.items()}, 2e-4, zero=("zero",))
    assert [each.error for each in found] == pytest.approx([1e-4, 1e-3, 1e-1, 1e-4])
    assert [each.passed for each in found] == [True, False, False, True]


@pytest.mark.parametrize(
    "value, declared, passes", [(9e-12, 1, True), (2e-11, 1, False), (2e-5, 0, True), (9e-6, 0, False)]
)
def test_how_small_a_declared_zero_is_and_an_undeclared_is_not(value, declared, passes):
    analytic = {"large": np.array([10.0]), "small": np.array([value])}
    numeric = {name: [((0,), g[0])] for name, g in analytic.items()}
    _, found = compare(numeric, analytic, 1e-7, zero=("small",) * declared)
    assert found.passed == passes


def test_of_several_wrong_elements_the_worst_is_told(rng):
    spoilt = Case(lambda x: (2 * x, ()), lambda dy, saved: dy * [2, 1, 0, 1.5], {"x": rng.normal(size=4)}, {})
    run = Run(spoilt, np.float64, rng)
    run.dy = (np.ones(4),)
    (found,) = compare(differences(run, rng), run.gradients(), 1e-7)
    assert found.index == (2,) and found.expected == pytest.approx(2) and found.got == 0


# ------------------------------------------------------------------------------------ functions that do not fit at all


def product(p, x, y=None):
    return p["w"] * x, (p["w"], x)


def product_backward(dy, saved):
    w, x = saved
    return dy * w, None, {"w": dy * x}


def change(**kinds):
    """`product_backward` with one result replaced."""

    def backward(dy, saved):
        results = dict(zip(("dx", "dy", "g"), product_backward(dy, saved)))
        return tuple(kinds[name](result) if name in kinds else result for name, result in results.items())

    return backward


MISFITS = {
    "too few gradients": (
        product,
        lambda dy, saved: product_backward(dy, saved)[0],
        "returned 1 gradients, expected 3",
    ),
    "too many gradients": (
        product,
        lambda dy, saved: (*product_backward(dy, saved), dy),
        "returned 4 gradients, expected 3",
    ),
    "no gradient": (product, change(dx=lambda dx: None), "dx is None"),
    "no parameters": (product, change(g=lambda g: None), "g is None"),
    "a gradient of what is absent": (product, change(dy=lambda dy: np.ones(3)), "dy must be None, since y is absent"),
    "a missing leaf": (product, change(g=lambda g: {}), "p.w has no gradient"),
    "a leaf too many": (product, change(g=lambda g: g | {"b": g["w"]}), "p.b has a gradient, but is not a parameter"),
    "a wrong shape": (product, change(dx=lambda dx: dx[None]), r"of x has shape \(1, 3\), expected \(3,\)"),
    "a leaf of a wrong shape": (
        product,
        change(g=lambda g: {"w": g["w"].sum()}),
        r"of p.w has shape \(\), expected \(3,\)",
    ),
    "a gradient that was cast": (product, change(dx=lambda dx: dx.astype("f")), "of x is float32, expected float64"),
    "a forward of one result": (lambda p, x, y: p["w"] * x, product_backward, "must return two things"),
    "a forward that casts": (
        lambda p, x, y: (product(p, x)[0].astype("f"), product(p, x)[1]),
        product_backward,
        "y is float32 although every input is float64",
    ),
}


def held(forward, backward, rng):
    args = {"p": {"w": rng.normal(size=3)}, "x": rng.normal(size=3), "y": None}
    return check(Case(forward, backward, args, {}), np.float64, rng)


@pytest.mark.parametrize("misfit", MISFITS)
def test_misfits(misfit, rng):
    forward, backward, message = MISFITS[misfit]
    with pytest.raises(Misfit, match=message):
        held(forward, backward, rng)


def test_what_fits_passes(rng):
    assert not problems(held(product, product_backward, rng))


@pytest.mark.parametrize("culprit", ["p", "x", "saved", "dy"])
def test_who_writes_to_an_argument_is_found_out(culprit, rng):
    def forward(p, x, y):
        if culprit in ("p", "x"):
            written = p["w"] if culprit == "p" else x
            written += 1
        return product(p, x)

    def backward(dy, saved):
        if culprit in ("saved", "dy"):
            written = saved[1] if culprit == "saved" else dy
            written += 1
        return product_backward(dy, saved)

    with pytest.raises(ValueError, match="read-only"):
        held(forward, backward, rng)
