"""What the convention promises of every registered thing, whatever it computes: pure, fresh, no precision cast."""

import numpy as np
import pytest

from minitransformer import philox
from minitransformer.convention import THINGS
from minitransformer.gradcheck import Draw, draw_cases
from minitransformer.gradcheck.cases import checkable
from minitransformer.gradcheck.check import Run, is_floating, read_only
from minitransformer.trees import leaves, tree_map

from ..arrays import arrays_in, same_bits, shares_memory


def things(true):
    """Parametrize by the names of the checkable things of which this is true."""
    return pytest.mark.parametrize("name", [name for name in checkable() if true(name)])


def has_parameters(name):
    return any("p" in case.args for case in draw_cases(name, Draw(np.random.default_rng(0))))


def outputs(name):
    case, *_ = draw_cases(name, Draw(np.random.default_rng(0)))
    y, _ = case.forward(*case.args.values(), **case.static)
    return len(y) if isinstance(y, tuple) else 1


every_thing = things(lambda name: True)


def backward(run, saved):
    return run.case.backward(*(part[()] if part.ndim == 0 else part for part in run.dy), saved)


@pytest.mark.parametrize(
    "name, dtype",
    [
        (name, dtype)
        for name in checkable()
        for dtype in ("float32", "float64", "longdouble")
        if dtype != "longdouble" or getattr(THINGS[name], "extended", True)
    ],
)
def test_precision_follows_the_inputs(name, dtype, rng):
    for case in draw_cases(name, Draw(rng)):
        run = Run(case, dtype, rng)
        y = run.forward()[0]
        g = run.gradients().values()
        kept = [array for array in arrays_in(run.saved) if is_floating(array)]
        assert {array.dtype for array in (*y, *g, *kept)} == {np.dtype(dtype)}


@every_thing
def test_a_float64_scalar_does_not_widen(name, rng):
    """A rate from a schedule is a `np.float64`, which promotes where a Python float does not."""
    for case in draw_cases(name, Draw(rng)):
        static = {key: np.float64(value) if type(value) is float else value for key, value in case.static.items()}
        run = Run(case._replace(static=static), np.float32, rng)
        assert {array.dtype for array in run.gradients().values()} == {np.dtype(np.float32)}


@every_thing
def test_the_same_bits_again_and_nothing_written_to(name, rng):
    for case in draw_cases(name, Draw(rng)):
        run = Run(case, np.float64, rng)  # hands in read-only arrays
        for array in arrays_in([run.saved, run.dy]):
            array.flags.writeable = False
        once = backward(run, run.saved)
        assert same_bits(once, backward(run, run.saved))
        (y, _), (again, saved) = run.forward(), run.forward()
        assert same_bits(y, again)
        assert same_bits(once, backward(run, saved))


@every_thing
def test_no_key_is_drawn_twice(name, rng, monkeypatch):
    """What two places dropped by one key would hang together."""
    drawn, words = [], philox.words
    monkeypatch.setattr(philox, "words", lambda key, n: drawn.append((key.entropy, key.spawn_key)) or words(key, n))
    for case in draw_cases(name, Draw(rng)):
        run = Run(case, np.float64, rng)
        drawn.clear()
        run.forward()
        assert len(set(drawn)) == len(drawn)


@things(lambda name: outputs(name) > 1)
def test_none_says_that_nothing_was_felt(name, rng):
    """Of any one of several outputs: the same as zeros, bit by bit."""
    for case in draw_cases(name, Draw(rng)):
        run = Run(case, np.float64, rng)
        dy = [part[()] if part.ndim == 0 else part for part in run.dy]
        for i, part in enumerate(dy):
            nothing, zeros = ([*dy[:i], felt, *dy[i + 1 :]] for felt in (None, np.zeros_like(part)[()]))
            assert same_bits(case.backward(*nothing, run.saved), case.backward(*zeros, run.saved))


@things(has_parameters)
def test_every_array_in_g_is_fresh(name, rng):
    """An optimizer may add to g in place: it is nobody else's memory, not the input's, nor another gradient's."""
    for case in draw_cases(name, Draw(rng)):
        run = Run(case, np.float64, rng)
        result = backward(run, run.saved)
        *dx, g = result if isinstance(result, tuple) else (result,)
        others = arrays_in([run.arrays, run.dy, run.saved, dx])
        for path, leaf in leaves(g):
            assert not shares_memory(leaf, others), path
            others.append(leaf)


@every_thing
def test_the_layout_of_the_memory_changes_nothing(name, rng):
    for case in draw_cases(name, Draw(rng)):
        run = Run(case, np.float64, rng)
        straight = Run(case._replace(args=tree_map(contiguous, case.args)), np.float64, rng)
        for part, other in zip(run.forward()[0], straight.forward()[0], strict=True):
            np.testing.assert_allclose(part, other, rtol=1e-11, atol=1e-12)
        run.dy = tuple(np.array(part, order="F") for part in straight.dy)
        found, expected = run.gradients(), straight.gradients()
        for path, gradient in found.items():
            np.testing.assert_allclose(gradient, expected[path], rtol=1e-10, atol=1e-11, err_msg=path)


@things(lambda name: THINGS[name].kind in ("block", "model"))
def test_what_is_saved_has_the_names_of_the_parameters(name, rng):
    for case in draw_cases(name, Draw(rng)):
        assert case.args["p"].keys() <= Run(case, np.float64, rng).saved.keys()


@things(lambda name: THINGS[name].kind in ("operation", "block", "combinator"))
def test_an_empty_batch(name, rng):
    """No rows: y is empty (or a loss of 0), and whatever gradients there are, are zeros."""

    def sizes(n, least):
        return [0, *(least + 1 + rng.permutation(n - 1)).tolist()]  # the batch comes first in every case

    for case in draw_cases(name, Draw(rng, sizes)):
        run = Run(case, np.float64, rng)
        if all(array.size for array in case.args.values() if isinstance(array, np.ndarray)):
            continue  # a case of one row
        y = run.forward()[0]
        assert all(part.size == 0 or part == 0 for part in y)
        assert not any(gradient.any() for gradient in run.gradients().values())


def contiguous(value):
    return read_only(np.ascontiguousarray(value)) if isinstance(value, np.ndarray) else value
